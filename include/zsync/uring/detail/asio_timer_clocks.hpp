// SPDX-License-Identifier: BSL-1.0
#pragma once

// Which timers are native: those of the standard clocks and of posix_time with Asio's own traits. Those of other
// clocks, and of traits that their users have written, are Asio's as ever.

#include <zsync/uring/detail/stock_timers.hpp>

#include <boost/asio/detail/chrono_time_traits.hpp>
#include <boost/asio/wait_traits.hpp>

#include <chrono>
#include <cstdint>
#include <limits>

// Asio's and date_time's own declarations, which a program without such timers should not have to compile.
namespace boost::posix_time
{
class ptime;
}

namespace boost::asio
{
template <class Time>
struct time_traits;
}

namespace zsync::detail
{

/// Says where the deadlines of timers with these traits stand. The primary: nowhere, they stay with Asio's reactor.
template <class Traits>
struct timer_clock;

template <class Clock>
using standard_timer_traits = boost::asio::detail::chrono_time_traits<Clock, boost::asio::wait_traits<Clock>>;

template <>
struct timer_clock<standard_timer_traits<std::chrono::steady_clock>>
{
    static constexpr auto which = stock_timers::clock::steady;

    static stock_timers::time_point deadline(std::chrono::steady_clock::time_point time) noexcept { return time; }
};

/// high_resolution_clock is the same clock, by another name.
template <>
struct timer_clock<standard_timer_traits<std::chrono::system_clock>>
{
    static constexpr auto which = stock_timers::clock::wall;

    static stock_timers::time_point deadline(std::chrono::system_clock::time_point time) noexcept
    {
        return stock_timers::time_point(std::chrono::nanoseconds(time.time_since_epoch()));
    }
};

template <>
struct timer_clock<boost::asio::time_traits<boost::posix_time::ptime>>
{
    static constexpr auto which = stock_timers::clock::wall;

    /// A template, so that posix_time needs to be known only where it is used. What is beyond the years 1677 to 2262
    /// has passed, or never comes; so has what is not a time.
    template <class Time>
    static stock_timers::time_point deadline(const Time& time)
    {
        constexpr auto never = stock_timers::time_point::max();
        constexpr auto passed = stock_timers::time_point::min();
        if (time.is_special())
            return time.is_pos_infinity() ? never : passed;
        const auto since = time - Time(typename Time::date_type(1970, 1, 1));
        const std::int64_t unit = 1'000'000'000 / since.ticks_per_second();
        const std::int64_t most = std::numeric_limits<std::int64_t>::max() / unit;
        if (since.ticks() > most)
            return never;
        if (since.ticks() < -most)
            return passed;
        return stock_timers::time_point(std::chrono::nanoseconds(since.ticks() * unit));
    }
};

template <class Traits>
concept native_timer_traits = requires
{
    timer_clock<Traits>::which;
};

} // namespace zsync::detail
