// SPDX-License-Identifier: BSL-1.0
#include "harness/suite.hpp"

#include <utility>

namespace perf
{

namespace
{

const std::string facade = "fibers, io";
const std::string fibers = "fibers, use_await";
const std::string callbacks = "callbacks, zsync::stream";
const std::string native = "callbacks, native stock sockets";
const std::string direct = "callbacks, direct_stream";
const std::string views = "callbacks, views";
const std::string asio_callbacks = "Asio callbacks";
const std::string asio_spawn = "asio::spawn";

cell server(std::string name, std::string program, engine does, const std::string& clients)
{
    return {.name = std::move(name),
            .program = std::move(program),
            .arguments = {"mode=hint-1", clients},
            .does = does,
            .load = {clients, "bytes=64", "warm_up=2000"}};
}

std::vector<cell> servers(unsigned connections)
{
    const std::string clients = "connections=" + std::to_string(connections);
    return {server(asio_callbacks, "echo_callbacks_asio", engine::epoll, clients),
            server(asio_spawn, "echo_fibers_asio", engine::epoll, clients),
            server(facade, "echo_facade", engine::native, clients),
            server(fibers, "echo_fibers_zsync", engine::native, clients),
            server(callbacks, "echo_callbacks_zsync", engine::native, clients),
            server(direct, "echo_direct", engine::native, clients),
            server(native, "echo_native", engine::native, clients)};
}

row timed_row(const std::string& name, std::string zsync, std::string peer, std::optional<double> goal = {})
{
    return {.name = name + zsync,
            .unit = "ns of server CPU a request",
            .metric = "cpu_ns",
            .zsync = std::move(zsync),
            .peer = std::move(peer),
            .goal = goal};
}

row rate_row(const std::string& name, std::string zsync, std::string peer, std::optional<double> goal = {})
{
    row r = timed_row(name, std::move(zsync), std::move(peer), goal);
    r.unit = "requests/s";
    r.metric = "per_second";
    r.more_is_better = true;
    return r;
}

row instruction_row(const std::string& name, std::string zsync, std::string peer, std::optional<double> goal = {})
{
    row r = timed_row(name, std::move(zsync), std::move(peer), goal);
    r.unit = "user-space instructions a request";
    r.from = source::instructions;
    return r;
}

row system_call_row(const std::string& name, std::string zsync, double goal)
{
    row r = timed_row(name, std::move(zsync), asio_callbacks, goal);
    r.unit = "system calls a request";
    r.by = judged::number;
    r.from = source::system_calls;
    return r;
}

group echo(unsigned connections, std::uint64_t count, double system_calls)
{
    const std::string name = connections == 1 ? "one connection, " : std::to_string(connections) + " connections, ";
    group g{.cells = servers(connections), .rows = {}, .count = count, .operation = "request"};
    for (const std::string& ours : {facade, fibers, callbacks, native})
    {
        const bool on_fibers = ours == facade || ours == fibers;
        g.rows.push_back(timed_row(name, ours, asio_callbacks, 0.95));
        if (on_fibers)
            g.rows.push_back(timed_row(name, ours, asio_spawn, 0.95));
        g.rows.push_back(rate_row(name, ours, asio_callbacks, 0.95));
        g.rows.push_back(on_fibers ? instruction_row(name, ours, asio_spawn, 1 / 0.35)
                                   : instruction_row(name, ours, asio_callbacks, 1 / 0.5));
        if (on_fibers)
            g.rows.push_back(instruction_row(name, ours, asio_callbacks));
        g.rows.push_back(system_call_row(name, ours, system_calls));
    }
    g.rows.push_back(timed_row(name, direct, callbacks));
    g.rows.push_back(instruction_row(name, direct, callbacks));
    return g;
}

// A deadline on every read of the façade.
group timed_reads(unsigned connections, std::uint64_t count)
{
    const std::string clients = "connections=" + std::to_string(connections);
    const std::string name = connections == 1 ? "one connection, " : std::to_string(connections) + " connections, ";
    const std::string timed = facade + ", a deadline on every read";
    cell with_deadlines = server(timed, "echo_facade", engine::native, clients);
    with_deadlines.arguments.push_back("timeouts=1");
    return {.cells = {server(facade, "echo_facade", engine::native, clients), with_deadlines},
            .rows = {timed_row(name, timed, facade, 0.95), instruction_row(name, timed, facade, 1 / 1.03)},
            .count = count,
            .operation = "request"};
}

// How much longer the slowest of a thousand waits than the one in the middle: no peer is needed to judge that.
group fairness(std::uint64_t count)
{
    const std::string clients = "connections=2000";
    group g{.cells = {server(views, "echo_views", engine::native, clients),
                      server(callbacks, "echo_callbacks_zsync", engine::native, clients),
                      server(asio_callbacks, "echo_callbacks_asio", engine::epoll, clients)},
            .rows = {},
            .count = count,
            .operation = "request"};
    for (const auto& [ours, goal] : {std::pair(views, 6.0), std::pair(callbacks, 12.0)})
        g.rows.push_back({.name = "2000 connections, " + ours,
                          .unit = "p99.9 over p50 of the latency",
                          .metric = "p999_over_p50",
                          .zsync = ours,
                          .peer = asio_callbacks,
                          .goal = goal,
                          .by = judged::number});
    g.rows.push_back(timed_row("2000 connections, ", views, asio_callbacks, 0.95));
    return g;
}

group accept_and_close(std::uint64_t count)
{
    const std::vector<std::string> load = {"connections=64", "churn=1", "warm_up=2000"};
    const std::string ours = "accept_many";
    return {.cells = {{.name = ours,
                       .program = "accept_close_zsync",
                       .arguments = {"warm_up=2000"},
                       .does = engine::native,
                       .load = load},
                      {.name = "async_accept, Asio",
                       .program = "accept_close_asio",
                       .arguments = {"warm_up=2000"},
                       .does = engine::epoll,
                       .load = load}},
            .rows = {{.name = "accept and close",
                      .unit = "connections/s",
                      .metric = "per_second",
                      .more_is_better = true,
                      .zsync = ours,
                      .peer = "async_accept, Asio",
                      .goal = 1.1},
                     {.name = "accept and close",
                      .unit = "ns of server CPU a connection",
                      .metric = "cpu_ns",
                      .zsync = ours,
                      .peer = "async_accept, Asio"}},
            .count = count,
            .operation = "connection"};
}

group datagrams(std::uint64_t count)
{
    const std::string asio = "async_send_to, Asio";
    group g{.cells = {{.name = "batches", .program = "udp_zsync", .arguments = {"mode=batch"}},
                      {.name = "segments", .program = "udp_zsync", .arguments = {"mode=gso"}},
                      {.name = asio, .program = "udp_asio", .arguments = {}}},
            .rows = {},
            .count = count,
            .operation = "datagram"};
    for (const auto& [ours, goal] : {std::pair("batches", 1.1), std::pair("segments", 2.0)})
        g.rows.push_back({.name = std::string("UDP, ") + ours,
                          .unit = "datagrams/s",
                          .metric = "per_second",
                          .more_is_better = true,
                          .zsync = ours,
                          .peer = asio,
                          .goal = goal});
    return g;
}

} // namespace

suite echo_suite()
{
    return {.name = "echo",
            .description = "TCP echo servers in one thread: fibers and callbacks, ours and Asio's",
            .groups = {echo(64, 40'000, 0.1), echo(1, 5'000, 2.0), timed_reads(64, 40'000), timed_reads(1, 5'000),
                       fairness(200'000), accept_and_close(20'000), datagrams(200'000)}};
}

} // namespace perf
