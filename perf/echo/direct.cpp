// SPDX-License-Identifier: BSL-1.0

// The TCP echo server of callbacks.cpp, its connections in the ring's own table of files.

#include "echo/session.hpp"
#include "echo/sides.hpp"

#include <utility>

namespace
{

namespace asio = boost::asio;
using boost::system::error_code;

void accept(zsync::acceptor& acceptor, perf::allocation_window& window, std::uint64_t remaining)
{
    if (remaining == 0)
        return acceptor.close();
    acceptor.async_accept_direct(
        [&acceptor, &window, remaining](error_code ec, zsync::direct_stream peer)
        {
            if (ec)
                throw boost::system::system_error(ec, "accept");
            if (!peer.is_direct())
                throw std::runtime_error("no place in the table");
            perf::serve_echo(std::move(peer), window);
            accept(acceptor, window, remaining - 1);
        });
}

void serve(const perf::cell_arguments& arguments)
{
    const std::uint64_t connections = arguments.number("connections", 64);
    perf::loop_context ctx({.direct_descriptors = static_cast<unsigned>(connections + 1)});
    zsync::acceptor acceptor(ctx, perf::loopback());
    acceptor.set_option(asio::ip::tcp::no_delay(true)); // inherited
    perf::say_hello(acceptor.local_endpoint().port());
    perf::allocation_window window(arguments);
    accept(acceptor, window, connections);
    ctx.run();

    perf::cell_line line;
    perf::describe_context(line, ctx);
    line.print();
}

} // namespace

int main(int argc, char** argv)
{
    return perf::cell_main(argc, argv, serve);
}
