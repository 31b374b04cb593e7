// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/detail/asio.hpp>
#include <zsync/core/engine.hpp>
#include <zsync/core/light_mutex.hpp>
#include <zsync/core/metrics.hpp>
#include <zsync/core/timer_wheel.hpp>

#include <boost/asio/cancellation_type.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>

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
    friend class stock_timers;

    stock_wait_canceller* canceller_ = nullptr; // null: it has no cancellation slot, or the slot is empty again
};

/// What a stock timer has in the queue: it is part of the timer object, and waits hang from it.
///
/// The object is used by one thread at a time, its owner; the thread that takes the turns expires it meanwhile.
class stock_timer : public timer_node
{
public:
    /// Says whether waits are pending. For the owner: nobody else adds one, so that false is more than a moment's
    /// truth.
    bool pending() const noexcept { return pending_.load(std::memory_order_relaxed) != 0; }

private:
    friend class stock_timers;

    // Guarded by the lock, but for the owner's reads of pending_, which say nothing about other memory.
    scheduler_queue waits_;                 // first in, first out; not empty only if linked
    std::atomic<std::uint32_t> pending_{0}; // how many there are
    bool with_cancellers_ = false;          // one of the waits may have one
    bool entered_ = false;                  // the owner's: it may be linked
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

/// The stock timers of a context: a wheel for each clock, and who waits.
///
/// A timer whose waits are cancelled stays in its place in the wheel until that comes up, or the timer gets an earlier
/// deadline, or dies: a time-out that is set, cancelled and set again, later, moves nothing.
///
/// Any thread may call these functions, but for turn_begins() and turn_ends(), which are for the thread that takes the
/// engine's turn. None blocks.
class stock_timers
{
public:
    using time_point = timer_wheel::clock::time_point;

    /// Which clock a deadline is a time of. Of the wall clock, nanoseconds since 1970.
    enum class clock : std::size_t
    {
        steady,
        wall
    };

    stock_timers(scheduler& runs, engine& waits, bool locking) noexcept;

    /// Makes the wheel of a clock, unless there is one. @throws std::bad_alloc. Returns whether it was made.
    bool use(clock which);

    /// Starts a wait, which counts as work of the scheduler until its handler has run. Waits of one timer that are
    /// pending at once have the same deadline. The wheel of the clock must exist.
    void start(clock which, stock_timer& timer, time_point deadline, wait_operation& wait, stock_wait_canceller* named);

    /// Cancels the oldest `most` waits of a timer; returns how many there were to cancel.
    std::size_t cancel(stock_timer& timer, std::size_t most) noexcept;

    /// Takes a timer without waits out of the wheel, for its end.
    void remove(clock which, stock_timer& timer) noexcept;

    /// Lets `to`, which has been removed, or is new, take over from `from`.
    void move(clock which, stock_timer& from, stock_timer& to) noexcept;

    /// Pushes what is due, and returns how long the turn that follows may wait: `most`, or until the next timer.
    std::optional<std::chrono::microseconds> turn_begins(std::optional<std::chrono::microseconds> most,
                                                         scheduler_queue& ready) noexcept;

    /// Ends what turn_begins() began. `delivered`: how many operations the turn has delivered.
    void turn_ends(std::size_t delivered, scheduler_queue& ready) noexcept;

    /// Moves all waits into `abandoned`. What is started from here on is cancelled at once.
    void shutdown(scheduler_queue& abandoned) noexcept;

    /// Counts the waits started so far.
    std::uint64_t started() const noexcept { return started_.load(); }

    /// Replaces the source of a clock's time, for tests. Its wheel must not exist yet.
    void read_clock(clock which, time_point (*now)() noexcept) noexcept { queue_of(which).now = now; }

private:
    friend class stock_wait_canceller;

    /// Expires no more at once, so that what becomes ready is still in the cache when it runs. Chosen.
    static constexpr std::size_t batch = 256;

    static constexpr std::size_t clocks = 2;

    using lock = std::unique_lock<light_mutex>;

    struct queue
    {
        std::unique_ptr<timer_wheel> wheel;
        time_point (*now)() noexcept;

        // A turn waits until then, and an earlier deadline must wake it. Least of all: none waits. Set under the lock,
        // before the wheel is last asked; reset without, which at worst wakes a turn that no longer sleeps.
        std::atomic<time_point::rep> awaited{none};
    };

    static constexpr time_point::rep none = time_point::min().time_since_epoch().count();

    queue& queue_of(clock which) noexcept { return queues_[static_cast<std::size_t>(which)]; }
    void expire(queue& from, time_point now, scheduler_queue& ready) noexcept;
    static void release(wait_operation& wait) noexcept;
    static void fetch_soon(const scheduler_operation& wait) noexcept;
    template <class Visitor>
    static void for_each_wait(stock_timer& timer, Visitor visit) noexcept;
    static void drop(stock_timer& timer, scheduler_queue& into) noexcept;
    static std::size_t abort(stock_timer& timer, std::size_t most, scheduler_queue& aborted) noexcept;
    void cancel(stock_wait_canceller& named) noexcept;
    void forget(stock_wait_canceller& named) noexcept;

    scheduler& scheduler_;
    engine& engine_;
    light_mutex mutex_;
    std::atomic<bool> used_{false}; // there is a wheel
    bool stopped_ = false;
    bool waiting_ = false; // the turn that began may wait; for the thread that takes it
    counter started_;      // written under the lock
    std::array<queue, clocks> queues_;
};

} // namespace zsync::detail
