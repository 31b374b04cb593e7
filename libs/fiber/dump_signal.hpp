// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/detail/hosted_scheduler.hpp>

#include <boost/asio/signal_set.hpp>

#include <functional>
#include <string_view>

namespace zsync::detail
{

class fiber_loop;

/// Reports a loop's fibers when a signal comes. Its wait is no work: run() does not stay for it.
class dump_signal
{
public:
    /// @throws boost::system::system_error for a signal that cannot be caught.
    dump_signal(fiber_loop& loop, hosted_scheduler& guest, int number);
    ~dump_signal();
    dump_signal(const dump_signal&) = delete;
    dump_signal& operator=(const dump_signal&) = delete;

private:
    void wait();

    fiber_loop& loop_;
    hosted_scheduler& guest_;
    boost::asio::signal_set signals_;
};

} // namespace zsync::detail
