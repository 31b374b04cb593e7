// SPDX-License-Identifier: BSL-1.0

// Receives `count` KiB from a socket pair by read(2), into one buffer of `buffer` bytes.

#include "harness/cell.hpp"
#include "stream/sender.hpp"

namespace
{

void measure(const perf::cell_arguments& arguments)
{
    const std::uint64_t bytes = arguments.number("count", 1024) * 1024;
    std::vector<char> data(arguments.number("buffer", 65536));
    const perf::sender from(bytes);
    const double cpu = perf::cpu_ns();
    const double wall = perf::wall_ns();
    std::uint64_t received = 0;
    for (ssize_t n = 0; (n = read(from.socket(), data.data(), data.size())) > 0;)
        received += static_cast<std::uint64_t>(n);
    const double kib = static_cast<double>(received) / 1024;
    if (received != bytes)
        throw std::runtime_error("bytes are missing");
    perf::cell_line()
        .add("cpu_ns", (perf::cpu_ns() - cpu) / kib)
        .add("wall_ns", (perf::wall_ns() - wall) / kib)
        .print();
    close(from.socket());
}

} // namespace

int main(int argc, char** argv)
{
    return perf::cell_main(argc, argv, measure);
}
