// SPDX-License-Identifier: BSL-1.0

// Reads a byte of /dev/zero `count` times by read(2).

#include "harness/cell.hpp"

#include <array>

#include <fcntl.h>
#include <unistd.h>

namespace
{

void read_all(int from, std::uint64_t count)
{
    std::array<char, 1> byte;
    for (std::uint64_t n = 0; n != count; ++n)
        if (::read(from, byte.data(), byte.size()) != 1)
            throw std::runtime_error("a short read");
}

void measure(const perf::cell_arguments& arguments)
{
    const std::uint64_t count = arguments.number("count", 100'000);
    const int zeros = ::open("/dev/zero", O_RDONLY | O_CLOEXEC);
    read_all(zeros, arguments.number("warm_up", 1'000));

    const double start = perf::cpu_ns();
    read_all(zeros, count);
    perf::cell_line().add("cpu_ns", (perf::cpu_ns() - start) / static_cast<double>(count)).print();
    ::close(zeros);
}

} // namespace

int main(int argc, char** argv)
{
    return perf::cell_main(argc, argv, measure);
}
