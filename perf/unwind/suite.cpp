// SPDX-License-Identifier: BSL-1.0
#include "harness/suite.hpp"

#include <optional>
#include <string>
#include <utility>

namespace perf
{

// Both sides are zsync: what is measured is whether two threads unwind side by side. If the unwinder let one thread in
// at a time, the ratio of the times would be 1.
suite unwind_suite()
{
    const auto fibers = [](std::string name, unsigned threads) -> cell
    {
        return {.name = std::move(name),
                .program = "unwind_zsync",
                .arguments = {"threads=" + std::to_string(threads)},
                .cpus = threads};
    };
    const auto compared = [](std::string unit, std::string metric, std::optional<double> goal) -> row
    {
        return {.name = "fibers that wait are cancelled, all at once",
                .unit = std::move(unit),
                .metric = std::move(metric),
                .zsync = "half each on two contexts, two threads",
                .peer = "on one context, one thread",
                .goal = goal};
    };
    return {.name = "unwind",
            .description = "fibers cancelled while they sleep ten frames deep: each unwinds by an exception",
            .groups = {{.cells = {fibers("half each on two contexts, two threads", 2),
                                  fibers("on one context, one thread", 1)},
                        .rows = {compared("ns of time a fiber", "wall_ns", 1.6),
                                 compared("ns of CPU a fiber", "cpu_ns", {})},
                        .count = 10'000,
                        .operation = "fiber"}}};
}

} // namespace perf
