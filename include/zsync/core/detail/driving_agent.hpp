// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/agent.hpp>
#include <zsync/core/loop.hpp>

#include <chrono>
#include <thread>

namespace zsync::detail
{

/// The calling thread, as it waits for something of a loop that is driven by waiting: see loop::drive_until().
///
/// A notification from elsewhere goes through the loop, which wakes the thread that runs it. So a waiter of this agent
/// is marked done by nobody but the thread itself, or the one that runs the loop.
class driving_agent : public agent
{
public:
    explicit driving_agent(loop& driven) noexcept : agent(nullptr), driven_(driven) {}

    boost::system::error_code may_wait() const noexcept override { return {}; }

protected:
    ~driving_agent() = default;

    void wait(waiter& w) noexcept override { driven_.drive_until(w); }

    bool wait_until(waiter& w, std::chrono::steady_clock::time_point deadline) noexcept override
    {
        return driven_.drive_until(w, deadline);
    }

    void notify(waiter& w) noexcept override
    {
        if (thread_ == std::this_thread::get_id() || driven_.running_here())
            w.set_done();
        else
            driven_.post(w.message([](work_item& message, bool) { waiter::from_message(message).set_done(); }));
    }

private:
    loop& driven_;
    const std::thread::id thread_ = std::this_thread::get_id();
};

} // namespace zsync::detail
