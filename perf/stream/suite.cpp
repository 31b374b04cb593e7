// SPDX-License-Identifier: BSL-1.0
#include "harness/suite.hpp"

#include <utility>

namespace perf
{

namespace
{

cell views(std::string name, unsigned buffer, bool bundles)
{
    return {.name = std::move(name),
            .program = "stream_views",
            .arguments = {"buffer=" + std::to_string(buffer), bundles ? "bundles=1" : "bundles=0"},
            .cpus = 2};
}

row cpu_row(std::string zsync, std::string peer, std::optional<double> goal = {})
{
    return {.name = zsync,
            .unit = "ns of the receiver's CPU a KiB",
            .metric = "cpu_ns",
            .zsync = zsync,
            .peer = std::move(peer),
            .goal = goal};
}

} // namespace

suite stream_suite()
{
    const std::string plain = "read(2), 64 KiB";
    const std::string small = "read(2), 4 KiB";
    // At most 1.1 of the plain read: a ratio of at least 1 / 1.1.
    return {
        .name = "stream",
        .description = "one thread receives 1 GiB over an AF_UNIX socket pair from another process",
        .groups = {
            {.cells = {{.name = plain, .program = "stream_plain_read", .arguments = {"buffer=65536"}, .cpus = 2},
                       {.name = small, .program = "stream_plain_read", .arguments = {"buffer=4096"}, .cpus = 2},
                       views("views of 64 KiB", 65536, false),
                       views("views of 4 KiB, bundles", 4096, true),
                       views("views of 4 KiB", 4096, false)},
             .rows = {cpu_row("views of 64 KiB", plain, 1 / 1.1), cpu_row("views of 4 KiB, bundles", plain, 1 / 1.1),
                      cpu_row("views of 4 KiB", small, 1 / 1.1), cpu_row("views of 4 KiB", plain)},
             .count = 1024 * 1024,
             .operation = "KiB"}}};
}

} // namespace perf
