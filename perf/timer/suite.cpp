// SPDX-License-Identifier: BSL-1.0
#include "harness/suite.hpp"

#include <utility>

namespace perf
{

namespace
{

group engine_alone(const std::string& visit, std::optional<double> goal)
{
    const auto keeper = [&](std::string name, std::string program)
    {
        return cell{.name = std::move(name),
                    .program = std::move(program),
                    .arguments = {"live=1000000", "visit=" + visit, "mode=unsafe"}};
    };
    group g{.cells = {keeper("timer_wheel", "timer_wheel"),
                      keeper("steady_timer, io_context(HINT_UNSAFE)", "timer_steady"),
                      keeper("Asio's detail::timer_queue", "timer_asio_queue")},
            .rows = {},
            .count = 200'000,
            .operation = "operation"};
    for (std::size_t peer : {1u, 2u})
        for (const auto& [what, metric] : {std::pair("insert", "insert_ns"), std::pair("cancel", "cancel_ns"),
                                           std::pair("re-arm to later", "rearm_ns")})
            g.rows.push_back({.name = std::string("engine alone, 1e6 live, ") + what +
                                      (visit == "random" ? ", timers visited in random order" : ""),
                              .unit = "ns of CPU",
                              .metric = metric,
                              .zsync = g.cells[0].name,
                              .peer = g.cells[peer].name,
                              .goal = peer == 1 ? goal : std::nullopt});
    return g;
}

// What a program gets. Both sides pay for memory, handlers and Asio's scheduler alike.
group public_interface(const std::string& mode, const std::string& constructor, const std::string& visit,
                       std::optional<double> goal)
{
    const auto side = [&](std::string name, std::string program)
    {
        return cell{.name = std::move(name),
                    .program = std::move(program),
                    .arguments = {"live=1000000", "mode=" + mode, "visit=" + visit}};
    };
    group g{.cells = {side("uring_context" + constructor, "timer_handlers_native"),
                      side("io_context" + constructor, "timer_handlers_asio")},
            .rows = {},
            .count = 200'000,
            .operation = "operation"};
    for (const auto& [what, metric] : {std::pair("insert", "insert_ns"), std::pair("cancel", "cancel_ns"),
                                       std::pair("expire", "expire_ns"), std::pair("re-arm to later", "rearm_ns")})
        g.rows.push_back({.name = std::string("stock steady_timer, handlers delivered, 1e6 live, ") + what +
                                  (visit == "random" ? ", timers visited in random order" : ""),
                          .unit = "ns of CPU",
                          .metric = metric,
                          .zsync = g.cells[0].name,
                          .peer = g.cells[1].name,
                          .goal = goal});
    return g;
}

// What random visits cost before any timer has been set.
group bare_touch()
{
    const std::vector<std::string> visits = {"live=1000000", "visit=random"};
    group g{.cells = {{.name = "uring_context", .program = "timer_handlers_native", .arguments = visits},
                      {.name = "a touch alone", .program = "timer_touch", .arguments = visits}},
            .rows = {},
            .count = 200'000,
            .operation = "operation"};
    for (const auto& [what, metric] : {std::pair("insert, against a touch 180 instructions apart", "insert_ns"),
                                       std::pair("cancel, against a touch 100 instructions apart", "cancel_ns")})
        g.rows.push_back({.name = std::string("timers visited in random order, ") + what,
                          .unit = "ns of CPU",
                          .metric = metric,
                          .zsync = g.cells[0].name,
                          .peer = g.cells[1].name});
    return g;
}

} // namespace

suite timer_suite()
{
    return {.name = "timer",
            .description = "stock timers, and the timer wheel by itself, with a million timers live",
            .groups = {engine_alone("made", 8.0), engine_alone("random", {}),
                       public_interface("default", "", "made", 3.0), public_interface("hint-1", "(1)", "made", 3.0),
                       public_interface("default", "", "random", 3.0), bare_touch()}};
}

} // namespace perf
