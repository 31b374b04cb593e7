// SPDX-License-Identifier: BSL-1.0
#include "harness/suite.hpp"

#include <string>
#include <utility>

namespace perf
{

namespace
{

const std::string joined = "zsync::fiber";
const std::string awaited = "zsync::spawn";

row against(std::string zsync, std::string peer, std::optional<double> goal = {})
{
    return {.name = zsync == joined ? "spawn and join" : "spawn and await",
            .unit = "ns of CPU a fiber",
            .metric = "cpu_ns",
            .zsync = std::move(zsync),
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
    row alone = against(joined, "", 80.0);
    alone.by = judged::number;
    row alone_awaited = against(awaited, "", 80.0);
    alone_awaited.by = judged::number;
    return {.name = "spawn",
            .description = "a fiber that does nothing, spawned and joined; stacks are recycled",
            .groups = {{.cells = {{.name = joined, .program = "spawn_zsync", .arguments = {"by=fiber"}},
                                  {.name = awaited, .program = "spawn_zsync", .arguments = {"by=spawn"}},
                                  boost_fiber("post"),
                                  boost_fiber("dispatch"),
                                  asio_spawn("asio::spawn, io_context(1)", "hint-1", "own"),
                                  asio_spawn("asio::spawn, any_io_executor, io_context(1)", "hint-1", "any"),
                                  asio_spawn("asio::spawn, io_context(HINT_UNSAFE)", "unsafe", "own")},
                        .rows = {alone, alone_awaited, against(joined, "Boost.Fiber, launch::post", 5.0),
                                 against(joined, "Boost.Fiber, launch::dispatch", 5.0),
                                 against(awaited, "asio::spawn, io_context(1)", 2.0),
                                 against(awaited, "asio::spawn, any_io_executor, io_context(1)", 2.0),
                                 against(awaited, "asio::spawn, io_context(HINT_UNSAFE)")},
                        .count = 1'000'000,
                        .operation = "fiber",
                        .countable = true}}};
}

} // namespace perf
