// SPDX-License-Identifier: BSL-1.0
#include <zsync/sync/once.hpp>

namespace zsync
{

using detail::agent_wait;
using detail::once_turn;

// True: the call is the caller's to make.
bool once_flag::begin(boost::system::error_code& ec)
{
    {
        const std::lock_guard held(lock_);
        if (state_.load(std::memory_order_relaxed) == fresh)
        {
            state_.store(running, std::memory_order_relaxed);
            return true;
        }
        if (state_.load(std::memory_order_relaxed) == done)
            return false;
    }
    agent& self = agent::current();
    ec = agent_wait<once_turn>::refusal(self);
    if (ec)
        return false;
    agent_wait<once_turn> wait(self, *this);
    if (!over_or_wait(wait))
        ec = wait.wait_until(detail::no_deadline);
    return wait.mine;
}

// True: the node says how. False: it is in the list.
bool once_flag::over_or_wait(once_turn& node) noexcept
{
    const std::lock_guard held(lock_);
    switch (state_.load(std::memory_order_relaxed))
    {
    case fresh:
        node.mine = true;
        state_.store(running, std::memory_order_relaxed);
        return true;
    case done:
        return true;
    default:
        waiters_.push_back(node);
        return false;
    }
}

void once_flag::start(once_turn& node) noexcept
{
    if (over_or_wait(node))
        complete(node);
}

void once_flag::end(bool succeeded) noexcept
{
    detail::woken_list woken;
    {
        const std::lock_guard held(lock_);
        if (succeeded)
        {
            state_.store(done, std::memory_order_release);
            woken.push_all(waiters_);
        }
        else if (detail::wait_node* const next = waiters_.pop_front())
        {
            static_cast<once_turn*>(next)->mine = true;
            woken.push(next);
        }
        else
            state_.store(fresh, std::memory_order_relaxed);
    }
    woken.complete();
}

} // namespace zsync
