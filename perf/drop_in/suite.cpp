// SPDX-License-Identifier: BSL-1.0
#include "harness/suite.hpp"

#include <utility>

namespace perf
{

namespace
{

const std::string cpu_unit = "ns of server CPU a request";

cell server(std::string name, std::string program, engine does, const std::string& mode, unsigned connections)
{
    const std::string clients = "connections=" + std::to_string(connections);
    return {.name = std::move(name),
            .program = std::move(program),
            .arguments = {"mode=" + mode, clients},
            .does = does,
            .load = {clients, "bytes=64", "warm_up=2000"}};
}

cell http_server(std::string name, std::string program, engine does, const std::string& timeout)
{
    cell c = server(std::move(name), std::move(program), does, "default", 64);
    c.arguments.push_back("timeout=" + timeout);
    c.load.push_back("http=1");
    return c;
}

row cpu_row(std::string name, std::string zsync, std::string peer, std::optional<double> goal = {})
{
    return {.name = std::move(name),
            .unit = cpu_unit,
            .metric = "cpu_ns",
            .zsync = std::move(zsync),
            .peer = std::move(peer),
            .goal = goal};
}

row rate_row(std::string name, std::string zsync, std::string peer)
{
    return {.name = std::move(name),
            .unit = "requests/s",
            .metric = "per_second",
            .more_is_better = true,
            .zsync = std::move(zsync),
            .peer = std::move(peer)};
}

std::vector<cell> echo_servers()
{
    return {server("io_context", "echo_asio", engine::epoll, "default", 64),
            server("hosted", "echo_hosted", engine::hosted, "default", 64),
            server("native", "echo_native", engine::native, "default", 64),
            server("io_context(1)", "echo_asio", engine::epoll, "hint-1", 64),
            server("native(1)", "echo_native", engine::native, "hint-1", 64),
            server("native, one_thread", "echo_native", engine::native, "one-thread", 64),
            server("raw ring, shared flags", "echo_raw_ring", engine::any, "default", 64),
            server("raw ring, single issuer", "echo_raw_ring", engine::any, "one-thread", 64)};
}

group echo_64()
{
    const std::string name = "echo, 64 connections, ";
    return {.cells = echo_servers(),
            .rows = {cpu_row(name + "hosted", "hosted", "io_context", 0.95),
                     cpu_row(name + "native", "native", "io_context", 1.05),
                     cpu_row(name + "native, hint 1", "native(1)", "io_context(1)"),
                     cpu_row(name + "native, one_thread", "native, one_thread", "io_context(1)"),
                     cpu_row(name + "native", "native", "raw ring, shared flags"),
                     cpu_row(name + "native, one_thread", "native, one_thread", "raw ring, single issuer"),
                     rate_row(name + "hosted", "hosted", "io_context"),
                     rate_row(name + "native", "native", "io_context")},
            .count = 150'000,
            .operation = "request",
            .countable = true};
}

// The server is not the bottleneck here, as most are not: it sleeps often.
group echo_64_busy_client()
{
    group g{.cells = echo_servers(), .rows = {}, .count = 80'000, .operation = "request"};
    for (cell& c : g.cells)
        c.load.push_back("think_ns=3000");
    const std::string name = "echo, 64 connections, client busy for 3 us an answer, ";
    g.rows = {cpu_row(name + "hosted", "hosted", "io_context"),
              cpu_row(name + "native", "native", "io_context"),
              cpu_row(name + "native, hint 1", "native(1)", "io_context(1)"),
              cpu_row(name + "native, one_thread", "native, one_thread", "io_context(1)"),
              cpu_row(name + "native", "native", "raw ring, shared flags"),
              cpu_row(name + "native, one_thread", "native, one_thread", "raw ring, single issuer")};
    return g;
}

group http_64()
{
    return {.cells = {http_server("io_context", "http_asio", engine::epoll, "1"),
                      http_server("native", "http_native", engine::native, "1"),
                      http_server("io_context, no time-out", "http_asio", engine::epoll, "0"),
                      http_server("native, no time-out", "http_native", engine::native, "0")},
            .rows = {cpu_row("Beast HTTP, 64 connections, native", "native", "io_context", 1.1),
                     cpu_row("Beast HTTP, 64 connections, native, no time-out", "native, no time-out",
                             "io_context, no time-out"),
                     rate_row("Beast HTTP, 64 connections, native", "native", "io_context")},
            .count = 100'000,
            .operation = "request",
            .countable = true};
}

cell on_two_threads(cell c)
{
    c.arguments.push_back("threads=2");
    c.cpus = 2;
    return c;
}

group two_threads()
{
    return {.cells = {on_two_threads(server("io_context", "echo_asio", engine::epoll, "default", 64)),
                      on_two_threads(server("hosted", "echo_hosted", engine::hosted, "default", 64)),
                      on_two_threads(server("native", "echo_native", engine::native, "default", 64))},
            .rows = {cpu_row("echo, 64 connections, 2 threads in run(), native", "native", "io_context", 0.95),
                     cpu_row("echo, 64 connections, 2 threads in run(), hosted", "hosted", "io_context"),
                     rate_row("echo, 64 connections, 2 threads in run(), native", "native", "io_context")},
            .count = 100'000,
            .operation = "request"};
}

group one_connection()
{
    const auto latency = [](std::string name, std::string zsync)
    {
        return row{.name = std::move(name),
                   .unit = "ns a round trip, p50",
                   .metric = "p50_ns",
                   .zsync = std::move(zsync),
                   .peer = "io_context"};
    };
    return {.cells = {server("io_context", "echo_asio", engine::epoll, "default", 1),
                      server("hosted", "echo_hosted", engine::hosted, "default", 1),
                      server("native", "echo_native", engine::native, "default", 1)},
            .rows = {cpu_row("echo, one connection, hosted", "hosted", "io_context"),
                     cpu_row("echo, one connection, native", "native", "io_context"),
                     latency("echo, one connection, hosted", "hosted"),
                     latency("echo, one connection, native", "native")},
            .count = 20'000,
            .operation = "request"};
}

// What waiting costs a single connection: asleep in the kernel, or watching, which takes a CPU of one's own.
group spinning()
{
    cell polls = server("io_context(1), poll() in a loop", "echo_asio", engine::epoll, "hint-1", 1);
    polls.arguments.push_back("poll=1");
    const cell sleeps = server("io_context(1)", "echo_asio", engine::epoll, "hint-1", 1);
    const cell spins =
        server("native, one_thread, spin_for 100 us", "echo_native", engine::native, "one-thread, spins", 1);
    const auto latency = [&](const cell& peer, double goal)
    {
        return row{.name = "echo, one connection, " + spins.name,
                   .unit = "ns a round trip, p50",
                   .metric = "p50_ns",
                   .zsync = spins.name,
                   .peer = peer.name,
                   .goal = goal};
    };
    return {.cells = {spins, sleeps, polls},
            .rows = {latency(sleeps, 2.3), latency(polls, 0.95)},
            .count = 20'000,
            .operation = "request"};
}

// A stock steady_timer on every read, set and cancelled.
group timed_reads()
{
    const auto timed = [](cell c)
    {
        c.name += ", time-outs";
        c.arguments.push_back("timeouts=1");
        return c;
    };
    const cell ours = server("native, one_thread", "echo_native", engine::native, "one-thread", 1);
    const cell theirs = server("io_context(1)", "echo_asio", engine::epoll, "hint-1", 1);
    const cell ours_timed = timed(ours);
    const cell theirs_timed = timed(theirs);
    const std::string name = "echo, one connection, one_thread, a time-out on every read";
    const auto instructions = [&](const cell& peer, double goal)
    {
        row r = cpu_row(name, ours_timed.name, peer.name, goal);
        r.unit = "user-space instructions a request";
        r.from = source::instructions;
        return r;
    };
    return {.cells = {ours, theirs, ours_timed, theirs_timed},
            .rows = {cpu_row(name, ours_timed.name, theirs_timed.name, 0.95), instructions(ours, 1 / 1.03),
                     instructions(theirs_timed, 1.0)},
            .count = 20'000,
            .operation = "request"};
}

} // namespace

suite drop_in_suite()
{
    return {.name = "drop-in",
            .description = "TCP servers of stock Asio and Beast: uring_context ctx; against io_context ctx;",
            .groups = {echo_64(), echo_64_busy_client(), http_64(), two_threads(), one_connection(), spinning(),
                       timed_reads()}};
}

} // namespace perf
