// SPDX-License-Identifier: BSL-1.0
#include "harness/suite.hpp"

#include <utility>

namespace perf
{

namespace
{

// What an io costs above the system call that it makes.
group blocking_read()
{
    const auto added = [](std::string unit, source from, std::optional<double> goal)
    {
        return row{.name = "blocking io.read of a byte of /dev/zero",
                   .unit = std::move(unit),
                   .metric = "cpu_ns",
                   .zsync = "io, blocking",
                   .peer = "read(2)",
                   .goal = goal,
                   .by = judged::added,
                   .from = from};
    };
    return {.cells = {{.name = "read(2)", .program = "facade_bare_read", .arguments = {}},
                      {.name = "io, blocking", .program = "facade_blocking_read", .arguments = {}}},
            .rows = {added("ns of CPU added", source::timed, {}),
                     added("user-space instructions added", source::instructions, 60.0),
                     added("system calls added", source::system_calls, 0.0)},
            .count = 1'000'000,
            .operation = "read"};
}

// Start to end, as a program pays it once, and as it pays it again.
group empty_runs()
{
    const auto run = [](const std::string& model, const std::string& which, std::string metric, double goal)
    {
        return row{.name = "run() of an empty function, " + model + ", " + which,
                   .unit = "us",
                   .metric = std::move(metric),
                   .zsync = model,
                   .goal = goal,
                   .by = judged::number};
    };
    return {.cells = {{.name = "blocking", .program = "facade_run_empty", .arguments = {"model=blocking"}},
                      {.name = "green", .program = "facade_run_empty", .arguments = {"model=green"}}},
            .rows = {run("blocking", "the first", "first_us", 20.0), run("blocking", "others", "each_us", 20.0),
                     run("green", "the first", "first_us", 1000.0), run("green", "others", "each_us", 1000.0)},
            .count = 500,
            .operation = "run"};
}

} // namespace

suite facade_suite()
{
    return {.name = "facade",
            .description = "what an io adds to a system call, and run() of nothing",
            .groups = {blocking_read(), empty_runs()}};
}

} // namespace perf
