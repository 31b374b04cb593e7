// SPDX-License-Identifier: BSL-1.0
// A server of fibers whose connections stand in the ring's own table of files, where there is one; the program is the
// same where there is none. Ten clients use it; returns 0 if all of them got back what they had sent.
#include <zsync/core/use_await.hpp>
#include <zsync/fiber.hpp>
#include <zsync/net.hpp>

#include <boost/asio.hpp>

#include <array>
#include <iostream>
#include <string>

namespace asio = boost::asio;
using boost::system::error_code;

void serve(zsync::direct_stream peer)
{
    std::array<char, 1024> data;
    for (;;)
    {
        error_code ec;
        const std::size_t size = peer.async_read_some(asio::buffer(data), zsync::use_await[ec]);
        if (ec)
            return; // the end of the stream, usually
        asio::async_write(peer, asio::buffer(data, size), zsync::use_await);
    }
}

std::string ask(zsync::fiber_context& ctx, const zsync::endpoint& server, const std::string& question)
{
    zsync::stream to(ctx);
    to.async_connect(server, zsync::use_await);
    asio::async_write(to, asio::buffer(question), zsync::use_await);
    std::string answer(question.size(), '\0');
    asio::async_read(to, asio::buffer(answer), zsync::use_await);
    return answer;
}

int main()
{
    zsync::fiber_context ctx({.direct_descriptors = 8}); // too few for all at once: others would hold descriptors
    zsync::acceptor listener(ctx, {"127.0.0.1", 0});
    listener.set_option(asio::ip::tcp::no_delay(true)); // which is inherited

    int direct = 0;
    int good = 0;
    zsync::spawn(
        ctx,
        [&]
        {
            for (int i = 0; i < 10; ++i)
            {
                auto peer = listener.async_accept_direct(zsync::use_await);
                direct += peer.is_direct();
                zsync::spawn(
                    ctx, [peer = std::move(peer)]() mutable { serve(std::move(peer)); }, asio::detached);
            }
        },
        asio::detached);
    for (int i = 0; i < 10; ++i)
        zsync::spawn(
            ctx,
            [&, i]
            {
                const std::string question(static_cast<std::size_t>(1 + 1000 * i), static_cast<char>('a' + i));
                good += ask(ctx, listener.local_endpoint(), question) == question;
            },
            asio::detached);
    ctx.run();

    std::cout << good << " of 10 answers are what was asked; " << direct << " connections stood in the ring's table\n";
    return good == 10 ? 0 : 1;
}
