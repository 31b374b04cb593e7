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
    const section held(mutex_);
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
                         stock_wait_canceller* named) noexcept
{
    scheduler_.work_started(); // before the start: another thread may run the handler before this one is back
    section held(mutex_);
    if (stopped_) [[unlikely]]
    {
        held.unlock();
        wait.task_result_ = 1;
        scheduler_.post_deferred_completion(&wait);
        return;
    }
    ++started_;
    queue& q = queue_of(which);
    if (!timer.pending())
    {
        q.wheel->rearm(timer, deadline);
        timer.entered_ = true;
    }
    timer.push(wait);
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
    section held(mutex_);
    wait_operation* const only = timer.first();
    if (!only)
        return 0; // expired, just now
    std::size_t count = 1;
    if (!timer.several_ && !timer.with_cancellers_ && most != 0) [[likely]]
    {
        add_aborted(*only);
        timer.set_first(nullptr);
    }
    else
    {
        count = abort_several(timer, most);
    }
    wake_for_aborted(held);
    return count;
}

// With many timers the wait is not in the cache, and whoever reads or writes it has to wait in turn.
void stock_timers::add_aborted(wait_operation& wait) noexcept
{
    __builtin_prefetch(&wait, 1);
    wait_operation*& place = fetched_[fetched_count_++ % fetched_.size()];
    if (wait_operation* const arrived = std::exchange(place, &wait))
    {
        arrived->task_result_ = 1;
        aborted_.push(arrived);
    }
}

void stock_timers::move_aborted(scheduler_queue& into) noexcept
{
    into.push(aborted_);
    const std::size_t end = fetched_count_;
    for (std::size_t i = end - std::min(end, fetched_.size()); i != end; ++i)
    {
        wait_operation* const wait = std::exchange(fetched_[i % fetched_.size()], nullptr);
        wait->task_result_ = 1;
        into.push(wait);
    }
    fetched_count_ = 0;
}

// What has been cancelled is for the next turn. There is one, as the scheduler's queue holds its task whenever that is
// not running; and if it is, and may wait, it is woken.
void stock_timers::wake_for_aborted(section& held) noexcept
{
    if (!wake_to_deliver_.load(std::memory_order_relaxed) || nothing_aborted())
        return;
    wake_to_deliver_.store(false, std::memory_order_relaxed);
    held.unlock();
    engine_.wake();
}

void stock_timers::cancel(stock_wait_canceller& named) noexcept
{
    section held(mutex_);
    if (!named.timers_.load(std::memory_order_relaxed))
        return;
    stock_timer& timer = *named.timer_;
    wait_operation* const cancelled = named.wait_;
    scheduler_queue others;
    while (wait_operation* const wait = timer.pop())
        if (wait != cancelled)
            others.push(wait);
    while (auto* const wait = static_cast<wait_operation*>(others.front()))
    {
        others.pop();
        timer.push(*wait);
    }
    release(*cancelled);
    if (!timer.pending())
        timer.with_cancellers_ = false;
    add_aborted(*cancelled);
    wake_for_aborted(held);
}

void stock_timers::forget(stock_wait_canceller& named) noexcept
{
    const section held(mutex_);
    if (named.timers_.load(std::memory_order_relaxed))
        release(*named.wait_);
}

void stock_timers::remove(clock which, stock_timer& timer) noexcept
{
    if (!timer.entered_)
        return;
    timer.entered_ = false;
    const section held(mutex_);
    if (timer.linked())
        queue_of(which).wheel->cancel(timer);
}

void stock_timers::move(clock which, stock_timer& from, stock_timer& to) noexcept
{
    if (!from.entered_)
        return;
    from.entered_ = false;
    to.entered_ = true;
    const section held(mutex_);
    queue_of(which).wheel->move(from, to);
    to.set_first(from.first());
    from.set_first(nullptr);
    to.several_ = std::exchange(from.several_, false);
    to.with_cancellers_ = std::exchange(from.with_cancellers_, false);
    if (!to.with_cancellers_)
        return;
    for (wait_operation* wait = to.first(); wait; wait = to.next_of(*wait))
        if (wait->canceller_)
            wait->canceller_->timer_ = &to;
}

