// SPDX-License-Identifier: BSL-1.0
#include <zsync/sync/barrier.hpp>

namespace zsync::detail
{

barrier_core::arrival barrier_core::arrive(std::ptrdiff_t by, bool drop) noexcept
{
    const std::lock_guard held(lock_);
    BOOST_ASSERT(by > 0 && by <= missing_);
    if (drop)
        --expected_;
    missing_ -= by;
    return {phase_, missing_ == 0};
}

void barrier_core::open() noexcept
{
    woken_list woken;
    {
        const std::lock_guard held(lock_);
        ++phase_;
        missing_ = expected_;
        woken.push_all(waiters_);
    }
    woken.complete();
}

boost::system::error_code barrier_core::wait(std::uint64_t phase, sync_clock::time_point deadline)
{
    if (is_over(phase))
        return {};
    agent& self = agent::current();
    if (const auto refused = agent_wait<notice>::refusal(self))
        return refused;
    agent_wait<notice> wait(self, *this);
    return over_or_wait(wait, phase) ? boost::system::error_code() : wait.wait_until(deadline);
}

void barrier_core::start(wait_node& node, std::uint64_t phase) noexcept
{
    if (over_or_wait(node, phase))
        complete(node);
}

bool barrier_core::is_over(std::uint64_t phase) const noexcept
{
    const std::lock_guard held(lock_);
    return phase != phase_;
}

// True: the phase is over. False: the node is in the list.
bool barrier_core::over_or_wait(wait_node& node, std::uint64_t phase) noexcept
{
    const std::lock_guard held(lock_);
    if (phase != phase_)
        return true;
    waiters_.push_back(node);
    return false;
}

} // namespace zsync::detail
