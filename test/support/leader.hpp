// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/blocking/blocking_context.hpp>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>

#include <future>
#include <optional>
#include <thread>

namespace test
{

/// A thread that leads a blocking_context from the constructor's return to the destructor's call. Had another thread
/// come first, with a wait of its own, run() would be refused.
class leader
{
public:
    explicit leader(zsync::blocking_context& context)
        : guard_(std::in_place, context.get_executor()), thread_([&context] { context.run(); })
    {
        std::promise<void> leads;
        boost::asio::post(context, [&] { leads.set_value(); });
        leads.get_future().wait();
    }

    leader(const leader&) = delete;
    leader& operator=(const leader&) = delete;

    ~leader()
    {
        guard_.reset();
        thread_.join();
    }

private:
    std::optional<boost::asio::executor_work_guard<zsync::blocking_context::executor_type>> guard_;
    std::thread thread_;
};

} // namespace test
