// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/sync/event.hpp>

#include <boost/assert.hpp>
#include <boost/system/error_code.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <utility>

namespace zsync
{

/// A count that is counted down, once: whoever waits goes on when it comes to zero. For fibers, threads and handlers.
///
/// What was done before a count_down() is seen by whoever has waited. Cancellation, deadlines, thread safety and
/// lifetime are as for event.
class latch
{
public:
    /// `count` is not negative.
    explicit latch(std::ptrdiff_t count) noexcept : left_(count), zero_(count == 0) { BOOST_ASSERT(count >= 0); }

    /// Counts down, by no more than is left. Never blocks; any thread.
    void count_down(std::ptrdiff_t by = 1) noexcept
    {
        BOOST_ASSERT(by >= 0);
        if (by == 0)
            return;
        const std::ptrdiff_t before = left_.fetch_sub(by, std::memory_order_acq_rel);
        BOOST_ASSERT(before >= by);
        if (before == by)
            zero_.set();
    }

    /// Says whether it has come to zero. Never blocks.
    bool try_wait() const noexcept { return zero_.is_set(); }

    /// Waits for zero. Suspends the fiber or blocks the thread. @throws as mutex::lock().
    void wait() { zero_.wait(); }

    /// The same; stores the error, or success.
    void wait(boost::system::error_code& ec) { zero_.wait(ec); }

    /// Waits, or returns false if that takes longer than given. @throws as wait().
    bool try_wait_until(detail::sync_clock::time_point deadline) { return zero_.try_wait_until(deadline); }

    template <class Rep, class Period>
    bool try_wait_for(const std::chrono::duration<Rep, Period>& time)
    {
        return zero_.try_wait_for(time);
    }

    /// The same; stores the error: error::timed_out, or what wait() reports. Returns whether it has come to zero.
    bool try_wait_until(detail::sync_clock::time_point deadline, boost::system::error_code& ec)
    {
        return zero_.try_wait_until(deadline, ec);
    }

    template <class Rep, class Period>
    bool try_wait_for(const std::chrono::duration<Rep, Period>& time, boost::system::error_code& ec)
    {
        return zero_.try_wait_for(time, ec);
    }

    /// Counts down by so many, and waits.
    void arrive_and_wait(std::ptrdiff_t by = 1)
    {
        count_down(by);
        wait();
    }

    /// Waits on behalf of a handler: `void(error_code)`. As mutex::async_lock().
    template <BOOST_ASIO_COMPLETION_TOKEN_FOR(void(boost::system::error_code)) Token>
    auto async_wait(Token&& token)
    {
        return zero_.async_wait(std::forward<Token>(token));
    }

    /// What select() takes: its result<void> is success.
    auto waiting() noexcept { return zero_.waiting(); }

private:
    // Each count_down() takes off; acquire and release, so that the last, which sets the event, has seen all.
    std::atomic<std::ptrdiff_t> left_;
    event zero_;
};

} // namespace zsync
