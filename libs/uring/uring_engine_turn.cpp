// SPDX-License-Identifier: BSL-1.0
// The turn: what is queued goes to the kernel, the thread waits, what has finished is delivered; and what ends the
// wait.
#include <zsync/uring/uring_engine.hpp>

#include <zsync/core/detail/cpu_pause.hpp>

#include "ring.hpp"

#include <boost/system/system_error.hpp>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <utility>

#include <unistd.h>

namespace zsync
{

void uring_engine::wake() noexcept
{
    if (sleep_.exchange(sleep_state::notified) != sleep_state::asleep)
        return;
    const std::uint64_t one = 1;
    // Fails only if the counter is full, and then it is readable all the same.
    [[maybe_unused]] const auto written = ::write(wake_descriptor_, &one, sizeof one);
    wakes_.fetch_add(1, std::memory_order_relaxed);
}

void uring_engine::woken() noexcept
{
    std::uint64_t count;
    [[maybe_unused]] const auto ignored = ::read(wake_descriptor_, &count, sizeof count);
    if (!stopped_)
        start(wake_poll_); // cannot throw: its slot was freed a moment ago
}

std::size_t uring_engine::turn(std::optional<std::chrono::microseconds> timeout, void* sink)
{
    lock held(mutex_);
    become_runner(held);
    if (!provided_.empty())
        refill();
    while (fill())
        if (submit(held) < 0)
            break;

    if (spin_for_.count() > 0 && (!timeout || timeout->count() > 0) && nothing_to_deliver())
        spin(held, timeout);

    const bool may_wait = (!timeout || timeout->count() > 0) && nothing_to_deliver();
    auto state = sleep_.load(std::memory_order_relaxed);
    const bool asleep =
        may_wait && state != sleep_state::notified && sleep_.compare_exchange_strong(state, sleep_state::asleep);

    const unsigned count = ring_->publish();
    int result = 0;
    if (asleep || count || ring_->must_enter())
    {
        ++counters_.ring_enters;
        if (ring_->overflowed())
            ++counters_.cq_overflows;
        ++entering_;
        held.unlock();
        result = asleep ? ring_->submit_and_wait(count, timeout) : ring_->submit_and_flush(count);
        held.lock();
        --entering_;
    }
    if (asleep)
        ++counters_.ring_waits;
    if (sleep_.load(std::memory_order_relaxed) != sleep_state::awake) // written only then: it costs a fence
        sleep_.store(sleep_state::awake);

    reap();
    news_list news = std::exchange(news_, {});
    queue finished = std::exchange(finished_, {});
    held.unlock();
    // The news first: the end of an operation comes after all it has had.
    const bool any_news = !news.empty();
    if (any_news)
        deliver_news(news, sink);
    const std::size_t delivered = deliver(finished, sink) + any_news;

    if (!detail::is_passing(result))
        throw boost::system::system_error(-result, boost::system::system_category(), "io_uring_enter");
    return delivered;
}

std::size_t uring_engine::deliver(queue finished, void* sink) noexcept
{
    std::size_t count = 0;
    operation* op = finished.front();
    while (op)
    {
        operation* const next = queue::next(*op);
        op->where = operation::state::idle;
        count += !op->background;
        op->on_complete(*op, sink);
        op = next;
    }
    return count;
}

// Something was queued: a turn that sleeps would not see it. On a shared ring the calling thread hands it over itself;
// where one thread runs the ring, what is submitted by another would complete late (COOP_TASKRUN) or not at all.
void uring_engine::prompt(lock& held) noexcept
{
    const auto state = sleep_.load(std::memory_order_relaxed);
    if (state != sleep_state::asleep && state != sleep_state::spinning)
        return;
    if (cooperative_ || !finished_.empty() || !news_.empty())
    {
        wake();
        return;
    }
    bool more = true;
    while (more)
    {
        more = fill();
        if (submit(held) < 0)
        {
            wake(); // the turn will try again
            return;
        }
    }
}

// The same for whoever holds the lock by other means.
void uring_engine::prompt() noexcept
{
    lock held(mutex_, std::adopt_lock);
    prompt(held);
    held.release();
}

bool uring_engine::nothing_to_deliver() const noexcept
{
    return finished_.empty() && news_.empty() && queued_.empty() && leaving_.empty() && !ring_->has_completions() &&
           !stopped_;
}

// Watches the completion queue instead of sleeping, as long as spin_for and the timeout allow; what is left of the
// timeout is the sleep's. Deferred work of the kernel ends it too: the system call that follows has it done.
void uring_engine::spin(lock& held, std::optional<std::chrono::microseconds>& timeout) noexcept
{
    const int submitted = submit(held);
    const unsigned tail = ring_->completion_tail(); // before the look: what comes after it is then seen to come
    if (submitted < 0 || !nothing_to_deliver() || ring_->must_enter())
        return;
    auto expected = sleep_state::awake;
    if (!sleep_.compare_exchange_strong(expected, sleep_state::spinning))
        return;

    using clock = std::chrono::steady_clock;
    const auto begin = clock::now();
    const auto end = begin + (timeout ? std::min(*timeout, spin_for_) : spin_for_);
    ++counters_.spins;
    ++entering_; // nobody may replace the ring
    held.unlock();
    const auto disturbed = [this, tail]
    {
        return ring_->completion_tail() != tail || ring_->must_enter() ||
               sleep_.load(std::memory_order_relaxed) != sleep_state::spinning;
    };
    bool ended = false;
    clock::time_point now = begin;
    do
    {
        for (int looks = 0; looks != 16 && !ended; ++looks)
        {
            detail::cpu_pause();
            ended = disturbed();
        }
        now = clock::now();
    } while (!ended && now < end);
    held.lock();
    --entering_;
    if (ended)
        ++counters_.spin_hits;
    if (timeout)
        *timeout -= std::min(*timeout, std::chrono::floor<std::chrono::microseconds>(now - begin));
}

} // namespace zsync
