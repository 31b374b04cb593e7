// SPDX-License-Identifier: BSL-1.0

// What a fiber_loop does for those who look for a fault.

#include <zsync/fiber/detail/child_task.hpp>
#include <zsync/fiber/detail/fiber_loop.hpp>

#include "inspect.hpp"
#include "reports.hpp"
#include "stall_watch.hpp"

#include <cstdio>
#include <mutex>
#include <sstream>

#include <time.h>

namespace zsync::detail
{

namespace
{

// Of the registry.
constinit std::mutex registry_lock;

} // namespace

constinit fiber_loop* debugged_loops = nullptr;

void fiber_loop::enter_registry() noexcept
{
    const std::lock_guard held(registry_lock);
    older_ = debugged_loops;
    if (older_)
        older_->newer_ = this;
    debugged_loops = this;
}

void fiber_loop::leave_registry() noexcept
{
    const std::lock_guard held(registry_lock);
    (newer_ ? newer_->older_ : debugged_loops) = older_;
    if (older_)
        older_->newer_ = newer_;
}

// The coarse clock is steady_clock's as of the kernel's last tick, and costs a quarter of it.
void fiber_loop::note_time() noexcept
{
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    time_ =
        std::chrono::steady_clock::time_point(std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec));
}

// With a watch, one item at a time runs, and the watch knows which.
bool fiber_loop::announce_next() noexcept
{
    if (announced_ == 0 || ready_.empty() || (stopped() && !ending_) || (bounds_.one && count_ > 0))
    {
        announced_ = switches_between_turns;
        watch_->begins(nullptr);
        return false;
    }
    --announced_;
    watch_->begins(fiber::from(*ready_.front()));
    budget_ = 1;
    return true;
}

void fiber_loop::renamed() noexcept
{
    if (watch_)
        watch_->begins(&running());
}

bool fiber_loop::waits_for_others_here(const fiber& one) const noexcept
{
    const waiter* const awaited = one.awaited();
    if (!awaited)
        return false;
    const wait_reason& reason = awaited->reason();
    if (reason.kind != wait_kind::task)
        return reason.kind == wait_kind::sync;
    const auto* const task = static_cast<const child_task*>(reason.object);
    return !task || &task->home() == this;
}

// Says whether, as far as is known here, a wait now would have no end. The fiber by which it has one comes to the front
// of its list: so it is the first to be asked next time, and thousands are not asked at every turn.
bool fiber_loop::nothing_else_wakes() noexcept
{
    if (work_.load(std::memory_order_acquire) != work_of_fibers_ || !guest_->idle() || !inbox_.empty())
        return false;
    for (fiber** const list : {&alive_fibers_, &waiting_})
        for (fiber* each = *list; each; each = each->next)
            if (!waits_for_others_here(*each))
            {
                unlink(*each, *list);
                link(*each, *list);
                return false;
            }
    return true;
}

void fiber_loop::wait_for_deadlock()
{
    const auto start = std::chrono::steady_clock::now();
    guest_->wait(deadlock_after_);
    if (std::chrono::steady_clock::now() - start < deadlock_after_ || !ready_.empty() || stopped() ||
        !nothing_else_wakes())
        return;
    deadlock_after_ *= 2; // another thread may be about to wake one: then this was no news, and is told less often
    report_fibers("zsync: a deadlock, unless another thread is to wake a fiber: all wait for locks, channels and each "
                  "other\n");
}

void fiber_loop::report_fibers(std::string_view why) const
{
    std::ostringstream text;
    text << why;
    print(loop_inspector(*this).take(nullptr), text);
    report_(text.view());
}

void fiber_loop::report_unattended(std::chrono::microseconds waited) const
{
    std::ostringstream text;
    text << "zsync: a thread has been waiting for a fiber for "
         << std::chrono::duration_cast<std::chrono::milliseconds>(waited).count()
         << " ms, and no thread runs its fiber_context at " << static_cast<const void*>(&context()) << "\n";
    report_(text.view());
}

std::chrono::microseconds deadlock_limit(const fiber_options& options) noexcept
{
#ifdef NDEBUG
    constexpr auto otherwise = std::chrono::milliseconds::max();
#else
    constexpr std::chrono::milliseconds otherwise = std::chrono::seconds(1); // chosen
#endif
    // Half of what microseconds can count is as good as never, and can be doubled.
    constexpr auto never = std::chrono::microseconds::max();
    const auto limit = options.deadlock_after.value_or(otherwise);
    return limit >= std::chrono::duration_cast<std::chrono::milliseconds>(never / 2) ? never : limit;
}

void report_to_standard_error(std::string_view text)
{
    std::fwrite(text.data(), 1, text.size(), stderr);
}

} // namespace zsync::detail
