// SPDX-License-Identifier: BSL-1.0

// A server that accepts connections and closes each at once: `warm_up` and `count` of them, and one for its end.

#include "echo/sides.hpp"

namespace
{

using boost::system::error_code;

#ifdef PERF_PEER

void accept(perf::acceptor& acceptor, std::uint64_t remaining)
{
    if (remaining == 0)
        return;
    acceptor.async_accept(
        [&acceptor, remaining](error_code ec, perf::stream)
        {
            if (ec)
                throw boost::system::system_error(ec, "accept");
            accept(acceptor, remaining - 1);
        });
}

#else

void accept(zsync::connection_source& source, std::uint64_t remaining)
{
    if (remaining == 0)
        return;
    source.async_next(
        [&source, remaining](error_code ec, perf::stream)
        {
            if (ec)
                throw boost::system::system_error(ec, "accept");
            accept(source, remaining - 1);
        });
}

#endif

void serve(const perf::cell_arguments& arguments)
{
    const auto ctx = perf::make_loop();
    perf::acceptor acceptor(*ctx, perf::loopback());
    perf::say_hello(acceptor.local_endpoint().port());
    const std::uint64_t connections = arguments.number("warm_up", 2'000) + arguments.number("count", 10'000) + 1;
#ifdef PERF_PEER
    accept(acceptor, connections);
#else
    auto source = acceptor.accept_many();
    accept(source, connections);
#endif
    ctx->run();

    perf::cell_line line;
    perf::describe_context(line, *ctx);
    line.print();
}

} // namespace

int main(int argc, char** argv)
{
    return perf::cell_main(argc, argv, serve);
}
