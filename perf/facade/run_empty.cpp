// SPDX-License-Identifier: BSL-1.0

// run() of a function that does nothing, start to end: the first one in a program, and `count` more. model=blocking or
// green.

#include "harness/cell.hpp"

#include <zsync/io/run.hpp>

namespace
{

double wall_us_of(const zsync::runtime& runtime, std::uint64_t count)
{
    std::uint64_t calls = 0;
    const double start = perf::wall_ns();
    for (std::uint64_t n = 0; n != count; ++n)
        runtime.run([&](zsync::io) { ++calls; });
    const double wall = perf::wall_ns() - start;
    if (calls != count)
        throw std::runtime_error("a function was not called");
    return wall / 1e3 / static_cast<double>(count);
}

void measure(const perf::cell_arguments& arguments)
{
    const zsync::model model =
        arguments.text("model", "blocking") == "green" ? zsync::model::green : zsync::model::blocking;
    const zsync::runtime runtime({.model = model});
    perf::cell_line line;
    line.add("first_us", wall_us_of(runtime, 1));
    line.add("each_us", wall_us_of(runtime, arguments.number("count", 100)));
    line.print();
}

} // namespace

int main(int argc, char** argv)
{
    return perf::cell_main(argc, argv, measure);
}
