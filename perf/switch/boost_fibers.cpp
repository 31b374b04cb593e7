// SPDX-License-Identifier: BSL-1.0

// Two fibers of Boost.Fiber that yield to each other, under its default scheduler: `count` yields in all. The thread's
// own fiber waits meanwhile.

#include "harness/cell.hpp"

#include <boost/fiber/fiber.hpp>
#include <boost/fiber/operations.hpp>

namespace
{

void run(std::uint64_t count)
{
    const auto yield = [yields = count / 2]
    {
        for (std::uint64_t n = 0; n != yields; ++n)
            boost::this_fiber::yield();
    };
    boost::fibers::fiber one(yield);
    boost::fibers::fiber other(yield);
    one.join();
    other.join();
}

void measure(const perf::cell_arguments& arguments)
{
    const std::uint64_t count = arguments.number("count", 1'000'000);
    run(arguments.number("warm_up", 10'000));

    const double start = perf::cpu_ns();
    run(count);
    perf::cell_line().add("cpu_ns", (perf::cpu_ns() - start) / static_cast<double>(count)).print();
}

} // namespace

int main(int argc, char** argv)
{
    return perf::cell_main(argc, argv, measure);
}
