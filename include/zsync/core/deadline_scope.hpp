// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/agent.hpp>

#include <chrono>

namespace zsync
{

/// As long as it lives, each wait of the task that made it ends by a point in time, with error::timed_out: I/O, sleep,
/// locks, channels, awaiting a child or any Asio operation. On a fiber, on a thread, and in each model of an io.
///
/// - Scopes nest: the earlier deadline counts, and what an outer one says holds again afterwards.
/// - Fibers that are made within inherit the deadline, for as long as they live, whoever awaits them.
/// - What can be had at once is had, also when the deadline has passed; what has been completed counts. A wait for a
///   fiber or future makes a request of it, and still waits for its end.
/// - A request to cancel is not delivered by this, nor does it become a time-out: it stays operation_aborted.
/// - A cancel_protection made within defers it as it defers requests; a scope made under protection holds there.
///
/// What operations for a completion token do, that are started and not awaited, is not limited. In the blocking model a
/// system call that waits is preceded by poll(2), as with io::with_deadline().
///
/// To be destroyed by the task that made it, as a local variable is. Never blocks.
///
/// @code
/// const zsync::deadline_scope at_most(5s);
/// channel.send(request);
/// const auto answer = replies.receive(); // both within five seconds: else system_error with error::timed_out
/// @endcode
class [[nodiscard]] deadline_scope
{
public:
    using clock = std::chrono::steady_clock;

    explicit deadline_scope(clock::time_point when) noexcept
        : cancellation_(agent::current().cancellation()), former_(cancellation_.limit(when))
    {
    }

    template <class Rep, class Period>
    explicit deadline_scope(const std::chrono::duration<Rep, Period>& from_now) noexcept
        : deadline_scope(after(from_now))
    {
    }

    ~deadline_scope() { cancellation_.restore_limit(former_); }

    deadline_scope(const deadline_scope&) = delete;
    deadline_scope& operator=(const deadline_scope&) = delete;

    /// Returns the deadline of the running task: time_point::max() if it has none just now. Never blocks.
    static clock::time_point current() noexcept { return agent::current().cancellation().deadline(); }

    /// Says whether that has passed. Never blocks.
    static bool expired() noexcept { return agent::current().cancellation().deadline_passed(); }

private:
    template <class Duration>
    static clock::time_point after(const Duration& time) noexcept
    {
        const auto now = clock::now();
        // Compared as floating-point numbers, since converting what is too long would overflow.
        using seconds = std::chrono::duration<double>;
        if (seconds(time) >= seconds(clock::time_point::max() - now))
            return clock::time_point::max();
        return now + std::chrono::ceil<clock::duration>(time);
    }

    task_cancellation& cancellation_;
    const task_cancellation::time_limit former_;
};

} // namespace zsync
