// SPDX-License-Identifier: BSL-1.0
#include <zsync/sync/mutex.hpp>

namespace zsync
{

using detail::agent_wait;
using detail::notice;

boost::system::error_code mutex::lock_contended(detail::sync_clock::time_point deadline)
{
    agent& self = agent::current();
    if (const auto refused = agent_wait<notice>::refusal(self))
        return refused;
    agent_wait<notice> wait(self, *this);
    return lock_or_wait(wait) ? boost::system::error_code() : wait.wait_until(deadline);
}

// Whatever is requested. By an agent that has just waited, and so may.
void mutex::lock_protected() noexcept
{
    if (try_lock())
        return;
    agent_wait<notice> wait(agent::current(), *this);
    if (!lock_or_wait(wait))
        wait.wait_protected();
}

// True: locked. False: the node is in the list.
bool mutex::lock_or_wait(detail::wait_node& node) noexcept
{
    const std::lock_guard lists(lock_);
    return enter(node);
}

bool mutex::enter(detail::wait_node& node) noexcept
{
    int now = state_.load(std::memory_order_relaxed);
    while (now != awaited)
    {
        if (now == free)
        {
            if (state_.compare_exchange_weak(now, held, std::memory_order_acquire, std::memory_order_relaxed))
                return true;
        }
        else if (state_.compare_exchange_weak(now, awaited, std::memory_order_relaxed))
            break;
    }
    waiters_.push_back(node);
    return false;
}

void mutex::start(detail::wait_node& node) noexcept
{
    if (lock_or_wait(node))
        complete(node);
}

void mutex::hand_over() noexcept
{
    for (;;)
    {
        detail::woken_list next;
        {
            const std::lock_guard lists(lock_);
            next.push(waiters_.pop_front());
            withdrawn(next);
        }
        if (!next.empty())
            return next.complete(); // and whoever is told may destroy the mutex
        // All have withdrawn. Not under the lock: what is free may be locked, unlocked and destroyed at once.
        int expected = held;
        if (state_.compare_exchange_strong(expected, free, std::memory_order_release, std::memory_order_relaxed))
            return;
    }
}

void mutex::withdrawn(detail::woken_list&) noexcept
{
    if (waiters_.empty()) // and it is held
        state_.store(held, std::memory_order_relaxed);
}

} // namespace zsync
