// SPDX-License-Identifier: BSL-1.0
#include <zsync/sync/condition_variable.hpp>

namespace zsync
{

using detail::agent_wait;
using detail::notice;

void condition_variable::notify_one() noexcept
{
    detail::woken_list woken;
    {
        const std::lock_guard held(lock_);
        woken.push(waiters_.pop_front());
    }
    woken.complete();
}

void condition_variable::notify_all() noexcept
{
    detail::woken_list woken;
    {
        const std::lock_guard held(lock_);
        woken.push_all(waiters_);
    }
    woken.complete();
}

boost::system::error_code condition_variable::wait_notified(std::unique_lock<mutex>& lock,
                                                            detail::sync_clock::time_point deadline)
{
    BOOST_ASSERT(lock.owns_lock());
    agent& self = agent::current();
    if (const auto refused = agent_wait<notice>::refusal(self))
        return refused;
    agent_wait<notice> wait(self, *this);
    start(wait, *lock.mutex());
    struct lock_again
    {
        mutex& of;
        ~lock_again() { of.lock_protected(); } // also where the fiber unwinds
    } const at_exit{*lock.mutex()};
    return wait.wait_until(deadline);
}

// A notification that is made with the mutex held, from now on, finds the node.
void condition_variable::start(detail::wait_node& node, mutex& held) noexcept
{
    {
        const std::lock_guard lists(lock_);
        waiters_.push_back(node);
    }
    held.unlock();
}

} // namespace zsync
