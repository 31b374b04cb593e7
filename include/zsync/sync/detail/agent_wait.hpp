// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/agent.hpp>
#include <zsync/sync/detail/wait_list.hpp>

#include <boost/system/error_code.hpp>

#include <chrono>
#include <utility>

namespace zsync::detail
{

using sync_clock = std::chrono::steady_clock;

/// A deadline that never comes.
inline constexpr sync_clock::time_point no_deadline = sync_clock::time_point::max();

/// The point in time that is so far from now; never, where that is further than the clock goes.
template <class Rep, class Period>
sync_clock::time_point deadline_after(const std::chrono::duration<Rep, Period>& time)
{
    const auto now = sync_clock::now();
    if (time <= time.zero())
        return now;
    // Compared as floating-point numbers, since converting what is too long would overflow.
    using seconds = std::chrono::duration<double>;
    if (seconds(time) >= seconds(no_deadline - now))
        return no_deadline;
    return now + std::chrono::ceil<sync_clock::duration>(time);
}

/// What ends an agent's wait early.
class agent_wait_base : task_cancellation::wait
{
public:
    /// Says why the agent must not begin to wait: resource_deadlock_would_occur or whatever else may_wait() says; a
    /// cancellation request that was due, as operation_aborted, which delivers it. Throws fiber_unwind.
    static boost::system::error_code refusal(agent& self);

protected:
    // Queue is a wait_queue that need not say so to everybody: a cast of this form does not ask for access.
    template <class Queue>
    agent_wait_base(agent& self, Queue& queue, wait_node& node) noexcept
        : waiter_(self, {.kind = wait_kind::sync, .what = type_text<Queue>(), .object = &queue}),
          queue_((wait_queue&)queue),
          node_(node)
    {
    }
    ~agent_wait_base() = default;

    boost::system::error_code wait_until(sync_clock::time_point deadline);
    void notify() noexcept { waiter_.notify(); }
    void wait_protected() noexcept { waiter_.wait(); }

private:
    void interrupt() noexcept override;
    bool withdraw() noexcept;

    waiter waiter_;
    wait_queue& queue_;
    wait_node& node_;
};

/// An agent's wait, on its stack. Node derives from wait_node, and holds what is to be handed over.
///
/// To be put into a list, once; then wait_until() or wait_protected() must be called, without the lock.
template <class Node>
class agent_wait final : public Node, public agent_wait_base
{
public:
    template <class Queue, class... Args>
    agent_wait(agent& self, Queue& queue, Args&&... args) noexcept
        : Node([](wait_node& node) noexcept { static_cast<agent_wait&>(static_cast<Node&>(node)).notify(); },
               std::forward<Args>(args)...),
          agent_wait_base(self, queue, *this)
    {
    }

    /// Waits: suspends the fiber, or blocks the thread. Returns the node's result, operation_aborted if a cancellation
    /// request has come first and is herewith delivered, or error::timed_out, of this deadline or the task's. Throws
    /// fiber_unwind.
    using agent_wait_base::wait_until;

    /// Waits, whatever is requested.
    using agent_wait_base::wait_protected;
};

} // namespace zsync::detail
