// SPDX-License-Identifier: BSL-1.0
#include "harness/suite.hpp"

#include <utility>

namespace perf
{

namespace
{

constexpr auto ours = "fiber_context";
constexpr auto not_alone = "fiber_context, another thread asleep";
constexpr auto boost_fiber = "Boost.Fiber";
constexpr auto go = "Go, GOMAXPROCS(1)";

row against(std::string name, std::string unit, std::string side, std::string peer, double goal)
{
    return {.name = std::move(name),
            .unit = std::move(unit),
            .metric = "cpu_ns",
            .zsync = std::move(side),
            .peer = std::move(peer),
            .goal = goal};
}

group one(const std::string& name, std::string operation, const std::vector<std::string>& arguments,
          std::uint64_t count)
{
    const std::string unit = "ns of CPU a " + operation;
    const std::string two_threads = name + "; process of two threads";
    std::vector<std::string> with_thread = arguments;
    with_thread.push_back("threads=2");
    return {.cells = {{.name = ours, .program = "sync_zsync", .arguments = arguments},
                      {.name = not_alone, .program = "sync_zsync", .arguments = with_thread},
                      {.name = boost_fiber, .program = "sync_boost_fiber", .arguments = arguments},
                      {.name = go, .program = "sync_go", .arguments = arguments}},
            .rows = {against(name, unit, ours, boost_fiber, 2.0), against(name, unit, ours, go, 0.95),
                     against(two_threads, unit, not_alone, boost_fiber, 2.0),
                     against(two_threads, unit, not_alone, go, 0.95)},
            .count = count,
            .operation = std::move(operation),
            .countable = true};
}

} // namespace

suite sync_suite()
{
    return {.name = "sync",
            .description = "a mutex and channels between two fibers in one thread",
            .groups = {one("mutex, uncontended", "lock and unlock", {"what=lock"}, 10'000'000),
                       one("mutex, handed to a fiber that waits", "lock and unlock", {"what=hand-over"}, 2'000'000),
                       one("channel ping-pong, capacity 0", "message", {"what=message", "capacity=0"}, 2'000'000),
                       one("channel ping-pong, capacity 1", "message", {"what=message", "capacity=1"}, 2'000'000)}};
}

} // namespace perf
