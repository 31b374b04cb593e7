// SPDX-License-Identifier: BSL-1.0

// Two fibers of a fiber_context that yield to each other: `count` yields in all.

#include "harness/cell.hpp"

#include <zsync/fiber.hpp>

#include <boost/asio/detached.hpp>

namespace
{

void run(zsync::fiber_context& ctx, std::uint64_t count)
{
    for (int i = 0; i != 2; ++i)
        zsync::spawn(
            ctx,
            [yields = count / 2]
            {
                for (std::uint64_t n = 0; n != yields; ++n)
                    zsync::this_fiber::yield();
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
