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

/// Something that has happened, or has not: a flag to wait for, for fibers, threads and handlers alike. Whoever waits
/// goes on when it is set; it stays set until it is reset.
///
/// What was done before set() is seen by whoever has waited for it. Cancellation, deadlines and thread safety are as
/// for mutex. Whoever has waited may destroy the event, while set() has not returned yet; whoever has only asked
/// is_set() may not.
class event final : private detail::wait_queue
{
public:
    /// Makes one that is set, or not.
    explicit event(bool set = false) noexcept : set_(set) {}

    bool is_set() const noexcept { return set_.load(std::memory_order_acquire); }

    /// Lets all who wait, and all to come, go on. Never blocks; any thread.
    void set() noexcept;

    /// Makes those wait who come from now on. Never blocks; any thread.
    void reset() noexcept;

    /// Waits until it is set. Suspends the fiber or blocks the thread. @throws as mutex::lock().
    void wait() { detail::throw_failed(wait_set(detail::no_deadline), "event::wait"); }

    /// The same; stores the error, or success.
    void wait(boost::system::error_code& ec) { ec = wait_set(detail::no_deadline); }

    /// Waits, or returns false if that takes longer than given. @throws as wait().
    bool try_wait_until(detail::sync_clock::time_point deadline)
    {
        return detail::in_time(wait_set(deadline), "event::try_wait_until");
    }

    template <class Rep, class Period>
    bool try_wait_for(const std::chrono::duration<Rep, Period>& time)
    {
        return try_wait_until(detail::deadline_after(time));
    }

    /// The same; stores the error: error::timed_out, or what wait() reports. Returns whether it has been set.
    bool try_wait_until(detail::sync_clock::time_point deadline, boost::system::error_code& ec)
    {
        ec = wait_set(deadline);
        return !ec;
    }

    template <class Rep, class Period>
    bool try_wait_for(const std::chrono::duration<Rep, Period>& time, boost::system::error_code& ec)
    {
        return try_wait_until(detail::deadline_after(time), ec);
    }

    /// Waits on behalf of a handler: `void(error_code)`. As mutex::async_lock().
    template <BOOST_ASIO_COMPLETION_TOKEN_FOR(void(boost::system::error_code)) Token>
    auto async_wait(Token&& token)
    {
        return boost::asio::async_initiate<Token, void(boost::system::error_code)>(
            [this]<class Handler>(Handler&& handler)
            {
                using wait = detail::handler_wait<detail::notice, std::decay_t<Handler>>;
                start(wait::make(std::decay_t<Handler>(std::forward<Handler>(handler)), *this));
            },
            token);
    }

    /// What select() takes: its result<void> is success.
    auto waiting() noexcept { return detail::notice_case(*this); }

private:
    friend class detail::notice_case<event>;

    boost::system::error_code wait_set(detail::sync_clock::time_point deadline);
    bool happened_or_wait(detail::wait_node& node) noexcept;
    bool try_enter() const noexcept { return set_.load(std::memory_order_relaxed); } // with the lock held
    bool enter(detail::wait_node& node) noexcept;                                   // likewise
    void start(detail::wait_node& node) noexcept;

    // Written under the lock; by is_set() read without it, where acquire pairs with set()'s release.
    std::atomic<bool> set_;
    detail::wait_list waiters_;
};

} // namespace zsync
