// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/sync/detail/agent_wait.hpp>
#include <zsync/sync/detail/handler_wait.hpp>
#include <zsync/sync/detail/notice.hpp>
#include <zsync/sync/detail/notice_case.hpp>

#include <boost/asio/async_result.hpp>
#include <boost/assert.hpp>
#include <boost/system/error_code.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <limits>
#include <utility>

namespace zsync
{

namespace detail
{

/// A semaphore whatever its greatest count.
class semaphore_core final : public wait_queue
{
public:
    explicit semaphore_core(std::ptrdiff_t count) noexcept : state_(count * unit) {}

    bool try_acquire() noexcept
    {
        std::ptrdiff_t now = state_.load(std::memory_order_relaxed);
        while (now >= unit)
        {
            if (state_.compare_exchange_weak(now, now - unit, std::memory_order_acquire, std::memory_order_relaxed))
                return true;
        }
        return false;
    }

    void release(std::ptrdiff_t count) noexcept
    {
        std::ptrdiff_t now = state_.load(std::memory_order_relaxed);
        while (!(now & awaited))
        {
            if (state_.compare_exchange_weak(now, now + count * unit, std::memory_order_release,
                                             std::memory_order_relaxed))
                return;
        }
        hand_over(count);
    }

    boost::system::error_code acquire_contended(sync_clock::time_point deadline);
    void start(wait_node& node) noexcept;

    // For a selection, with the lock held.
    bool try_enter() noexcept { return try_acquire(); }
    bool enter(wait_node& node) noexcept;

private:
    static constexpr std::ptrdiff_t awaited = 1; // somebody waits, and the count is zero
    static constexpr std::ptrdiff_t unit = 2;

    bool acquire_or_wait(wait_node& node) noexcept;
    void hand_over(std::ptrdiff_t count) noexcept;
    void withdrawn(woken_list&) noexcept override;

    // The count, in units; changed by whoever acquires and releases without the queue's lock. To and from awaited it is
    // changed only under the lock, and it is awaited exactly as long as the list is not empty. Release at release()
    // pairs with acquire at the acquisitions.
    std::atomic<std::ptrdiff_t> state_;
    wait_list waiters_;
};

} // namespace detail

/// A count of units to be had, for fibers, threads and handlers alike: whoever finds none waits for one.
///
/// First come, first served: release() hands a unit over to the one that has waited longest. Cancellation, deadlines
/// and thread safety are as for mutex: an acquisition that has to wait is a cancellation point, and a unit that has
/// been acquired is reported as acquired.
///
/// @tparam Max the greatest count there can be.
template <std::ptrdiff_t Max = std::numeric_limits<std::ptrdiff_t>::max() / 2>
class counting_semaphore
{
    static_assert(Max >= 0 && Max <= std::numeric_limits<std::ptrdiff_t>::max() / 2);

public:
    static constexpr std::ptrdiff_t max() noexcept { return Max; }

    explicit counting_semaphore(std::ptrdiff_t count) noexcept : core_(count)
    {
        BOOST_ASSERT(count >= 0 && count <= Max);
    }

    /// Takes a unit. Suspends the fiber or blocks the thread until there is one. @throws as mutex::lock().
    void acquire()
    {
        if (!try_acquire())
            detail::throw_failed(core_.acquire_contended(detail::no_deadline), "semaphore::acquire");
    }

    /// The same; stores the error, or success.
    void acquire(boost::system::error_code& ec) { try_acquire_until(detail::no_deadline, ec); }

    /// Takes a unit if there is one. Never blocks; no cancellation point.
    bool try_acquire() noexcept { return core_.try_acquire(); }

    /// Takes a unit, or returns false if that takes longer than given. @throws as acquire().
    bool try_acquire_until(detail::sync_clock::time_point deadline)
    {
        return try_acquire() || detail::in_time(core_.acquire_contended(deadline), "semaphore::try_acquire_until");
    }

    template <class Rep, class Period>
    bool try_acquire_for(const std::chrono::duration<Rep, Period>& time)
    {
        return try_acquire() || try_acquire_until(detail::deadline_after(time));
    }

    /// The same; stores the error: error::timed_out, or what acquire() reports. Returns whether it has a unit.
    bool try_acquire_until(detail::sync_clock::time_point deadline, boost::system::error_code& ec)
    {
        ec = try_acquire() ? boost::system::error_code() : core_.acquire_contended(deadline);
        return !ec;
    }

    template <class Rep, class Period>
    bool try_acquire_for(const std::chrono::duration<Rep, Period>& time, boost::system::error_code& ec)
    {
        return try_acquire_until(detail::deadline_after(time), ec);
    }

    /// Adds units, of which the longest waiting get one each. Never blocks; any thread. The count must not exceed Max.
    void release(std::ptrdiff_t count = 1) noexcept
    {
        BOOST_ASSERT(count >= 0 && count <= Max);
        core_.release(count);
    }

    /// Takes a unit for a handler: `void(error_code)`. As mutex::async_lock().
    template <BOOST_ASIO_COMPLETION_TOKEN_FOR(void(boost::system::error_code)) Token>
    auto async_acquire(Token&& token)
    {
        return boost::asio::async_initiate<Token, void(boost::system::error_code)>(
            [this]<class Handler>(Handler&& handler)
            {
                using wait = detail::handler_wait<detail::notice, std::decay_t<Handler>>;
                core_.start(wait::make(std::decay_t<Handler>(std::forward<Handler>(handler)), core_));
            },
            token);
    }

    /// What select() takes: its result<void> is success, and there is a unit less.
    auto acquiring() noexcept { return detail::notice_case(core_); }

private:
    detail::semaphore_core core_;
};

using binary_semaphore = counting_semaphore<1>;

} // namespace zsync
