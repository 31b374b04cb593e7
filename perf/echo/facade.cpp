// SPDX-License-Identifier: BSL-1.0

// A TCP echo server with a fiber a connection, of functions that take an io. Serves `connections` connections, then
// ends. timeouts=1: a read takes 30 s at most, by a deadline; timeouts=2: the same, by a select() with a timer.

#include "echo/sides.hpp"
#include "harness/allocations.hpp"

#include <zsync/io/io.hpp>
#include <zsync/sync/select.hpp>

#include <boost/asio/detached.hpp>
#include <boost/system/system_error.hpp>

#include <array>
#include <chrono>
#include <span>
#include <utility>

namespace
{

enum class timeouts
{
    none,
    deadline,
    select
};

constexpr std::chrono::seconds limit(30);

std::size_t read(zsync::io io, zsync::stream& peer, std::span<char> data, timeouts how)
{
    if (how == timeouts::none)
        return io.read(peer, data).await();
    if (how == timeouts::deadline)
        return io.with_deadline(limit).read(peer, data).await();
    const auto [which, done, late] = zsync::select(io.read(peer, data), zsync::after(limit));
    const auto [ec, n] = done.value();
    if (ec)
        throw boost::system::system_error(ec, "read");
    return n;
}

void echo(zsync::io io, zsync::stream& peer, timeouts how, perf::allocation_window& window)
{
    std::array<char, 4096> data;
    while (const std::size_t n = read(io, peer, data, how))
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

    const auto how = static_cast<timeouts>(arguments.number("timeouts", 0));
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
                    ctx, [&, peer = std::move(peer)]() mutable { echo(io, peer, how, window); }, boost::asio::detached);
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
