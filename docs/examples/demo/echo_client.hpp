// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <vector>

namespace demo
{

namespace asio = boost::asio;
using asio::ip::tcp;

constexpr std::size_t request_bytes = 512;

struct workload
{
    unsigned connections;
    unsigned requests; // of each connection
};

struct exchange
{
    std::uint64_t requests = 0; // answered, every byte as sent
    std::uint64_t hash = 0;     // of all that came back, in the order of the connections
};

inline asio::awaitable<void> ask(tcp::endpoint server, unsigned connection, unsigned requests, exchange& result)
{
    tcp::socket peer(co_await asio::this_coro::executor);
    std::array<unsigned char, request_bytes> sent;
    std::array<unsigned char, request_bytes> received;
    result.hash = 0xcbf29ce484222325; // FNV-1a
    co_await peer.async_connect(server, asio::use_awaitable);
    for (unsigned request = 0; request < requests; ++request)
    {
        for (std::size_t at = 0; at < sent.size(); ++at)
            sent[at] = static_cast<unsigned char>(at * 31 + request * 7 + connection);
        co_await asio::async_write(peer, asio::buffer(sent), asio::use_awaitable);
        co_await asio::async_read(peer, asio::buffer(received), asio::use_awaitable);
        result.requests += sent == received;
        for (const unsigned char byte : received)
            result.hash = (result.hash ^ byte) * 0x100000001b3;
    }
}

/// Drives an echo server from several connections at once, each waiting for every answer. Blocks until all are
/// done. @throws what any of them throws
inline exchange run_client(std::uint16_t port, workload load)
{
    asio::io_context ctx;
    std::vector<exchange> each(load.connections);
    for (unsigned connection = 0; connection < load.connections; ++connection)
        asio::co_spawn(ctx, ask({asio::ip::address_v4::loopback(), port}, connection, load.requests, each[connection]),
                       [](std::exception_ptr failure)
                       {
                           if (failure)
                               std::rethrow_exception(failure);
                       });
    ctx.run();
    exchange total;
    for (const exchange& one : each)
    {
        total.requests += one.requests;
        total.hash = (total.hash ^ one.hash) * 0x100000001b3;
    }
    return total;
}

} // namespace demo
