// SPDX-License-Identifier: BSL-1.0
#include "harness/suite.hpp"

#include <utility>

namespace perf
{

namespace
{

row against(std::string peer, std::optional<double> goal = {})
{
    return {.name = "yield",
            .unit = "ns of CPU a switch",
            .metric = "cpu_ns",
            .zsync = "fiber_context",
            .peer = std::move(peer),
            .goal = goal};
}

cell asio_spawn(std::string name, const std::string& mode, const std::string& executor)
{
    return {
        .name = std::move(name), .program = "switch_asio_spawn", .arguments = {"mode=" + mode, "executor=" + executor}};
}

} // namespace

suite switch_suite()
{
    row alone = against("", 18.0);
    alone.by = judged::number;
    return {.name = "switch",
            .description = "two fibers in one thread that yield to each other",
            .groups = {{.cells = {{.name = "fiber_context", .program = "switch_zsync", .arguments = {}},
                                  {.name = "Boost.Fiber", .program = "switch_boost_fiber", .arguments = {}},
                                  asio_spawn("asio::spawn, io_context(1)", "hint-1", "own"),
                                  asio_spawn("asio::spawn, any_io_executor, io_context(1)", "hint-1", "any"),
                                  asio_spawn("asio::spawn, io_context(HINT_UNSAFE)", "unsafe", "own"),
                                  {.name = "jump_fcontext", .program = "switch_fcontext", .arguments = {}}},
                        .rows = {alone, against("Boost.Fiber", 4.0), against("asio::spawn, io_context(1)", 6.0),
                                 against("asio::spawn, any_io_executor, io_context(1)", 6.0),
                                 against("asio::spawn, io_context(HINT_UNSAFE)"), against("jump_fcontext")},
                        .count = 4'000'000,
                        .operation = "switch",
                        .countable = true}}};
}

} // namespace perf
