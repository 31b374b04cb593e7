// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/agent.hpp>
#include <zsync/core/system_call.hpp>
#include <zsync/io/detail/helper_call.hpp>
#include <zsync/io/detail/settings.hpp>

#include <boost/asio/error.hpp>
#include <boost/system/error_code.hpp>

namespace zsync
{
class descriptor_core;
}

namespace zsync::detail
{

/// Takes the steps of an operation by blocking the thread.
///
/// A step is its system call, and nothing else, unless a deadline or a token may end it: then poll(2) waits for the
/// descriptor and for an eventfd, and the call is made so that it does not block. Nothing can make a request of the
/// running task meanwhile, because the task is what blocks.
class blocking_waits
{
public:
    blocking_waits(const settings& with, task_cancellation& cancellation) noexcept
        : with_(with), cancellation_(cancellation)
    {
    }

    operation& record() noexcept { return record_; }

    bool perform(boost::system::error_code& ec)
    {
        if (cancellation_.take()) [[unlikely]]
        {
            ec = boost::asio::error::operation_aborted;
            return false;
        }
        if (with_.limited()) [[unlikely]]
            return perform_limited(ec);
        zsync::perform(record_);
        return true;
    }

    bool pause(settings::clock::time_point until, boost::system::error_code& ec);

    /// Cannot be ended early; a deadline that has passed by then counts.
    bool call(helper_call& what, boost::system::error_code& ec);

    bool idle(descriptor_core& core, boost::system::error_code& ec);

private:
    bool perform_limited(boost::system::error_code& ec);

    const settings& with_;
    task_cancellation& cancellation_;
    operation record_;
};

} // namespace zsync::detail
