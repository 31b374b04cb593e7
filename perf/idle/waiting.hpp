// SPDX-License-Identifier: BSL-1.0
#pragma once

// Fibers that wait: how much memory they hold, and how long it takes to cancel all of them.

#include "harness/cell.hpp"

#include <zsync/fiber.hpp>

#include <boost/asio/detached.hpp>

#include <cstdint>
#include <fstream>
#include <stdexcept>
#include <utility>
#include <vector>

#include <unistd.h>

namespace perf
{

/// Returns the bytes of this process that are in memory, shared ones included.
inline double resident_bytes()
{
    std::ifstream file("/proc/self/statm");
    double all = 0;
    double resident = 0;
    if (!(file >> all >> resident))
        throw std::runtime_error("/proc/self/statm cannot be read");
    return resident * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

/// Makes `count` fibers of `make(number)`, a function that waits until it is cancelled, and adds to a line what they
/// hold and how long it takes from the first request until the last has been joined.
template <class Make>
void measure_waiting(zsync::fiber_context& ctx, std::uint64_t count, Make make, cell_line& line)
{
    std::vector<zsync::fiber> fibers;
    fibers.reserve(count);
    std::uint64_t waiting = 0;
    std::uint64_t aborted = 0;
    zsync::spawn(
        ctx,
        [&]
        {
            const double before = resident_bytes();
            for (std::uint64_t n = 0; n != count; ++n)
                fibers.emplace_back(ctx,
                                    [&, wait = make(n)]() mutable
                                    {
                                        ++waiting;
                                        boost::system::error_code ec;
                                        wait(ec);
                                        aborted += ec == boost::asio::error::operation_aborted;
                                    });
            while (waiting != count)
                zsync::this_fiber::yield();
            zsync::this_fiber::sleep_for(std::chrono::milliseconds(10)); // and all that is to be submitted is
            line.add("bytes_each", (resident_bytes() - before) / static_cast<double>(count));

            const double start = wall_ns();
            for (const zsync::fiber& each : fibers)
                each.request_cancel();
            for (zsync::fiber& each : fibers)
                each.join();
            line.add("cancel_s", (wall_ns() - start) / 1e9);
        },
        boost::asio::detached);
    ctx.run();
    if (aborted != count)
        throw std::runtime_error("not every wait was cancelled");
}

} // namespace perf
