// SPDX-License-Identifier: BSL-1.0
#include <zsync/sync/select.hpp>

#include <boost/asio/multiple_exceptions.hpp>

#include <cstdint>

namespace zsync::detail
{

// Not inlined: a fiber may look again on another thread. xorshift; any seed but zero.
[[gnu::noinline]] std::size_t first_to_try(std::size_t count) noexcept
{
    thread_local std::uint32_t state = 2463534242u;
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return static_cast<std::size_t>((std::uint64_t(state) * count) >> 32);
}

void agent_selection::wake() noexcept
{
    if (to_tell_.fetch_sub(1, std::memory_order_acq_rel) == 1)
        decided_->notify();
}

boost::system::error_code agent_selection::admit(boost::asio::execution_context* context, loop* target)
{
    if (const auto refusal = why_not_wait(owner_, context, target))
        return refusal;
    if (owner_.fiber_of() || !target || !target->is_driven_by_waiting() || target->running_here())
        return {};
    if (driven_ && driven_ != target) // one thread cannot run both
        return make_error_code(boost::system::errc::operation_not_supported);
    if (!driven_)
        driver_.emplace(*(driven_ = target));
    return {};
}

void agent_selection::wait_until_decided(sync_clock::time_point deadline, std::size_t at_deadline) noexcept
{
    waiter& told = decided_.emplace(waiting_agent(), wait_reason{.what = "the first of several cases (select)"});
    if (to_tell_.fetch_sub(1, std::memory_order_acq_rel) == 1)
        return;
    task_cancellation& cancellation = owner_.cancellation();
    cancellation.begin(*this);
    if (cancellation.due()) [[unlikely]]
        interrupt(); // requested by what an operation has run as it started
    for (bool done = false; !done;)
    {
        try
        {
            done = wait_for(told, deadline);
            if (!done)
            {
                done = claim(at_deadline);
                deadline = no_deadline; // if not, somebody has claimed, and is about to tell
            }
        }
        catch (...)
        {
            keep_failure();
            done = claim(selection_aborted);
        }
    }
    cancellation.end();
}

bool agent_selection::wait_for(waiter& told, sync_clock::time_point deadline)
{
    if (deadline != no_deadline)
        return driven_ ? driven_->drive_until(told, deadline) : told.wait_until(deadline);
    driven_ ? driven_->drive_until(told) : told.wait();
    return true;
}

void agent_selection::wait_until_over() noexcept
{
    waiter& told = over_.emplace(waiting_agent(), wait_reason{.what = "what a select has begun"});
    if (leave())
        return;
    for (;;)
    {
        try
        {
            wait_for(told, no_deadline);
            return;
        }
        catch (...)
        {
            keep_failure();
        }
    }
}

// On the waiting agent's own thread.
void agent_selection::interrupt() noexcept
{
    if (claim(selection_aborted))
        wake();
}

void agent_selection::all_over() noexcept
{
    over_->notify();
}

void agent_selection::keep_failure() noexcept
{
    failure_ =
        failure_ ? std::make_exception_ptr(boost::asio::multiple_exceptions(failure_)) : std::current_exception();
}

} // namespace zsync::detail
