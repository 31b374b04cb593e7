// SPDX-License-Identifier: BSL-1.0
#include "harness/suite.hpp"

#include <utility>

namespace perf
{

namespace
{

row own(std::string name, std::string unit, std::string metric, std::string cell, std::optional<double> goal)
{
    return {.name = std::move(name),
            .unit = std::move(unit),
            .metric = std::move(metric),
            .zsync = std::move(cell),
            .goal = goal,
            .by = judged::number};
}

group timers()
{
    const std::string cell = "fibers on timers";
    return {.cells = {{.name = cell, .program = "idle_timers", .arguments = {}}},
            .rows = {own("100,000 fibers waiting on timers", "resident bytes a fiber", "bytes_each", cell, 12'288.0),
                     own("100,000 fibers waiting on timers", "s to cancel all", "cancel_s", cell, 1.0)},
            .count = 100'000,
            .operation = "fiber"};
}

group connections(const std::string& engine)
{
    const std::string cell = "fibers on connections, " + engine;
    const std::string name = "fibers on idle connections, " + engine;
    return {.cells = {{.name = cell, .program = "idle_connections", .arguments = {"engine=" + engine}}},
            .rows = {own(name, "resident bytes a fiber", "bytes_each", cell, 12'288.0),
                     own(name, "s to cancel all", "cancel_s", cell, 1.0),
                     own(name, "connections, as RLIMIT_NOFILE allows", "connections", cell, {})},
            .count = 9'000,
            .operation = "connection"};
}

} // namespace

suite idle_suite()
{
    return {.name = "idle",
            .description = "fibers that wait: resident bytes of each, and the time to cancel and join all",
            .groups = {timers(), connections("io_uring"), connections("epoll")}};
}

} // namespace perf
