// SPDX-License-Identifier: BSL-1.0
#include "harness/suite.hpp"

#include <utility>

namespace perf
{

namespace
{

row against(std::string peer, std::optional<double> goal = {})
{
    return {.name = "spawn and join",
            .unit = "ns of CPU a fiber",
            .metric = "cpu_ns",
            .zsync = "fiber_context",
            .peer = std::move(peer),
            .goal = goal};
}

cell asio_spawn(std::string name, const std::string& mode, const std::string& executor)
{
    return {
        .name = std::move(name), .program = "spawn_asio_spawn", .arguments = {"mode=" + mode, "executor=" + executor}};
}

cell boost_fiber(const std::string& launch)
{
    return {
        .name = "Boost.Fiber, launch::" + launch, .program = "spawn_boost_fiber", .arguments = {"launch=" + launch}};
}

} // namespace

suite spawn_suite()
{
    row alone = against("", 80.0);
    alone.by = judged::number;
    return {
        .name = "spawn",
        .description = "a fiber that does nothing, spawned and joined; stacks are recycled",
        .groups = {{.cells = {{.name = "fiber_context", .program = "spawn_zsync", .arguments = {}},
                              boost_fiber("post"),
                              boost_fiber("dispatch"),
                              asio_spawn("asio::spawn, io_context(1)", "hint-1", "own"),
                              asio_spawn("asio::spawn, any_io_executor, io_context(1)", "hint-1", "any"),
                              asio_spawn("asio::spawn, io_context(HINT_UNSAFE)", "unsafe", "own")},
                    .rows = {alone, against("Boost.Fiber, launch::post", 5.0),
                             against("Boost.Fiber, launch::dispatch", 5.0), against("asio::spawn, io_context(1)", 2.0),
                             against("asio::spawn, any_io_executor, io_context(1)", 2.0),
                             against("asio::spawn, io_context(HINT_UNSAFE)")},
                    .count = 1'000'000,
                    .operation = "fiber",
                    .countable = true}}};
}

} // namespace perf
