// SPDX-License-Identifier: BSL-1.0

// A TCP echo server with a fiber a connection, of functions that take an io. Serves `connections` connections, then
// ends. timeouts=1: a read takes 30 s at most.

#include "echo/sides.hpp"
#include "harness/allocations.hpp"

#include <zsync/io/io.hpp>

#include <boost/asio/detached.hpp>

#include <array>
#include <chrono>
#include <span>
#include <utility>

namespace
{

using namespace std::chrono_literals;

void echo(zsync::io io, zsync::stream& peer, bool timeouts, perf::allocation_window& window)
{
    std::array<char, 4096> data;
    const auto read = [&]
    { return timeouts ? io.with_deadline(30s).read(peer, data).await() : io.read(peer, data).await(); };
    while (const std::size_t n = read())
    {
        io.write(peer, std::span(data).first(n)).await();
        window.served();
    }
}

void serve(const perf::cell_arguments& arguments)
{
    zsync::fiber_context ctx;
    zsync::io io(ctx);
    zsync::acceptor listener = io.listen(perf::loopback());
    perf::say_hello(listener.local_endpoint().port());

    const bool timeouts = arguments.number("timeouts", 0) != 0;
    perf::allocation_window window(arguments);
    zsync::spawn(
        ctx,
        [&, connections = arguments.number("connections", 64)]
        {
            for (std::uint64_t i = 0; i != connections; ++i)
            {
                zsync::stream peer = io.accept(listener).await();
                peer.set_option(boost::asio::ip::tcp::no_delay(true));
                zsync::spawn(
                    ctx, [&, peer = std::move(peer)]() mutable { echo(io, peer, timeouts, window); },
                    boost::asio::detached);
            }
            listener.close();
        },
        boost::asio::detached);
    ctx.run();

    perf::cell_line line;
    perf::describe_context(line, ctx);
    window.describe(line, 2);
    line.print();
}

} // namespace

int main(int argc, char** argv)
{
    return perf::cell_main(argc, argv, serve);
}
