// SPDX-License-Identifier: BSL-1.0

// Reads a byte of /dev/zero `count` times by an io of the blocking model.

#include "harness/cell.hpp"

#include <zsync/blocking.hpp>
#include <zsync/io/io.hpp>

#include <array>

namespace
{

void read(zsync::io io, zsync::file& from, std::uint64_t count)
{
    std::array<char, 1> byte;
    for (std::uint64_t n = 0; n != count; ++n)
        if (io.read(from, byte).await() != 1)
            throw std::runtime_error("a short read");
}

void measure(const perf::cell_arguments& arguments)
{
    const std::uint64_t count = arguments.number("count", 100'000);
    zsync::blocking_context ctx;
    zsync::io io(ctx);
    zsync::file zeros = io.open("/dev/zero").await();
    read(io, zeros, arguments.number("warm_up", 1'000));

    const double start = perf::cpu_ns();
    read(io, zeros, count);
    perf::cell_line().add("cpu_ns", (perf::cpu_ns() - start) / static_cast<double>(count)).print();
}

} // namespace

int main(int argc, char** argv)
{
    return perf::cell_main(argc, argv, measure);
}
