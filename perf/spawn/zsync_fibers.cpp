// SPDX-License-Identifier: BSL-1.0

// A fiber that spawns another, which does nothing, and awaits its end: `count` times. Stacks come from the context's
// pool. by=fiber makes it as a zsync::fiber, and joins that.

#include "harness/cell.hpp"

#include <zsync/core/use_await.hpp>
#include <zsync/fiber.hpp>

#include <boost/asio/detached.hpp>

namespace
{

template <class Make>
void run(zsync::fiber_context& ctx, std::uint64_t count, Make make)
{
    zsync::spawn(
        ctx,
        [&ctx, count, make]
        {
            for (std::uint64_t n = 0; n != count; ++n)
                make(ctx);
        },
        boost::asio::detached);
    ctx.restart();
    ctx.run();
}

template <class Make>
void measure(const perf::cell_arguments& arguments, Make make)
{
    const std::uint64_t count = arguments.number("count", 1'000'000);
    zsync::fiber_context ctx;
    run(ctx, arguments.number("warm_up", 10'000), make);

    const double start = perf::cpu_ns();
    run(ctx, count, make);
    perf::cell_line().add("cpu_ns", (perf::cpu_ns() - start) / static_cast<double>(count)).print();
}

void measure(const perf::cell_arguments& arguments)
{
    const auto nothing = [] {};
    if (arguments.text("by", "spawn") == "fiber")
        measure(arguments, [nothing](zsync::fiber_context& ctx) { zsync::fiber(ctx, nothing).join(); });
    else
        measure(arguments, [nothing](zsync::fiber_context& ctx) { zsync::spawn(ctx, nothing, zsync::use_await); });
}

} // namespace

int main(int argc, char** argv)
{
    return perf::cell_main(argc, argv, [](const perf::cell_arguments& arguments) { measure(arguments); });
}
