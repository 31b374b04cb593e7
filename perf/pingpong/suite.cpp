// SPDX-License-Identifier: BSL-1.0
#include "harness/suite.hpp"

#include <utility>

namespace perf
{

namespace
{

cell callbacks(std::string name, std::string program, engine does, const std::string& mode)
{
    return {.name = std::move(name),
            .program = std::move(program),
            .arguments = {"mode=" + mode, "pairs=64", "bytes=64"},
            .does = does};
}

cell with_timeouts(cell c)
{
    c.name += ", time-outs";
    c.arguments.push_back("timeouts=1");
    return c;
}

row cpu_row(std::string name, std::string zsync, std::string peer, std::optional<double> goal = {})
{
    return {.name = std::move(name),
            .unit = "ns of CPU a message",
            .metric = "cpu_ns",
            .zsync = std::move(zsync),
            .peer = std::move(peer),
            .goal = goal};
}

// A stock steady_timer on every receive, set and cancelled.
group timed_receives()
{
    const cell ours = callbacks("uring_context(1)", "pingpong_native", engine::native, "hint-1");
    const cell theirs = callbacks("io_context(1)", "pingpong_asio", engine::epoll, "hint-1");
    const cell timed = with_timeouts(ours);
    const cell timed_theirs = with_timeouts(theirs);
    row instructions = cpu_row("a time-out on every receive, hint 1", timed.name, ours.name, 1 / 1.03);
    instructions.unit = "user-space instructions a message";
    instructions.from = source::instructions;
    row both = instructions;
    both.peer = timed_theirs.name;
    both.goal = 1.0;
    return {.cells = {ours, timed, timed_theirs},
            .rows = {cpu_row("a time-out on every receive, hint 1", timed.name, timed_theirs.name, 0.95), instructions,
                     both},
            .count = 400'000,
            .operation = "message"};
}

} // namespace

suite pingpong_suite()
{
    return {.name = "pingpong",
            .description = "64 AF_UNIX socket pairs in one thread, a message of 64 bytes bouncing in each",
            .groups = {
                {.cells = {callbacks("io_context(1)", "pingpong_asio", engine::epoll, "hint-1"),
                           callbacks("uring_context(1)", "pingpong_native", engine::native, "hint-1"),
                           callbacks("uring_context one_thread", "pingpong_native", engine::native, "one-thread"),
                           {.name = "raw single-shot ring",
                            .program = "pingpong_raw_ring",
                            .arguments = {"pairs=64", "bytes=64"}},
                           callbacks("zsync::stream, views", "pingpong_views", engine::native, "one-thread"),
                           callbacks("io_context(HINT_UNSAFE)", "pingpong_asio", engine::epoll, "unsafe"),
                           callbacks("uring_context", "pingpong_native", engine::native, "default"),
                           callbacks("io_context", "pingpong_asio", engine::epoll, "default")},
                 .rows = {cpu_row("callbacks, hint 1", "uring_context(1)", "io_context(1)", 1.12),
                          cpu_row("callbacks, one_thread", "uring_context one_thread", "raw single-shot ring", 0.9),
                          cpu_row("zsync::stream, views, one_thread", "zsync::stream, views", "io_context(1)", 1.25),
                          cpu_row("zsync::stream, views, one_thread", "zsync::stream, views", "raw single-shot ring"),
                          cpu_row("callbacks, one_thread", "uring_context one_thread", "io_context(1)"),
                          cpu_row("callbacks, one_thread", "uring_context one_thread", "io_context(HINT_UNSAFE)"),
                          cpu_row("callbacks, default constructor", "uring_context", "io_context")},
                 .count = 400'000,
                 .operation = "message",
                 .countable = true},
                timed_receives()}};
}

} // namespace perf
