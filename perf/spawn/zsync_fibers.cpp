// SPDX-License-Identifier: BSL-1.0

// A fiber that spawns another, which does nothing, and awaits its end: `count` times. Stacks come from the context's
// pool.

#include "harness/cell.hpp"

#include <zsync/core/use_await.hpp>
#include <zsync/fiber.hpp>

#include <boost/asio/detached.hpp>

namespace
{

void run(zsync::fiber_context& ctx, std::uint64_t count)
{
    zsync::spawn(
        ctx,
        [&ctx, count]
        {
            for (std::uint64_t n = 0; n != count; ++n)
                zsync::spawn(
                    ctx, [] {}, zsync::use_await);
        },
        boost::asio::detached);
    ctx.restart();
    ctx.run();
}

void measure(const perf::cell_arguments& arguments)
{
    const std::uint64_t count = arguments.number("count", 1'000'000);
    zsync::fiber_context ctx;
    run(ctx, arguments.number("warm_up", 10'000));

    const double start = perf::cpu_ns();
    run(ctx, count);
    perf::cell_line().add("cpu_ns", (perf::cpu_ns() - start) / static_cast<double>(count)).print();
}

} // namespace

int main(int argc, char** argv)
{
    return perf::cell_main(argc, argv, measure);
}
