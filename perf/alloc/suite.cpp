// SPDX-License-Identifier: BSL-1.0
#include "harness/suite.hpp"

#include <utility>

namespace perf
{

namespace
{

cell server(std::string name, std::string program, engine does, const std::string& timeouts = "0")
{
    return {.name = std::move(name),
            .program = std::move(program),
            .arguments = {"connections=64", "warm_up=2000", "timeouts=" + timeouts},
            .does = does,
            .load = {"connections=64", "bytes=64", "warm_up=2000"}};
}

row none_of(std::string zsync, std::string peer)
{
    return {.name = "warmed echo server, " + zsync,
            .unit = "heap allocations an operation",
            .metric = "allocations",
            .zsync = std::move(zsync),
            .peer = std::move(peer),
            .goal = 0.0,
            .by = judged::number};
}

} // namespace

suite alloc_suite()
{
    return {
        .name = "alloc",
        .description = "heap allocations of the echo servers once they are warm; a request is two operations",
        .groups = {{.cells = {server("Asio callbacks", "echo_callbacks_asio_alloc", engine::epoll),
                              server("asio::spawn", "echo_fibers_asio_alloc", engine::epoll),
                              server("fibers, io", "echo_facade_alloc", engine::native),
                              server("fibers, io, a deadline for each read", "echo_facade_alloc", engine::native, "1"),
                              server("fibers, io, each read in a select() with a timer", "echo_facade_alloc",
                                     engine::native, "2"),
                              server("fibers, use_await", "echo_fibers_zsync_alloc", engine::native),
                              server("callbacks, zsync::stream", "echo_callbacks_zsync_alloc", engine::native)},
                    .rows = {none_of("fibers, io", "asio::spawn"),
                             none_of("fibers, io, a deadline for each read", "asio::spawn"),
                             none_of("fibers, io, each read in a select() with a timer", "asio::spawn"),
                             none_of("fibers, use_await", "asio::spawn"),
                             none_of("callbacks, zsync::stream", "Asio callbacks")},
                    .count = 20'000,
                    .operation = "request"}}};
}

} // namespace perf
