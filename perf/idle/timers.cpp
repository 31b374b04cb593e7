// SPDX-License-Identifier: BSL-1.0

// `count` fibers that wait for a time that does not come, and are then cancelled.

#include "waiting.hpp"

namespace
{

void measure(const perf::cell_arguments& arguments)
{
    zsync::fiber_context ctx;
    perf::cell_line line;
    const auto make = [](std::uint64_t number)
    {
        return [when = std::chrono::hours(24) + std::chrono::milliseconds(number)](boost::system::error_code& ec)
        { zsync::this_fiber::sleep_for(when, ec); };
    };
    perf::measure_waiting(ctx, arguments.number("count", 100'000), make, line);
    line.print();
}

} // namespace

int main(int argc, char** argv)
{
    return perf::cell_main(argc, argv, measure);
}
