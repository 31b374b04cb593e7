// SPDX-License-Identifier: BSL-1.0

// Boost.Fiber: a fiber that does nothing is launched and joined, `count` times. Stacks come from
// pooled_fixedsize_stack. launch=post queues it, as zsync does; launch=dispatch switches to it at once.

#include "harness/cell.hpp"

#include <boost/fiber/fiber.hpp>
#include <boost/fiber/pooled_fixedsize_stack.hpp>

namespace
{

namespace fibers = boost::fibers;

void run(fibers::launch how, fibers::pooled_fixedsize_stack stacks, std::uint64_t count)
{
    for (std::uint64_t n = 0; n != count; ++n)
        fibers::fiber(how, std::allocator_arg, stacks, [] {}).join();
}

void measure(const perf::cell_arguments& arguments)
{
    const std::uint64_t count = arguments.number("count", 1'000'000);
    const auto how = arguments.text("launch", "post") == "dispatch" ? fibers::launch::dispatch : fibers::launch::post;
    fibers::pooled_fixedsize_stack stacks;
    run(how, stacks, arguments.number("warm_up", 10'000));

    const double start = perf::cpu_ns();
    run(how, stacks, count);
    perf::cell_line().add("cpu_ns", (perf::cpu_ns() - start) / static_cast<double>(count)).print();
}

} // namespace

int main(int argc, char** argv)
{
    return perf::cell_main(argc, argv, measure);
}