std::optional<std::chrono::microseconds> stock_timers::turn_begins(std::optional<std::chrono::microseconds> most,
                                                                   scheduler_queue& ready) noexcept
{
    using std::chrono::microseconds;
    constexpr microseconds at_once{0};
    if (!used_.load())
        return most;
    const section held(mutex_);
    if (!nothing_aborted())
    {
        move_aborted(ready);
        most = at_once;
    }
    for (queue& q : queues_)
        if (q.wheel && !q.wheel->empty())
            expire(q, ready);
    if (!ready.empty())
        most = at_once;
    waiting_ = most != at_once;
    return waiting_ ? wait_until_next(most) : most;
}

// Publishes until when the turn waits, and that it does.
std::optional<std::chrono::microseconds>
stock_timers::wait_until_next(std::optional<std::chrono::microseconds> most) noexcept
{
    using std::chrono::microseconds;
    for (queue& q : queues_)
    {
        time_point next = time_point::max();
        if (q.wheel && !q.wheel->empty())
        {
            next = q.wheel->next_wakeup().value_or(next);
            // Up to the next microsecond: a turn that ends too early is one in vain.
            const auto left = next > q.read_last ? std::min(next - q.read_last, longest) : time_point::duration::zero();
            const auto rounded = std::chrono::ceil<microseconds>(left);
            most = most ? std::min(*most, rounded) : rounded;
        }
        q.awaited.store(next.time_since_epoch().count(), std::memory_order_relaxed);
    }
    wake_to_deliver_.store(true, std::memory_order_relaxed);
    return most;
}

void stock_timers::turn_ends(std::size_t delivered, scheduler_queue& ready) noexcept
{
    if (!std::exchange(waiting_, false))
        return;
    wake_to_deliver_.store(false, std::memory_order_relaxed);
    for (queue& q : queues_)
        q.awaited.store(none, std::memory_order_relaxed);
    if (delivered)
        return; // what is due or cancelled by now is for the next turn, which follows at once
    const section held(mutex_);
    move_aborted(ready);
    for (queue& q : queues_)
        if (q.wheel && !q.wheel->empty())
            expire(q, ready);
}

void stock_timers::shutdown(scheduler_queue& abandoned) noexcept
{
    const section held(mutex_);
    stopped_ = true;
    move_aborted(abandoned);
    timer_list all;
    for (queue& q : queues_)
        if (q.wheel)
            q.wheel->take_all(all);
    while (timer_node* const node = all.pop_front())
        drop(static_cast<stock_timer&>(*node), abandoned);
}

// The lock is held in all of these.

void stock_timers::expire(queue& from, scheduler_queue& ready) noexcept
{
    from.read_last = from.now();
    timer_list due;
    if (from.wheel->expire(from.read_last, due, batch) == 0)
        return;
    while (timer_node* const node = due.pop_front())
        drop(static_cast<stock_timer&>(*node), ready);
}

void stock_timers::drop(stock_timer& timer, scheduler_queue& into) noexcept
{
    if (!timer.several_ && !timer.with_cancellers_) [[likely]]
    {
        wait_operation* const wait = timer.first();
        if (!wait)
            return;                  // cancelled
        __builtin_prefetch(wait, 1); // the scheduler is about to run it
        timer.set_first(nullptr);
        into.push(wait);
        return;
    }
    while (wait_operation* const wait = timer.pop())
    {
        release(*wait);
        into.push(wait);
    }
    timer.with_cancellers_ = false;
}

std::size_t stock_timers::abort_several(stock_timer& timer, std::size_t most) noexcept
{
    std::size_t count = 0;
    for (; count != most && timer.pending(); ++count)
    {
        wait_operation* const wait = timer.pop();
        release(*wait);
        add_aborted(*wait);
    }
    if (!timer.pending())
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
