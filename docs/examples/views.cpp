// SPDX-License-Identifier: BSL-1.0
// What docs/net.md shows: a server of fibers that accepts and receives by sources, and sends each message back from the
// buffer in which it arrived. Ten clients use it; returns 0 if all of them got back what they had sent.
#include <zsync/core/use_await.hpp>
#include <zsync/fiber.hpp>
#include <zsync/net.hpp>

#include <boost/asio.hpp>

#include <iostream>
#include <string>

namespace asio = boost::asio;
using boost::system::error_code;

void serve(zsync::stream peer)
{
    auto source = peer.receive_many();
    for (;;)
    {
        error_code ec;
        const zsync::buffer_view view = source.async_next(zsync::use_await[ec]);
        if (ec)
            return; // the end of the stream, usually
        asio::async_write(peer, asio::const_buffer(view), zsync::use_await);
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
    zsync::fiber_context ctx;
    zsync::acceptor listener(ctx, {"127.0.0.1", 0});
    if (!listener.supports_accept_many())
    {
        std::cout << "no ring, or too old a kernel, for this: " << ctx.why() << '\n';
        return 0;
    }

    int good = 0;
    zsync::spawn(
        ctx,
        [&]
        {
            auto connections = listener.accept_many();
            for (int i = 0; i < 10; ++i)
                zsync::spawn(
                    ctx, [peer = connections.async_next(zsync::use_await)]() mutable { serve(std::move(peer)); },
                    asio::detached);
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

    std::cout << good << " of 10 answers are what was asked; " << ctx.counters().multishot_results
              << " connections and views\n";
    return good == 10 ? 0 : 1;
}
