// SPDX-License-Identifier: BSL-1.0
#include <zsync/sync/event.hpp>

namespace zsync
{

using detail::agent_wait;
using detail::notice;

void event::set() noexcept
{
    detail::woken_list woken;
    {
        const std::lock_guard held(lock_);
        set_.store(true, std::memory_order_release);
        woken.push_all(waiters_);
    }
    woken.complete();
}

void event::reset() noexcept
{
    const std::lock_guard held(lock_);
    set_.store(false, std::memory_order_relaxed);
}

boost::system::error_code event::wait_set(detail::sync_clock::time_point deadline)
{
    {
        // With the lock, so that set() has let go of the event, which may be destroyed now.
        const std::lock_guard held(lock_);
        if (set_.load(std::memory_order_relaxed))
            return {};
    }
    agent& self = agent::current();
    if (const auto refused = agent_wait<notice>::refusal(self))
        return refused;
    agent_wait<notice> wait(self, *this);
    return happened_or_wait(wait) ? boost::system::error_code() : wait.wait_until(deadline);
}

// True: it is set. False: the node is in the list.
bool event::happened_or_wait(detail::wait_node& node) noexcept
{
    const std::lock_guard held(lock_);
    return enter(node);
}

bool event::enter(detail::wait_node& node) noexcept
{
    if (try_enter())
        return true;
    waiters_.push_back(node);
    return false;
}

void event::start(detail::wait_node& node) noexcept
{
    if (happened_or_wait(node))
        complete(node);
}

} // namespace zsync
