// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/task_cancellation.hpp>
#include <zsync/core/wait_reason.hpp>
#include <zsync/core/work_item.hpp>

#include <boost/asio/cancellation_signal.hpp>
#include <boost/assert.hpp>
#include <boost/system/error_code.hpp>

#include <chrono>

namespace zsync
{

class loop;
class waiter;

namespace detail
{
class signal_loan;
}

/// What is running: a fiber, or a thread. What waits, waits as an agent.
class agent
{
public:
    /// Returns the agent that runs the calling code. Never blocks.
    ///
    /// Not to be kept beyond a wait in a variable that the compiler may take from thread-local storage again: a fiber
    /// may continue on another thread if its context does.
    static agent& current() noexcept;

    agent(const agent&) = delete;
    agent& operator=(const agent&) = delete;

    /// The loop whose fiber this is; null: a thread.
    loop* fiber_of() const noexcept { return loop_; }

    /// Says why the agent must not wait just now: resource_deadlock_would_occur below a handler of a hosted Asio object
    /// or of a strand, which must return before anything else can run. For the agent itself; never blocks.
    virtual boost::system::error_code may_wait() const noexcept = 0;

    /// Cancellation of what this agent does. For its own thread.
    task_cancellation& cancellation() noexcept { return cancellation_; }

protected:
    explicit agent(loop* fiber_of) noexcept : loop_(fiber_of) {}
    ~agent()
    {
        if (signal_block_) [[unlikely]]
            free_signal_block();
    }

private:
    friend class waiter;
    friend class detail::signal_loan;

    /// Returns when the waiter is done: suspends the fiber, blocks the thread.
    virtual void wait(waiter& w) noexcept = 0;

    /// The same, but returns false once the time has come and the waiter is not done. It may be waited for again.
    virtual bool wait_until(waiter& w, std::chrono::steady_clock::time_point deadline) noexcept = 0;

    /// Makes it so. Any thread; the waiter may be gone when this returns.
    virtual void notify(waiter& w) noexcept = 0;

    void free_signal_block() noexcept;

    loop* const loop_;
    task_cancellation cancellation_;
    boost::asio::cancellation_signal signal_; // of waits, one at a time
    bool signal_lent_ = false;
    void* signal_block_ = nullptr; // of Asio's cache; see detail::signal_loan
};

/// Waits for one event on behalf of an agent. Lives on the waiting stack.
///
/// The item it is lets a notification from another thread travel through the inbox of the fiber's loop: the fiber
/// cannot go on, and take the waiter away, before the loop has seen it.
class waiter : private work_item
{
public:
    waiter() noexcept : waiter(agent::current()) {}
    explicit waiter(agent& owner, wait_reason reason = {}) noexcept : owner_(owner), reason_(reason) {}
    waiter(const waiter&) = delete;
    waiter& operator=(const waiter&) = delete;

    agent& owner() const noexcept { return owner_; }

    /// What the wait is for, as far as it was told. For the owner, and for its loop's thread while it waits.
    const wait_reason& reason() const noexcept { return reason_; }
    void set_reason(wait_reason reason) noexcept { reason_ = reason; }

    /// Suspends the fiber, or blocks the thread, until notify() has been called. For the owner only. Requires that the
    /// owner may_wait().
    void wait() noexcept { owner_.wait(*this); }

    /// The same, no longer than to a point in time. False: it has come first, and notify() may still be called, so that
    /// the waiter must not go before that is ruled out, or has been waited for.
    [[nodiscard]] bool wait_until(std::chrono::steady_clock::time_point deadline) noexcept
    {
        return owner_.wait_until(*this, deadline);
    }

    /// Ends the wait, now or to come. Once; any thread. The last that its caller may do with the waiter.
    void notify() noexcept { owner_.notify(*this); }

    /// Makes the waiter ready for another event. For the owner, after wait().
    void reset() noexcept { done_ = false; }

    /// For agents, under whatever protects their state: the fiber's loop, or the thread's mutex.
    bool is_done() const noexcept { return done_; }
    void set_done() noexcept { done_ = true; }
    work_item& message(work_item::run_function deliver) noexcept
    {
        run = deliver;
        return *this;
    }
    static waiter& from_message(work_item& item) noexcept { return static_cast<waiter&>(item); }

private:
    agent& owner_;
    bool done_ = false;
    wait_reason reason_;
};

namespace detail
{

/// Makes agent::current() return `*where`, or the thread's own agent if either is null, on this thread. Returns what
/// was there before. A pointer to the pointer, so that a switch between fibers need not touch thread-local storage.
agent* const* set_current_agent(agent* const* where) noexcept;

} // namespace detail

} // namespace zsync
