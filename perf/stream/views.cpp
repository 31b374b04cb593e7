// SPDX-License-Identifier: BSL-1.0

// Receives `count` KiB from a socket pair by receive_many(), into provided buffers of `buffer` bytes, with `bundles` or
// without.

#include "harness/context.hpp"
#include "stream/sender.hpp"

#include <zsync/engine/engine_for.hpp>
#include <zsync/net/stream.hpp>

namespace
{

class receiver
{
public:
    explicit receiver(zsync::view_source source) : source_(std::move(source)) {}

    void next()
    {
        source_.async_next(
            [this](boost::system::error_code ec, zsync::buffer_view view)
            {
                for (received += view.size(); !ec; received += view.size())
                {
                    auto more = source_.try_next(ec);
                    view = more ? std::move(*more) : zsync::buffer_view();
                }
                if (ec == boost::asio::error::would_block)
                    next();
            });
    }

    std::uint64_t received = 0;

private:
    zsync::view_source source_;
};

void measure(const perf::cell_arguments& arguments)
{
    const std::uint64_t bytes = arguments.number("count", 1024) * 1024;
    const std::uint64_t buffer = arguments.number("buffer", 4096);
    const perf::sender from(bytes);
    const auto ctx = perf::make_context("one-thread");
    const auto pool = zsync::make_buffers(
        *ctx, {.count = static_cast<unsigned>((1 << 20) / buffer), .bytes = static_cast<std::size_t>(buffer)});
    zsync::stream mine(ctx->get_executor(), from.socket());
    receiver r(mine.receive_many({.buffers = pool,
                                  .limit = static_cast<std::uint32_t>((1 << 19) / buffer),
                                  .bundles = arguments.number("bundles", 0) != 0}));
    const double cpu = perf::cpu_ns();
    const double wall = perf::wall_ns();
    r.next();
    ctx->run();
    const double kib = static_cast<double>(r.received) / 1024;
    if (r.received != bytes)
        throw std::runtime_error("bytes are missing");
    perf::cell_line line;
    line.add("cpu_ns", (perf::cpu_ns() - cpu) / kib).add("wall_ns", (perf::wall_ns() - wall) / kib);
    const zsync::metrics counted = ctx->counters();
    line.add("results", static_cast<double>(counted.multishot_results))
        .add("dry", static_cast<double>(counted.buffers_dry))
        .add("enters", static_cast<double>(counted.ring_enters))
        .print();
}

} // namespace

int main(int argc, char** argv)
{
    return perf::cell_main(argc, argv, measure);
}
