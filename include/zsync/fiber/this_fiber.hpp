// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/cancellation.hpp>

#include <boost/system/error_code.hpp>

#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <ostream>
#include <stop_token>
#include <string_view>

// What runs, for itself. Its cancellation is read here, and changed by <zsync/core/cancel_protection.hpp>.
namespace zsync::this_fiber
{

namespace detail
{
class id_source;
}

/// Names a fiber as long as the process runs. A value.
class id
{
public:
    /// Names no fiber.
    constexpr id() noexcept = default;

    /// A new one. Any thread; never blocks.
    static id make() noexcept;

    constexpr std::uint64_t number() const noexcept { return number_; }

    friend constexpr bool operator==(id, id) noexcept = default;
    friend constexpr auto operator<=>(id, id) noexcept = default;

    friend std::ostream& operator<<(std::ostream& out, id which) { return out << which.number_; }

private:
    friend class detail::id_source;

    constexpr explicit id(std::uint64_t number) noexcept : number_(number) {}

    std::uint64_t number_ = 0;
};

/// Says whether the calling code runs on a fiber. Never blocks.
bool is_fiber() noexcept;

/// Returns the running fiber's id; that of no fiber on a thread. Never blocks.
id get_id() noexcept;

/// Returns the name of the running fiber, empty if it was given none, or on a thread. Valid as long as the fiber runs
/// and keeps the name. Never blocks.
std::string_view name() noexcept;

/// Names the running fiber: the first 31 characters count. Does nothing on a thread. Never blocks.
void set_name(std::string_view name) noexcept;

/// Tells what has been asked of a task, and where that stands. A value.
struct cancellation_state
{
    bool requested = false; ///< Somebody has asked it to end, whether or not it has been told.
    bool due = false;       ///< Its next cancellation point tells it.
    bool deferred = false;  ///< A cancel_protection is in force.

    boost::system::error_code reason{}; ///< Of the request; success if there was none.
};

/// Returns the cancellation of the running fiber, or of the thread, as it is now. No cancellation point; never blocks.
cancellation_state cancellation() noexcept;

/// Returns how many bytes of its stack the running fiber has left, below the calling function; on a thread the largest
/// number there is. A page of them at least should stay. Never blocks.
std::size_t stack_left() noexcept;

/// Returns how many bytes of its stack were ever in use, in whole pages, by the running fiber or one that had the stack
/// before it; zero on a thread. A system call; never blocks.
std::size_t stack_high_water() noexcept;

/// Returns a token that is cancelled by the first request to cancel the running task, for its reason, as soon as that
/// is made; at once, if it has been. Callbacks of it run on the task's thread, inside the request. It may be handed to
/// other threads, and outlive the task. Never blocks; allocates the first time.
cancellation_token get_cancellation_token();

/// The same for code that knows the standard's tokens.
inline std::stop_token get_stop_token()
{
    return get_cancellation_token().stop_token();
}

/// Lets what is ready run first. Suspends the fiber; does nothing on a thread. Not a cancellation point.
///
/// @throws boost::system::system_error with resource_deadlock_would_occur below a handler that must return first: see
/// agent::may_wait().
void yield();

/// Waits until a time. Suspends the fiber, or blocks the thread. A cancellation point.
///
/// @throws boost::system::system_error with operation_aborted if the task was asked to end; on a thread only if that
///         was before. With error::timed_out at an earlier deadline of a deadline_scope. With
///         resource_deadlock_would_occur as yield().
void sleep_until(std::chrono::steady_clock::time_point when);

/// The same with an error code.
void sleep_until(std::chrono::steady_clock::time_point when, boost::system::error_code& ec);

/// The same by another clock: looks at it again as often as it has gone another way than the time.
template <class Clock, class Duration>
void sleep_until(const std::chrono::time_point<Clock, Duration>& when)
{
    using clock = std::chrono::steady_clock;
    do
        sleep_until(clock::now() + std::chrono::ceil<clock::duration>(when - Clock::now()));
    while (Clock::now() < when);
}

template <class Clock, class Duration>
void sleep_until(const std::chrono::time_point<Clock, Duration>& when, boost::system::error_code& ec)
{
    using clock = std::chrono::steady_clock;
    do
        sleep_until(clock::now() + std::chrono::ceil<clock::duration>(when - Clock::now()), ec);
    while (!ec && Clock::now() < when);
}

/// Waits for a time, at least. As sleep_until().
template <class Rep, class Period>
void sleep_for(const std::chrono::duration<Rep, Period>& time)
{
    sleep_until(std::chrono::steady_clock::now() + std::chrono::ceil<std::chrono::steady_clock::duration>(time));
}

template <class Rep, class Period>
void sleep_for(const std::chrono::duration<Rep, Period>& time, boost::system::error_code& ec)
{
    sleep_until(std::chrono::steady_clock::now() + std::chrono::ceil<std::chrono::steady_clock::duration>(time), ec);
}

namespace detail
{

/// Makes the ids of one loop's fibers: a run of them at a time, so that an id costs no atomic operation. Not
/// thread-safe.
class id_source
{
public:
    id make() noexcept
    {
        if (next_ == end_) [[unlikely]]
            reserve();
        return id(next_++);
    }

private:
    void reserve() noexcept;

    std::uint64_t next_ = 0;
    std::uint64_t end_ = 0;
};

/// What a fiber that has an owner says first. Never blocks.
void introduce(id which, std::string_view name) noexcept;

} // namespace detail

} // namespace zsync::this_fiber
