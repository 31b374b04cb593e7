// SPDX-License-Identifier: BSL-1.0
#include <zsync/uring/detail/stock_timers.hpp>

#include <boost/asio/cancellation_type.hpp>

#include <algorithm>
#include <utility>

namespace zsync::detail
{

namespace
{

stock_timers::time_point steady_now() noexcept
{
    return std::chrono::steady_clock::now();
}

// No turn waits longer, so that all arithmetic with it fits. Chosen.
constexpr stock_timers::time_point::duration longest = std::chrono::hours(24);

stock_timers::time_point wall_now() noexcept
{
    using namespace std::chrono;
    return stock_timers::time_point(duration_cast<nanoseconds>(system_clock::now().time_since_epoch()));
}

} // namespace

stock_wait_canceller::~stock_wait_canceller()
{
    if (stock_timers* const timers = timers_.load(std::memory_order_acquire))
        timers->forget(*this);
}

void stock_wait_canceller::operator()(boost::asio::cancellation_type type) noexcept
{
    using boost::asio::cancellation_type;
    if ((type & (cancellation_type::terminal | cancellation_type::partial | cancellation_type::total)) ==
        cancellation_type::none)
        return;
    if (stock_timers* const timers = timers_.load(std::memory_order_acquire))
        timers->cancel(*this);
}

stock_timers::stock_timers(scheduler& runs, engine& waits, bool locking) noexcept
    : scheduler_(runs), engine_(waits), mutex_(locking)
{
    queue_of(clock::steady).now = steady_now;
    queue_of(clock::wall).now = wall_now;
}

bool stock_timers::use(clock which)
{
    const lock held(mutex_);
    queue& used = queue_of(which);
    if (used.wheel)
        return false;
    used.wheel = std::make_unique<timer_wheel>(used.now());
    used_ = true;
    // A turn that began without it does not know that a deadline could wake it.
    engine_.wake();
    return true;
}

void stock_timers::start(clock which, stock_timer& timer, time_point deadline, wait_operation& wait,
                         stock_wait_canceller* named)
{
    scheduler_.work_started(); // before the start: another thread may run the handler before this one is back
    lock held(mutex_);
    if (stopped_)
    {
        held.unlock();
        wait.task_result_ = 1;
        scheduler_.post_deferred_completion(&wait);
        return;
    }
    ++started_;
    queue& q = queue_of(which);
    if (timer.waits_.empty())
    {
        q.wheel->rearm(timer, deadline);
        timer.entered_ = true;
    }
    timer.waits_.push(&wait);
    timer.pending_.store(timer.pending_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    if (named)
    {
        timer.with_cancellers_ = true;
        wait.canceller_ = named;
        named->timer_ = &timer;
        named->wait_ = &wait;
        named->timers_.store(this, std::memory_order_release);
    }
    if (deadline.time_since_epoch().count() < q.awaited.load(std::memory_order_relaxed))
    {
        q.awaited.store(none, std::memory_order_relaxed);
        held.unlock();
        engine_.wake();
    }
}

std::size_t stock_timers::cancel(stock_timer& timer, std::size_t most) noexcept
{
    if (!timer.pending())
        return 0;
    scheduler_queue aborted;
    lock held(mutex_);
    const std::size_t count = abort(timer, most, aborted);
    held.unlock();
    scheduler_.post_deferred_completions(aborted);
    return count;
}

void stock_timers::cancel(stock_wait_canceller& named) noexcept
{
    scheduler_queue aborted;
    lock held(mutex_);
    if (!named.timers_.load(std::memory_order_relaxed))
        return;
    stock_timer& timer = *named.timer_;
    wait_operation* const cancelled = named.wait_;
    scheduler_queue others;
    while (scheduler_operation* const wait = timer.waits_.front())
    {
        timer.waits_.pop();
        (wait == cancelled ? aborted : others).push(wait);
    }
    timer.waits_.push(others);
    timer.pending_.store(timer.pending_.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
    release(*cancelled);
    cancelled->task_result_ = 1;
    held.unlock();
    scheduler_.post_deferred_completions(aborted);
}

void stock_timers::forget(stock_wait_canceller& named) noexcept
{
    const lock held(mutex_);
    if (named.timers_.load(std::memory_order_relaxed))
        release(*named.wait_);
}

void stock_timers::remove(clock which, stock_timer& timer) noexcept
{
    if (!timer.entered_)
        return;
    timer.entered_ = false;
    const lock held(mutex_);
    if (timer.linked())
        queue_of(which).wheel->cancel(timer);
}

template <class Visitor>
void stock_timers::for_each_wait(stock_timer& timer, Visitor visit) noexcept
{
    scheduler_queue visited;
    while (auto* const wait = static_cast<wait_operation*>(timer.waits_.front()))
    {
        timer.waits_.pop();
        visit(*wait);
        visited.push(wait);
    }
    timer.waits_.push(visited);
}

void stock_timers::move(clock which, stock_timer& from, stock_timer& to) noexcept
{
    if (!from.entered_)
        return;
    from.entered_ = false;
    to.entered_ = true;
    const lock held(mutex_);
    queue_of(which).wheel->move(from, to);
    to.waits_.push(from.waits_);
    to.pending_.store(from.pending_.exchange(0, std::memory_order_relaxed), std::memory_order_relaxed);
    to.with_cancellers_ = std::exchange(from.with_cancellers_, false);
    if (to.with_cancellers_)
        for_each_wait(to,
                      [&](wait_operation& wait)
                      {
                          if (wait.canceller_)
                              wait.canceller_->timer_ = &to;
                      });
}

std::optional<std::chrono::microseconds> stock_timers::turn_begins(std::optional<std::chrono::microseconds> most,
                                                                   scheduler_queue& ready) noexcept
{
    using std::chrono::microseconds;
    constexpr microseconds at_once{0};
    if (!used_.load())
        return most;
    const lock held(mutex_);
    std::array<time_point, clocks> next;
    next.fill(time_point::max());
    for (std::size_t i = 0; i != clocks; ++i)
    {
        queue& q = queues_[i];
        if (!q.wheel || q.wheel->empty())
            continue;
        const time_point now = q.now();
        expire(q, now, ready);
        if (!ready.empty())
            most = at_once;
        if (most == at_once)
            continue;
        next[i] = q.wheel->next_wakeup().value_or(time_point::max());
        // Up to the next microsecond: a turn that ends too early is one in vain.
        const auto left = next[i] > now ? std::chrono::ceil<microseconds>(std::min(next[i] - now, longest)) : at_once;
        most = most ? std::min(*most, left) : left;
    }
    waiting_ = most != at_once;
    if (waiting_)
        for (std::size_t i = 0; i != clocks; ++i)
            queues_[i].awaited.store(next[i].time_since_epoch().count(), std::memory_order_relaxed);
    return most;
}

void stock_timers::turn_ends(std::size_t delivered, scheduler_queue& ready) noexcept
{
    if (!std::exchange(waiting_, false))
        return;
    for (queue& q : queues_)
        q.awaited.store(none, std::memory_order_relaxed);
    if (delivered)
        return; // what is due by now is for the next turn, which follows at once
    const lock held(mutex_);
    for (queue& q : queues_)
        if (q.wheel && !q.wheel->empty())
            expire(q, q.now(), ready);
}

void stock_timers::shutdown(scheduler_queue& abandoned) noexcept
{
    const lock held(mutex_);
    stopped_ = true;
    timer_list all;
    for (queue& q : queues_)
        if (q.wheel)
            q.wheel->take_all(all);
    while (timer_node* const node = all.pop_front())
        drop(static_cast<stock_timer&>(*node), abandoned);
}

// The lock is held in all of these.

void stock_timers::expire(queue& from, time_point now, scheduler_queue& ready) noexcept
{
    timer_list due;
    from.wheel->expire(now, due, batch);
    while (timer_node* const node = due.pop_front())
        drop(static_cast<stock_timer&>(*node), ready);
}

void stock_timers::drop(stock_timer& timer, scheduler_queue& into) noexcept
{
    if (std::exchange(timer.with_cancellers_, false))
        for_each_wait(timer, release);
    timer.pending_.store(0, std::memory_order_relaxed);
    if (timer.waits_.empty()) // all cancelled
        return;
    fetch_soon(*timer.waits_.front());
    into.push(timer.waits_);
}

// The scheduler is about to run it: handler and work are in the second cache line.
void stock_timers::fetch_soon(const scheduler_operation& wait) noexcept
{
    __builtin_prefetch(&wait, 1);
    __builtin_prefetch(reinterpret_cast<const char*>(&wait) + 64, 1);
}

std::size_t stock_timers::abort(stock_timer& timer, std::size_t most, scheduler_queue& aborted) noexcept
{
    const std::uint32_t pending = timer.pending_.load(std::memory_order_relaxed);
    if (pending == 1 && most != 0 && !timer.with_cancellers_) [[likely]]
    {
        // Nothing of the operation is read: with many timers it is in memory, and whoever reads it waits.
        auto& wait = static_cast<wait_operation&>(*timer.waits_.front());
        fetch_soon(wait);
        wait.task_result_ = 1;
        aborted.push(timer.waits_);
        timer.pending_.store(0, std::memory_order_relaxed);
        return 1;
    }
    std::size_t count = 0;
    while (auto* const wait = static_cast<wait_operation*>(count != most ? timer.waits_.front() : nullptr))
    {
        timer.waits_.pop();
        release(*wait);
        wait->task_result_ = 1;
        aborted.push(wait);
        ++count;
    }
    timer.pending_.store(pending - static_cast<std::uint32_t>(count), std::memory_order_relaxed);
    if (timer.waits_.empty())
        timer.with_cancellers_ = false;
    return count;
}

// Parts a wait from its canceller, which then has nothing to cancel.
void stock_timers::release(wait_operation& wait) noexcept
{
    if (stock_wait_canceller* const named = std::exchange(wait.canceller_, nullptr))
        named->timers_.store(nullptr, std::memory_order_release);
}

} // namespace zsync::detail
