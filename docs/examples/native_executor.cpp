// SPDX-License-Identifier: BSL-1.0

// The form without <zsync/drop_in.hpp>: sockets whose executor type says that they are native. Other translation units
// may use tcp::socket as they like. Connects to itself, sends a line both ways and prints what the ring did.

#include <zsync/uring.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <exception>
#include <iostream>
#include <string>

namespace asio = boost::asio;
using native_executor = zsync::uring_context::native_executor_type;
using tcp_socket = asio::basic_stream_socket<asio::ip::tcp, native_executor>;
using tcp_acceptor = asio::basic_socket_acceptor<asio::ip::tcp, native_executor>;
using coroutine = asio::awaitable<void, native_executor>;

constexpr asio::use_awaitable_t<native_executor> use_awaitable;

coroutine answer(tcp_acceptor& listener)
{
    tcp_socket peer = co_await listener.async_accept(use_awaitable); // of the same executor type
    std::string line;
    co_await asio::async_read_until(peer, asio::dynamic_buffer(line), '\n', use_awaitable);
    line.insert(0, "you said: ");
    co_await asio::async_write(peer, asio::buffer(line), use_awaitable);
}

coroutine ask(native_executor ex, asio::ip::tcp::endpoint server)
{
    tcp_socket peer(ex);
    co_await peer.async_connect(server, use_awaitable);
    co_await asio::async_write(peer, asio::buffer("hello\n", 6), use_awaitable);
    std::string line;
    co_await asio::async_read_until(peer, asio::dynamic_buffer(line), '\n', use_awaitable);
    std::cout << line;
}

int main()
{
    zsync::uring_context ctx;
    tcp_acceptor listener(ctx.native_executor(), {asio::ip::address_v4::loopback(), 0});
    const auto rethrow = [](std::exception_ptr failure)
    {
        if (failure)
            std::rethrow_exception(failure);
    };
    asio::co_spawn(ctx.native_executor(), answer(listener), rethrow);
    asio::co_spawn(ctx.native_executor(), ask(ctx.native_executor(), listener.local_endpoint()), rethrow);
    ctx.run();
    std::cout << to_string(ctx.engine()) << ", " << ctx.counters().operations_completed << " native operations\n";
}
