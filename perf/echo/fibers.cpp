// SPDX-License-Identifier: BSL-1.0

// A TCP echo server with a fiber a connection: zsync::spawn and use_await, or asio::spawn and its yield context, of
// io_context's own executor type. Serves `connections` connections, then ends.

#include "echo/sides.hpp"
#include "harness/allocations.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/write.hpp>

#include <array>
#include <utility>

#ifdef PERF_PEER
#    include <boost/asio/spawn.hpp>
#else
#    include <zsync/core/use_await.hpp>
#endif

namespace
{

namespace asio = boost::asio;
using boost::system::error_code;

// Runs a function on a fiber of its own; it gets the token with which that waits.
template <class Function>
void start_fiber(perf::loop_context& ctx, Function function)
{
#ifdef PERF_PEER
    using token = asio::basic_yield_context<perf::loop_context::executor_type>;
    asio::spawn(
        ctx, [function = std::move(function)](token yield) mutable { function(yield); }, asio::detached);
#else
    zsync::spawn(
        ctx, [function = std::move(function)]() mutable { function(zsync::use_await); }, asio::detached);
#endif
}

template <class Token>
void echo(perf::stream& peer, perf::allocation_window& window, Token token)
{
    std::array<char, 4096> data;
    for (error_code ec;;)
    {
        const std::size_t n = peer.async_read_some(asio::buffer(data), token[ec]);
        if (!ec)
            asio::async_write(peer, asio::buffer(data, n), token[ec]);
        if (ec)
            return;
        window.served();
    }
}

void serve(const perf::cell_arguments& arguments)
{
    const auto ctx = perf::make_loop();
    perf::acceptor acceptor(*ctx, perf::loopback());
    perf::say_hello(acceptor.local_endpoint().port());

    perf::allocation_window window(arguments);
    start_fiber(*ctx,
                [&, connections = arguments.number("connections", 64)](auto token)
                {
                    for (std::uint64_t i = 0; i != connections; ++i)
                    {
                        perf::stream peer = acceptor.async_accept(token);
                        peer.set_option(asio::ip::tcp::no_delay(true));
                        start_fiber(*ctx, [&window, peer = std::move(peer)](auto inner) mutable
                                    { echo(peer, window, inner); });
                    }
                    acceptor.close();
                });
    ctx->run();

    perf::cell_line line;
    perf::describe_context(line, *ctx);
    window.describe(line, 2);
    line.print();
}

} // namespace

int main(int argc, char** argv)
{
    return perf::cell_main(argc, argv, serve);
}
