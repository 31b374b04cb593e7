// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/detail/asio.hpp>
#include <zsync/core/timer_wheel.hpp>

#include <boost/asio/cancellation_type.hpp>

#include <atomic>
#include <utility>

namespace zsync::detail
{

class stock_timers;
class stock_wait_canceller;

/// One asynchronous wait of a stock timer, as Asio's scheduler runs it.
class wait_operation : public scheduler_operation
{
public:
    /// Says whether the wait was cancelled. The scheduler hands the same number to func_type, as its byte count.
    bool aborted() const noexcept { return task_result_ != 0; }

protected:
    explicit wait_operation(func_type on_run) noexcept : scheduler_operation(on_run) {}
    ~wait_operation() = default;

private:
    friend class stock_timer;
    friend class stock_timers;

    stock_wait_canceller* canceller_ = nullptr; // null: it has no cancellation slot, or the slot is empty again
    wait_operation* last_;                      // of the first of several waits of a timer: the last one
};

/// What a stock timer has in the queue: it is part of the timer object, and waits hang from it.
///
/// The object is used by one thread at a time, its owner; the thread that takes the turns expires it meanwhile.
class stock_timer : public timer_node
{
public:
    /// Says whether waits are pending. For the owner: nobody else adds one, so that false is more than a moment's
    /// truth.
    bool pending() const noexcept { return first() != nullptr; }

private:
    friend class stock_timers;
    using links = scheduler_links;

    wait_operation* first() const noexcept { return first_.load(std::memory_order_relaxed); }
    void set_first(wait_operation* wait) noexcept { first_.store(wait, std::memory_order_relaxed); }

    // One wait is the common case, in which this reads and writes nothing of it: with many timers it is in memory, and
    // whoever reads it waits.
    void push(wait_operation& wait) noexcept
    {
        wait_operation* const first = this->first();
        if (!first)
        {
            set_first(&wait);
            return;
        }
        scheduler_operation* last = several_ ? first->last_ : first;
        links::next(last, static_cast<scheduler_operation*>(&wait));
        first->last_ = &wait;
        several_ = true;
    }

    // The oldest wait, nullptr if there is none.
    wait_operation* pop() noexcept
    {
        wait_operation* const oldest = first();
        if (!oldest || !several_)
        {
            set_first(nullptr);
            return oldest;
        }
        auto* const second = next_of(*oldest);
        several_ = second != oldest->last_;
        second->last_ = oldest->last_;
        set_first(second);
        return oldest;
    }

    wait_operation* next_of(wait_operation& wait) const noexcept
    {
        return static_cast<wait_operation*>(links::next(static_cast<scheduler_operation*>(&wait)));
    }

    // Guarded by the lock, but for the owner's reads of first_, which say nothing about other memory.
    std::atomic<wait_operation*> first_{nullptr}; // not null only if linked
    bool several_ = false;                        // there are more
    bool with_cancellers_ = false;                // one of the waits may have one
    bool entered_ = false;                        // the owner's: it may be linked
};

/// Cancels one wait when its slot is emitted. Lives in the slot; may outlive the wait, the timer and the context.
class stock_wait_canceller
{
public:
    stock_wait_canceller() = default;
    stock_wait_canceller(const stock_wait_canceller&) = delete;
    stock_wait_canceller& operator=(const stock_wait_canceller&) = delete;
    ~stock_wait_canceller();

    /// Terminal, partial and total all end the wait.
    void operator()(boost::asio::cancellation_type type) noexcept;

private:
    friend class stock_timers;

    // Null unless the wait is pending. Written under the lock; whoever reads it without has not lost anything if a wait
    // that is just ending still seems to be pending, since the lock is then taken and it is read again.
    std::atomic<stock_timers*> timers_{nullptr};
    stock_timer* timer_ = nullptr;
    wait_operation* wait_ = nullptr;
};

} // namespace zsync::detail
