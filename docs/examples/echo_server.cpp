// SPDX-License-Identifier: BSL-1.0
#include <zsync/drop_in.hpp> // before any use of a socket, in every file

#include <boost/asio.hpp>

#include <array>

namespace asio = boost::asio;
using asio::ip::tcp;

asio::awaitable<void> echo(tcp::socket peer)
{
    for (std::array<char, 4096> data;;)
    {
        const std::size_t bytes = co_await peer.async_read_some(asio::buffer(data), asio::use_awaitable);
        co_await asio::async_write(peer, asio::buffer(data, bytes), asio::use_awaitable);
    }
}

asio::awaitable<void> listen(tcp::acceptor listener)
{
    for (;;)
        asio::co_spawn(listener.get_executor(), echo(co_await listener.async_accept(asio::use_awaitable)),
                       asio::detached);
}

int main()
{
    zsync::uring_context ctx; // was: boost::asio::io_context ctx;
    asio::co_spawn(ctx, listen(tcp::acceptor(ctx, {asio::ip::address_v4::loopback(), 5000})), asio::detached);
    ctx.run();
}
