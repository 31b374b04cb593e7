// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/agent.hpp>
#include <zsync/core/engine.hpp>
#include <zsync/core/helper_threads.hpp>
#include <zsync/core/timer_wheel.hpp>
#include <zsync/core/work_item.hpp>

#include <boost/asio/execution_context.hpp>

#include <chrono>

namespace zsync
{

/// A timer of a loop: what its expiry calls, on the loop's thread, which runs no user code inside.
struct loop_timer : timer_node
{
    void (*expired)(loop_timer& self) noexcept = nullptr;
};

/// The loop of a context of ours: what runs its functions, performs its operations and lets others wait for them.
///
/// Thread safety: as each function says.
class loop
{
public:
    /// Returns the loop that the calling thread is running, or null. Never blocks.
    static loop* current() noexcept;

    /// Returns the loop of a context, or null if it is not one of ours. Any thread; takes the context's lock.
    static loop* of(boost::asio::execution_context& context);

    loop(const loop&) = delete;
    loop& operator=(const loop&) = delete;

    boost::asio::execution_context& context() const noexcept { return context_; }

    /// The engine of the calling worker. Any thread.
    virtual engine& io() noexcept = 0;

    /// The timers of the calling worker, all of them loop_timers; null where waiting blocks the caller. For the loop's
    /// thread.
    virtual timer_wheel* timers() noexcept = 0;

    /// Threads for calls that have no asynchronous form. None starts before it is needed. Any thread.
    virtual helper_threads& helpers() noexcept = 0;

    /// Queues an item. It counts as work until it has run. Any thread; never blocks.
    virtual void post(work_item& item) noexcept = 0;

    /// Counts work that is not queued yet: run() does not return before it has ended. Any thread; never blocks.
    virtual void work_started() noexcept = 0;
    virtual void work_finished() noexcept = 0;

    /// Queues an item in the place of a unit of work, which ends: the end of an operation. To be called by completion
    /// functions, in a turn of the loop's engine or in its shutdown. Never blocks.
    virtual void complete(work_item& item) noexcept
    {
        post(item);
        work_finished(); // after that: the item counts
    }

    /// Says whether the calling thread is inside this loop's run function. Never blocks.
    bool running_here() const noexcept { return current() == this; }

    /// Says whether a function may be run at once, by whoever hands it in here: not below a handler of a hosted Asio
    /// object. Never blocks.
    virtual bool may_run_inline() const noexcept = 0;

    /// Says whether a thread that waits for something of this loop has to run the loop itself: see drive_until().
    virtual bool is_driven_by_waiting() const noexcept { return false; }

    /// Runs the loop on the calling thread until the waiter is done. For loops driven by waiting.
    virtual void drive_until(waiter& w) { w.wait(); }

    /// The same, no longer than to a point in time. Returns whether the waiter is done.
    virtual bool drive_until(waiter& w, std::chrono::steady_clock::time_point deadline)
    {
        return w.wait_until(deadline);
    }

protected:
    /// Makes loop::of(context) find this loop, for the context's life.
    explicit loop(boost::asio::execution_context& context);
    ~loop() = default;

private:
    boost::asio::execution_context& context_;
};

namespace detail
{

/// Makes loop::current() return `value` on this thread; returns what was there before.
loop* set_current_loop(loop* value) noexcept;

} // namespace detail

} // namespace zsync
