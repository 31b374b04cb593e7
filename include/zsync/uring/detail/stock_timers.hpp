// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/detail/asio.hpp>
#include <zsync/core/detail/single_threaded.hpp>
#include <zsync/core/engine.hpp>
#include <zsync/core/light_mutex.hpp>
#include <zsync/core/metrics.hpp>
#include <zsync/core/timer_wheel.hpp>
#include <zsync/uring/detail/stock_timer.hpp>
#include <zsync/uring/detail/wait_memory.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

namespace zsync::detail
{

/// The stock timers of a context: a wheel for each clock, and who waits.
///
/// A timer whose waits are cancelled stays in its place in the wheel until that comes up, or the timer gets an earlier
/// deadline, or dies: a time-out that is set, cancelled and set again, later, moves nothing.
///
/// Cancelled waits are delivered by the next turn, all at once, and not each by a post of its own: behind what is in
/// the scheduler's queue by then.
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
    void start(clock which, stock_timer& timer, time_point deadline, wait_operation& wait,
               stock_wait_canceller* named) noexcept;

    /// Returns wait_memory::block_bytes for a wait to be made in, or nullptr where the memory that Asio keeps for each
    /// running thread is the better choice: there is more than one thread, and this is one of them.
    /// @throws std::bad_alloc
    void* take_memory()
    {
        if (!single_threaded() && inside_asio_run())
            return nullptr;
        const section held(mutex_);
        return memory_.take();
    }

    void give_back(void* memory) noexcept
    {
        const section held(mutex_);
        memory_.give_back(memory);
    }

    /// Cancels the oldest `most` waits of a timer; returns how many there were to cancel.
    std::size_t cancel(stock_timer& timer, std::size_t most) noexcept;

    /// Takes a timer without waits out of the wheel, for its end.
    void remove(clock which, stock_timer& timer) noexcept;

    /// Lets `to`, which has been removed, or is new, take over from `from`.
    void move(clock which, stock_timer& from, stock_timer& to) noexcept;

    /// Pushes what is due or cancelled, and returns how long the turn that follows may wait: `most`, or until the next
    /// timer.
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

    // Locks, unless there is one thread: none is started in here.
    class section
    {
    public:
        explicit section(light_mutex& mutex) noexcept : mutex_(single_threaded() ? nullptr : &mutex)
        {
            if (mutex_)
                mutex_->lock();
        }

        section(const section&) = delete;
        section& operator=(const section&) = delete;
        ~section() { unlock(); }

        void unlock() noexcept
        {
            if (mutex_)
                std::exchange(mutex_, nullptr)->unlock();
        }

    private:
        light_mutex* mutex_;
    };

    struct queue
    {
        std::unique_ptr<timer_wheel> wheel;
        time_point (*now)() noexcept;
        time_point read_last{}; // for the thread that takes the turns

        // A turn waits until then, and an earlier deadline must wake it. Least of all: none waits. Set under the lock,
        // before the wheel is last asked; reset without, which at worst wakes a turn that no longer sleeps.
        std::atomic<time_point::rep> awaited{none};
    };

    static constexpr time_point::rep none = time_point::min().time_since_epoch().count();

    queue& queue_of(clock which) noexcept { return queues_[static_cast<std::size_t>(which)]; }
    void expire(queue& from, scheduler_queue& ready) noexcept;
    std::optional<std::chrono::microseconds> wait_until_next(std::optional<std::chrono::microseconds> most) noexcept;
    static void release(wait_operation& wait) noexcept;
    static void drop(stock_timer& timer, scheduler_queue& into) noexcept;
    std::size_t abort_several(stock_timer& timer, std::size_t most) noexcept;
    void add_aborted(wait_operation& wait) noexcept;
    void move_aborted(scheduler_queue& into) noexcept;
    bool nothing_aborted() const noexcept { return aborted_.empty() && fetched_count_ == 0; }
    void wake_for_aborted(section& held) noexcept;
    void cancel(stock_wait_canceller& named) noexcept;
    void forget(stock_wait_canceller& named) noexcept;

    scheduler& scheduler_;
    engine& engine_;
    light_mutex mutex_;
    std::atomic<bool> used_{false}; // there is a wheel
    bool stopped_ = false;
    bool waiting_ = false; // the turn that began may wait; for the thread that takes it

    // That turn must be woken when there is something to deliver. Set under the lock, like `awaited`.
    std::atomic<bool> wake_to_deliver_{false};

    // Waits that were cancelled, for the next turn; the last few of them are still being fetched from memory.
    scheduler_queue aborted_;
    std::array<wait_operation*, 16> fetched_{}; // chosen
    std::size_t fetched_count_ = 0;             // of all that have ever been in it
    wait_memory memory_;
    counter started_; // written under the lock
    std::array<queue, clocks> queues_;
};

} // namespace zsync::detail
