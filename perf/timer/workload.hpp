// SPDX-License-Identifier: BSL-1.0
#pragma once

// One workload for every keeper of timers: `live` timers stand all the while, deadlines in random order; `count` more
// are inserted and cancelled, and `count` of the standing ones get a later deadline. Timers are visited in the order
// in which they were made, or with visit=random in another, where most of what is measured is cache misses.

#include "harness/cell.hpp"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <random>
#include <vector>

namespace perf
{

using steady = std::chrono::steady_clock;

/// `Keeper`: constructed with (arguments, how many timers); insert(i, deadline), cancel(i), rearm(i, deadline), and
/// settle(), which does what can wait until the clock is stopped.
template <class Keeper>
void measure_timers(const cell_arguments& arguments)
{
    const std::size_t live = arguments.number("live", 1'000'000);
    const std::size_t count = std::min(arguments.number("count", 200'000), live);

    std::mt19937_64 random(1);
    std::uniform_int_distribution<std::int64_t> seconds_60_to_600(60'000'000'000, 600'000'000'000);
    const steady::time_point now = steady::now();
    std::vector<steady::time_point> deadlines(live + count);
    for (auto& deadline : deadlines)
        deadline = now + std::chrono::nanoseconds(seconds_60_to_600(random));

    std::vector<std::uint32_t> visits(count);
    std::iota(visits.begin(), visits.end(), 0u);
    if (arguments.text("visit", "made") == "random")
        std::shuffle(visits.begin(), visits.end(), random);

    Keeper timers(arguments, live + count);
    for (std::size_t i = 0; i != live; ++i)
        timers.insert(i, deadlines[i]);

    const auto each = [&](auto act)
    {
        const double start = cpu_ns();
        for (std::size_t i : visits)
            act(i);
        const double spent = (cpu_ns() - start) / static_cast<double>(count);
        timers.settle();
        return spent;
    };
    // Once to warm up: a heap's array has then grown as far as it will.
    each([&](std::size_t i) { timers.insert(live + i, deadlines[live + i]); });
    each([&](std::size_t i) { timers.cancel(live + i); });

    cell_line line;
    line.add("insert_ns", each([&](std::size_t i) { timers.insert(live + i, deadlines[live + i]); }));
    line.add("cancel_ns", each([&](std::size_t i) { timers.cancel(live + i); }));
    line.add("rearm_ns", each([&](std::size_t i) { timers.rearm(i, deadlines[i] + std::chrono::seconds(30)); }));
    line.print();

    for (std::size_t i = 0; i != live; ++i)
        timers.cancel(i);
    timers.settle();
}

} // namespace perf
