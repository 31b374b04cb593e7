// SPDX-License-Identifier: BSL-1.0
#include <zsync/sync/semaphore.hpp>

namespace zsync::detail
{

boost::system::error_code semaphore_core::acquire_contended(sync_clock::time_point deadline)
{
    agent& self = agent::current();
    if (const auto refused = agent_wait<notice>::refusal(self))
        return refused;
    agent_wait<notice> wait(self, *this);
    return acquire_or_wait(wait) ? boost::system::error_code() : wait.wait_until(deadline);
}

// True: it has a unit. False: the node is in the list.
bool semaphore_core::acquire_or_wait(wait_node& node) noexcept
{
    const std::lock_guard lists(lock_);
    return enter(node);
}

bool semaphore_core::enter(wait_node& node) noexcept
{
    std::ptrdiff_t now = 0;
    // While somebody waits there is no unit to be had, and nobody adds one but under the lock.
    while (!state_.compare_exchange_weak(now, now >= unit ? now - unit : awaited, std::memory_order_acquire,
                                         std::memory_order_relaxed))
        continue;
    if (now >= unit)
        return true;
    waiters_.push_back(node);
    return false;
}

void semaphore_core::start(wait_node& node) noexcept
{
    if (acquire_or_wait(node))
        complete(node);
}

void semaphore_core::hand_over(std::ptrdiff_t count) noexcept
{
    woken_list woken;
    {
        const std::lock_guard lists(lock_);
        for (; count != 0; --count)
        {
            wait_node* const next = waiters_.pop_front();
            if (!next)
                break;
            woken.push(next);
        }
        withdrawn(woken);
    }
    woken.complete();
    if (count != 0)
        release(count);
}

void semaphore_core::withdrawn(woken_list&) noexcept
{
    if (waiters_.empty() && state_.load(std::memory_order_relaxed) == awaited)
        state_.store(0, std::memory_order_relaxed);
}

} // namespace zsync::detail
