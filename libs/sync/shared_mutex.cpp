// SPDX-License-Identifier: BSL-1.0
#include <zsync/sync/shared_mutex.hpp>

namespace zsync
{

using detail::agent_wait;
using detail::shared_request;

boost::system::error_code shared_mutex::lock_contended(bool shared, detail::sync_clock::time_point deadline)
{
    agent& self = agent::current();
    if (const auto refused = agent_wait<shared_request>::refusal(self))
        return refused;
    agent_wait<shared_request> wait(self, *this, shared);
    return lock_or_wait(wait) ? boost::system::error_code() : wait.wait_until(deadline);
}

// True: locked. False: the node is in the list.
bool shared_mutex::lock_or_wait(shared_request& node) noexcept
{
    const std::lock_guard lists(lock_);
    std::uintptr_t now = state_.load(std::memory_order_relaxed);
    for (;;)
    {
        const bool may = node.shared ? !(now & (awaited | writer)) : now == 0;
        const std::uintptr_t then = !may ? now | awaited : node.shared ? now + reader : writer;
        if (!state_.compare_exchange_weak(now, then, std::memory_order_acquire, std::memory_order_relaxed))
            continue;
        if (!may)
            waiters_.push_back(node);
        return may;
    }
}

void shared_mutex::start(shared_request& node) noexcept
{
    if (lock_or_wait(node))
        complete(node);
}

void shared_mutex::hand_over(std::uintptr_t share) noexcept
{
    detail::woken_list woken;
    {
        const std::lock_guard lists(lock_);
        if (!waiters_.empty())
        {
            state_.fetch_sub(share, std::memory_order_relaxed);
            withdrawn(woken);
            share = 0;
        }
    }
    woken.complete();
    // All have withdrawn. Not under the lock: what is free may be locked, unlocked and destroyed at once.
    if (share == writer)
        unlock();
    else if (share == reader)
        unlock_shared();
}

// Lets those go on who may, from the front. The state does not change meanwhile: somebody waits. What all did who have
// unlocked is seen by them, and by whoever joins them without the queue's lock.
void shared_mutex::withdrawn(detail::woken_list& woken) noexcept
{
    std::uintptr_t now = state_.load(std::memory_order_acquire);
    while (detail::wait_node* const first = waiters_.front())
    {
        if (static_cast<shared_request*>(first)->shared)
        {
            if (now & writer)
                break;
            now += reader;
        }
        else if (now == awaited)
            now |= writer;
        else
            break;
        woken.push(waiters_.pop_front());
    }
    if (waiters_.empty())
        now &= ~awaited;
    state_.store(now, std::memory_order_release);
}

} // namespace zsync
