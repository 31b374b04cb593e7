// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/sync/detail/agent_wait.hpp>
#include <zsync/sync/detail/handler_wait.hpp>
#include <zsync/sync/detail/notice.hpp>

#include <boost/asio/async_result.hpp>
#include <boost/assert.hpp>
#include <boost/system/error_code.hpp>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

namespace zsync
{

namespace detail
{

/// A barrier but for its completion function.
class barrier_core final : public wait_queue
{
public:
    explicit barrier_core(std::ptrdiff_t expected) noexcept : expected_(expected), missing_(expected) {}

    /// A phase, and whether who has arrived in it was the last: then it must call open().
    struct arrival
    {
        std::uint64_t phase;
        bool last;
    };

    arrival arrive(std::ptrdiff_t by, bool drop) noexcept;

    /// Begins the next phase.
    void open() noexcept;

    boost::system::error_code wait(std::uint64_t phase, sync_clock::time_point deadline);
    void start(wait_node& node, std::uint64_t phase) noexcept;

private:
    bool is_over(std::uint64_t phase) const noexcept;
    bool over_or_wait(wait_node& node, std::uint64_t phase) noexcept;

    // All under the lock.
    std::ptrdiff_t expected_; // in the next phase
    std::ptrdiff_t missing_;  // in this one
    std::uint64_t phase_ = 0;
    wait_list waiters_;
};

/// Does nothing.
struct no_completion
{
    void operator()() const noexcept {}
};

} // namespace detail

/// Lets a number of fibers, threads and handlers go on together, phase after phase: each arrives, and waits until all
/// have. Then the last one calls the completion function, before any of them goes on.
///
/// What was done before arriving is seen by the completion function, and by whoever has waited.
///
/// @par Cancellation and deadlines
/// Waiting, where one has to, is a cancellation point. Either ends the wait only: the arrival counts, and the others do
/// not wait for it again. Thread safety and lifetime are as for event.
///
/// @tparam Completion called without arguments, on the last to arrive; must not throw. It runs within arrive(), and
///         where that is a handler's initiation, within that.
template <class Completion = detail::no_completion>
    requires std::is_nothrow_invocable_v<Completion&>
class barrier
{
public:
    /// An arrival, to be waited with, once, while the barrier is in that phase or the next.
    class arrival_token
    {
    public:
        arrival_token(arrival_token&&) noexcept = default;
        arrival_token& operator=(arrival_token&&) noexcept = default;

    private:
        friend class barrier;
        explicit arrival_token(std::uint64_t phase) noexcept : phase_(phase) {}
        std::uint64_t phase_;
    };

    /// `expected` is how many arrive in each phase; not negative.
    explicit barrier(std::ptrdiff_t expected, Completion completion = Completion())
        : core_(expected), completion_(std::move(completion))
    {
        BOOST_ASSERT(expected >= 0);
    }

    /// Arrives so many times, no more than are missing. Never blocks; any thread.
    [[nodiscard]] arrival_token arrive(std::ptrdiff_t by = 1) noexcept { return arrival_token(count(by, false)); }

    /// Arrives in this phase, and is not expected in those to come. Never blocks; any thread.
    void arrive_and_drop() noexcept { count(1, true); }

    /// Waits for the others. Suspends the fiber or blocks the thread. @throws as mutex::lock().
    void wait(arrival_token arrival)
    {
        detail::throw_failed(core_.wait(arrival.phase_, detail::no_deadline), "barrier::wait");
    }

    /// The same; stores the error, or success.
    void wait(arrival_token arrival, boost::system::error_code& ec)
    {
        ec = core_.wait(arrival.phase_, detail::no_deadline);
    }

    /// Waits, or returns false if that takes longer than given. Takes the arrival by reference, to be waited with
    /// again.
    /// @throws as wait().
    bool try_wait_until(const arrival_token& arrival, detail::sync_clock::time_point deadline)
    {
        return detail::in_time(core_.wait(arrival.phase_, deadline), "barrier::try_wait_until");
    }

    template <class Rep, class Period>
    bool try_wait_for(const arrival_token& arrival, const std::chrono::duration<Rep, Period>& time)
    {
        return try_wait_until(arrival, detail::deadline_after(time));
    }

    /// The same; stores the error: error::timed_out, or what wait() reports. Returns whether all have arrived.
    bool try_wait_until(const arrival_token& arrival, detail::sync_clock::time_point deadline,
                        boost::system::error_code& ec)
    {
        ec = core_.wait(arrival.phase_, deadline);
        return !ec;
    }

    template <class Rep, class Period>
    bool try_wait_for(const arrival_token& arrival, const std::chrono::duration<Rep, Period>& time,
                      boost::system::error_code& ec)
    {
        return try_wait_until(arrival, detail::deadline_after(time), ec);
    }

    void arrive_and_wait() { wait(arrive()); }
    void arrive_and_wait(boost::system::error_code& ec) { wait(arrive(), ec); }

    /// Arrives, and waits on behalf of a handler: `void(error_code)`. As mutex::async_lock().
    template <BOOST_ASIO_COMPLETION_TOKEN_FOR(void(boost::system::error_code)) Token>
    auto async_arrive_and_wait(Token&& token)
    {
        return boost::asio::async_initiate<Token, void(boost::system::error_code)>(
            [this]<class Handler>(Handler&& handler)
            {
                using waiting = detail::handler_wait<detail::notice, std::decay_t<Handler>>;
                waiting& made = waiting::make(std::decay_t<Handler>(std::forward<Handler>(handler)), core_);
                core_.start(made, count(1, false));
            },
            token);
    }

private:
    std::uint64_t count(std::ptrdiff_t by, bool drop) noexcept
    {
        const auto arrived = core_.arrive(by, drop);
        if (arrived.last)
        {
            completion_();
            core_.open();
        }
        return arrived.phase;
    }

    detail::barrier_core core_;
    [[no_unique_address]] Completion completion_;
};

} // namespace zsync
