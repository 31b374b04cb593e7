// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/agent.hpp>
#include <zsync/core/loop.hpp>
#include <zsync/core/work_item.hpp>
#include <zsync/fiber/detail/task_outcome.hpp>

#include <boost/assert.hpp>
#include <boost/system/error_code.hpp>

#include <atomic>
#include <exception>
#include <utility>

namespace zsync::detail
{

class child_task;

/// Is told when a task has ended. The item it is carries it to the task's loop from another thread.
class task_observer : private work_item
{
public:
    /// Called once, on the loop's thread: on the task's own fiber, unless that was gone already. May release the task.
    virtual void ended(child_task& which) noexcept = 0;

protected:
    ~task_observer() = default;

private:
    friend class child_task;
    child_task* observed_ = nullptr;
};

/// A function that runs on a fiber of its own, as its owner (a fiber handle, a future, a set) sees it.
///
/// It stays until the fiber has ended and the owner has released it. Where a function does not say otherwise it is for
/// the loop's thread.
class child_task
{
public:
    child_task(const child_task&) = delete;
    child_task& operator=(const child_task&) = delete;

    loop& home() const noexcept { return loop_; }

    /// The fiber that runs it; null: none does yet, or any more.
    agent* child() const noexcept { return child_; }

    /// Any thread.
    bool is_done() const noexcept { return done_.load(std::memory_order_acquire); }

    /// Makes a cancellation request of the fiber, soon. Any thread that knows that the owner has not released the task.
    void request_cancel(boost::system::error_code reason) noexcept;

    /// Waits until the task has ended, as whatever is running: any thread. A request of the waiting agent goes on to
    /// the task; so does its deadline, with the reason error::timed_out, and the result is then false.
    /// @throws boost::system::system_error if the agent may not wait, is the task, or keeps its loop from running.
    bool join();

    /// Says whether this is the task that an agent runs. On the loop's thread.
    bool is_run_by(const agent& one) const noexcept { return child_ == &one; }

    /// Has the observer told once the task has ended: at once, if it has. One observer at a time. Any thread.
    void observe(task_observer& observer) noexcept;

    /// The owner lets go. Any thread; the task must have ended, or nobody be interested in its result.
    void release() noexcept;

    // Of the set that owns it.
    child_task* next = nullptr;
    child_task* previous = nullptr;

protected:
    explicit child_task(loop& home) noexcept : loop_(home), message_(*this) {}
    ~child_task() = default;

    /// The fiber is there; requests reach it from now on.
    void attach(agent& child) noexcept;

    /// The function has ended, and its result is kept. The owner may be gone when this returns.
    void finish() noexcept;

private:
    class joining;

    struct message : work_item
    {
        explicit message(child_task& of) noexcept : self(of) { run = &child_task::receive; }
        child_task& self;
    };

    static constexpr unsigned cancel_bit = 1;
    static constexpr unsigned release_bit = 2;

    /// Frees the task, now or when its fiber has ended.
    virtual void free() noexcept = 0;

    static void receive(work_item& item, bool invoke) noexcept;
    void observe_here(task_observer& observer) noexcept;
    void cancel_here(boost::system::error_code reason) noexcept;

    loop& loop_;
    agent* child_ = nullptr; // while the function may be running
    task_observer* observer_ = nullptr;
    boost::system::error_code early_; // the reason of a request that came before the fiber
    boost::system::error_code asked_reason_;
    message message_;
    // Written once by finish(), with release; whoever reads true sees the result.
    std::atomic<bool> done_{false};
    // Of other threads, the first to exchange it writes the reason, and asks.
    std::atomic<bool> asked_to_cancel_{false};
    // What the message says: whoever changes it from 0 posts the message; the loop takes it back to 0.
    std::atomic<unsigned> asked_{0};
};

/// A task and its result.
template <class Result>
class task_state : public child_task
{
public:
    task_outcome<Result> outcome;

protected:
    using child_task::child_task;
    ~task_state() = default;
};

/// After a wait for a task: delivers the waiting task's request if the result is its answer. @throws system_error with
/// error::timed_out if it is the answer to the waiting task's deadline.
void settle_request(const std::exception_ptr& failure, bool in_time);

/// Asks a task to end and waits for it, protected. Ends the process if the agent may not wait.
void cancel_and_join(child_task& which) noexcept;

/// Runs a function now, for a task: nothing leaves it but its outcome.
template <class Result, class Function>
void run_for(task_outcome<Result>& outcome, bool ending, Function&& function) noexcept
{
    try
    {
        if (ending)
            outcome.abort();
        else
            outcome.set_from(std::forward<Function>(function));
    }
    catch (const fiber_unwind&) // the context is being destroyed
    {
        agent::current().cancellation().unwound();
    }
}

} // namespace zsync::detail
