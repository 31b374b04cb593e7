// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/sync/detail/agent_wait.hpp>
#include <zsync/sync/detail/handler_wait.hpp>
#include <zsync/sync/detail/notice.hpp>

#include <boost/asio/async_result.hpp>
#include <boost/system/error_code.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <utility>

namespace zsync
{

namespace detail
{

/// A wait for a lock, shared or not.
class shared_request : public notice
{
public:
    shared_request(complete_function complete, bool shares) noexcept : notice(complete), shared(shares) {}

    const bool shared;

protected:
    ~shared_request() = default;
};

} // namespace detail

/// A mutex that many may share, or one may have alone; for fibers, threads and handlers alike.
///
/// First come, first served: who wants to share waits behind whoever waits already, so that a stream of readers does
/// not keep a writer out; the readers that wait next to each other get in together. Hence who shares the mutex must not
/// lock it again to share it: a writer may wait in between.
///
/// Works with std::shared_lock and the other locks. Everything else is as for mutex.
class shared_mutex final : private detail::wait_queue
{
public:
    shared_mutex() noexcept = default;

    /// Locks, alone. Suspends the fiber or blocks the thread. @throws as mutex::lock().
    void lock()
    {
        if (!try_lock())
            detail::throw_failed(lock_contended(false, detail::no_deadline), "shared_mutex::lock");
    }

    /// The same; stores the error, or success.
    void lock(boost::system::error_code& ec) { try_lock_until(detail::no_deadline, ec); }

    /// Locks, alone, if that is possible at once. Never blocks; no cancellation point.
    bool try_lock() noexcept
    {
        std::uintptr_t expected = 0;
        return state_.compare_exchange_strong(expected, writer, std::memory_order_acquire, std::memory_order_relaxed);
    }

    /// Locks, or returns false if that takes longer than given. @throws as lock().
    bool try_lock_until(detail::sync_clock::time_point deadline)
    {
        return try_lock() || detail::in_time(lock_contended(false, deadline), "shared_mutex::try_lock_until");
    }

    template <class Rep, class Period>
    bool try_lock_for(const std::chrono::duration<Rep, Period>& time)
    {
        return try_lock_until(detail::deadline_after(time));
    }

    /// The same; stores the error: error::timed_out, or what lock() reports. Returns whether the mutex was locked.
    bool try_lock_until(detail::sync_clock::time_point deadline, boost::system::error_code& ec)
    {
        ec = try_lock() ? boost::system::error_code() : lock_contended(false, deadline);
        return !ec;
    }

    /// Lets go of it, or hands it over. Never blocks; any thread.
    void unlock() noexcept
    {
        std::uintptr_t expected = writer;
        if (!state_.compare_exchange_strong(expected, 0, std::memory_order_release, std::memory_order_relaxed))
            hand_over(writer);
    }

    /// Locks for a handler: `void(error_code)`. As mutex::async_lock().
    template <BOOST_ASIO_COMPLETION_TOKEN_FOR(void(boost::system::error_code)) Token>
    auto async_lock(Token&& token)
    {
        return initiate(false, token);
    }

    // The same four, to share.

    void lock_shared()
    {
        if (!try_lock_shared())
            detail::throw_failed(lock_contended(true, detail::no_deadline), "shared_mutex::lock_shared");
    }

    void lock_shared(boost::system::error_code& ec) { try_lock_shared_until(detail::no_deadline, ec); }

    /// False also where only somebody waits to have the mutex alone.
    bool try_lock_shared() noexcept
    {
        std::uintptr_t now = state_.load(std::memory_order_relaxed);
        while (!(now & (awaited | writer)))
        {
            if (state_.compare_exchange_weak(now, now + reader, std::memory_order_acquire, std::memory_order_relaxed))
                return true;
        }
        return false;
    }

    bool try_lock_shared_until(detail::sync_clock::time_point deadline)
    {
        return try_lock_shared() ||
               detail::in_time(lock_contended(true, deadline), "shared_mutex::try_lock_shared_until");
    }

    template <class Rep, class Period>
    bool try_lock_shared_for(const std::chrono::duration<Rep, Period>& time)
    {
        return try_lock_shared_until(detail::deadline_after(time));
    }

    bool try_lock_shared_until(detail::sync_clock::time_point deadline, boost::system::error_code& ec)
    {
        ec = try_lock_shared() ? boost::system::error_code() : lock_contended(true, deadline);
        return !ec;
    }

    void unlock_shared() noexcept
    {
        std::uintptr_t now = state_.load(std::memory_order_relaxed);
        while (!(now & awaited))
        {
            if (state_.compare_exchange_weak(now, now - reader, std::memory_order_release, std::memory_order_relaxed))
                return;
        }
        hand_over(reader);
    }

    template <BOOST_ASIO_COMPLETION_TOKEN_FOR(void(boost::system::error_code)) Token>
    auto async_lock_shared(Token&& token)
    {
        return initiate(true, token);
    }

private:
    static constexpr std::uintptr_t awaited = 1; // somebody waits
    static constexpr std::uintptr_t writer = 2;  // somebody has it alone
    static constexpr std::uintptr_t reader = 4;  // times how many share it

    template <class Token>
    auto initiate(bool shared, Token& token)
    {
        return boost::asio::async_initiate<Token, void(boost::system::error_code)>(
            [this]<class Handler>(Handler&& handler, bool shares)
            {
                using waiting = detail::handler_wait<detail::shared_request, std::decay_t<Handler>>;
                start(waiting::make(std::decay_t<Handler>(std::forward<Handler>(handler)), *this, shares));
            },
            token, shared);
    }

    boost::system::error_code lock_contended(bool shared, detail::sync_clock::time_point deadline);
    bool lock_or_wait(detail::shared_request& node) noexcept;
    void start(detail::shared_request& node) noexcept;
    void hand_over(std::uintptr_t share) noexcept;
    void withdrawn(detail::woken_list& woken) noexcept override;

    // Without awaited it is changed by whoever locks and unlocks; with it only under the queue's lock, where also
    // awaited itself is changed: it is there exactly as long as the list is not empty. Release at the unlocks pairs
    // with acquire at the locks, and at a hand-over, which is ordered by the queue's lock and by the notification.
    std::atomic<std::uintptr_t> state_{0};
    detail::wait_list waiters_; // of shared_requests
};

} // namespace zsync
