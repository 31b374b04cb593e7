// SPDX-License-Identifier: BSL-1.0

// A TCP echo server of callbacks, as Asio's tutorials write it. Serves `connections` connections, then ends.

#include "echo/session.hpp"
#include "echo/sides.hpp"
#include "harness/allocations.hpp"

#include <utility>

namespace
{

namespace asio = boost::asio;
using boost::system::error_code;

void accept(perf::acceptor& acceptor, perf::allocation_window& window, std::uint64_t remaining)
{
    if (remaining == 0)
        return acceptor.close();
    acceptor.async_accept(
        [&acceptor, &window, remaining](error_code ec, perf::stream peer)
        {
            if (ec)
                throw boost::system::system_error(ec, "accept");
            peer.set_option(asio::ip::tcp::no_delay(true));
            perf::serve_echo(std::move(peer), window);
            accept(acceptor, window, remaining - 1);
        });
}

void serve(const perf::cell_arguments& arguments)
{
    const auto ctx = perf::make_loop();
    perf::acceptor acceptor(*ctx, perf::loopback());
    perf::say_hello(acceptor.local_endpoint().port());

    perf::allocation_window window(arguments);
    accept(acceptor, window, arguments.number("connections", 64));
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
