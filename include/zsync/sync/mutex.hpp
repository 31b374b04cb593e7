// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/sync/detail/agent_wait.hpp>
#include <zsync/sync/detail/handler_wait.hpp>
#include <zsync/sync/detail/notice.hpp>
#include <zsync/sync/detail/notice_case.hpp>

#include <boost/asio/async_result.hpp>
#include <boost/system/error_code.hpp>

#include <atomic>
#include <chrono>
#include <utility>

namespace zsync
{

namespace detail
{
class locking_notice;
}

/// A mutex for fibers, threads and handlers alike: whoever waits for it is suspended as what it is.
///
/// Works with std::lock_guard, std::unique_lock and std::scoped_lock. Not recursive. Has no owner: what one fiber or
/// thread has locked another may unlock.
///
/// @par Order
/// First come, first served: unlock() hands the mutex over to the one that has waited longest, and nobody can get in
/// between. That costs throughput where threads fight for a short section (light_mutex is for that); in exchange no one
/// starves.
///
/// @par Cancellation and deadlines
/// A lock() that has to wait is a cancellation point: see task_cancellation. One that gets the mutex at once is not,
/// and neither looks at a request nor at the clock. A lock that has been acquired is reported as acquired, and a
/// request that came at the same time stays pending.
///
/// @par Thread safety
/// All may be called by several threads at once. The mutex must outlive every wait for it; the last one to hold it may
/// destroy it after unlock() by another has handed it over.
class mutex final : private detail::wait_queue
{
public:
    mutex() noexcept = default;

    /// Locks. Suspends the fiber or blocks the thread while another holds the mutex.
    /// @throws boost::system::system_error with operation_aborted: a cancellation request was delivered;
    ///         resource_deadlock_would_occur: the caller must not wait here, see agent::may_wait().
    void lock()
    {
        if (!try_lock()) [[unlikely]]
            detail::throw_failed(lock_contended(detail::no_deadline), "mutex::lock");
    }

    /// The same; stores the error, or success.
    void lock(boost::system::error_code& ec)
    {
        if (try_lock()) [[likely]]
            ec.clear();
        else
            ec = lock_contended(detail::no_deadline);
    }

    /// Locks if that is possible at once. Never blocks; no cancellation point.
    bool try_lock() noexcept
    {
        // Looks first: an exchange that fails costs as much as one that does not.
        int expected = state_.load(std::memory_order_relaxed);
        return expected == free &&
               state_.compare_exchange_strong(expected, held, std::memory_order_acquire, std::memory_order_relaxed);
    }

    /// Locks, or returns false if that takes longer than given. Suspends the fiber or blocks the thread. @throws as
    /// lock().
    bool try_lock_until(detail::sync_clock::time_point deadline)
    {
        return try_lock() || detail::in_time(lock_contended(deadline), "mutex::try_lock_until");
    }

    template <class Rep, class Period>
    bool try_lock_for(const std::chrono::duration<Rep, Period>& time)
    {
        return try_lock() || try_lock_until(detail::deadline_after(time));
    }

    /// The same; stores the error: error::timed_out, or what lock() reports. Returns whether the mutex was locked.
    bool try_lock_until(detail::sync_clock::time_point deadline, boost::system::error_code& ec)
    {
        ec = try_lock() ? boost::system::error_code() : lock_contended(deadline);
        return !ec;
    }

    template <class Rep, class Period>
    bool try_lock_for(const std::chrono::duration<Rep, Period>& time, boost::system::error_code& ec)
    {
        return try_lock_until(detail::deadline_after(time), ec);
    }

    /// Lets go of it, or hands it over. Never blocks; any thread.
    void unlock() noexcept
    {
        int expected = state_.load(std::memory_order_relaxed);
        if (expected != held || !state_.compare_exchange_strong(expected, free, std::memory_order_release,
                                                                std::memory_order_relaxed)) [[unlikely]]
            hand_over();
    }

    /// Locks for a handler. Completes when the mutex is held: `void(error_code)`.
    ///
    /// Never completes inline; never blocks. All types of cancellation end the wait with operation_aborted, and then
    /// the mutex is not held. The handler needs an associated executor.
    template <BOOST_ASIO_COMPLETION_TOKEN_FOR(void(boost::system::error_code)) Token>
    auto async_lock(Token&& token)
    {
        return boost::asio::async_initiate<Token, void(boost::system::error_code)>(
            [this]<class Handler>(Handler&& handler)
            {
                using wait = detail::handler_wait<detail::notice, std::decay_t<Handler>>;
                start(wait::make(std::decay_t<Handler>(std::forward<Handler>(handler)), *this));
            },
            token);
    }

    /// What select() takes: its result<void> is success, and the mutex is held.
    auto locking() noexcept { return detail::notice_case(*this); }

private:
    friend class condition_variable;
    friend class detail::notice_case<mutex>;
    friend class detail::locking_notice;

    static constexpr int free = 0;
    static constexpr int held = 1;
    static constexpr int awaited = 2; // held, and somebody waits

    boost::system::error_code lock_contended(detail::sync_clock::time_point deadline);
    void lock_protected() noexcept;
    bool lock_or_wait(detail::wait_node& node) noexcept;
    bool try_enter() noexcept { return try_lock(); }
    bool enter(detail::wait_node& node) noexcept; // with the lists' lock held
    void start(detail::wait_node& node) noexcept;
    void hand_over() noexcept;
    void withdrawn(detail::woken_list&) noexcept override;

    // Between free and held it is changed by whoever locks and unlocks, without the queue's lock; to and from awaited
    // only under it, and it is awaited exactly as long as the list is not empty. Release at unlock() pairs with acquire
    // at the next lock; a hand-over is ordered by the queue's lock and by the notification.
    std::atomic<int> state_{free};
    detail::wait_list waiters_;
};

} // namespace zsync
