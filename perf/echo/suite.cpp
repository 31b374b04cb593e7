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
    return g;
}

} // namespace

suite echo_suite()
{
    return {.name = "echo",
            .description = "TCP echo servers in one thread: fibers and callbacks, ours and Asio's",
            .groups = {echo(64, 40'000, 0.1), echo(1, 5'000, 2.0)}};
}

} // namespace perf
