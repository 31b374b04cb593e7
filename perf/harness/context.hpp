// SPDX-License-Identifier: BSL-1.0
#pragma once

// The one difference between the two sides of a cell: the type of its context. A cell is compiled with PERF_PEER for
// Asio's side, where nothing of zsync is seen or linked, and without it for zsync's; there drop_in.hpp is a matter of
// the compiler's -include option.

#include "cell.hpp"

#include <memory>
#include <stdexcept>
#include <string_view>

#ifdef PERF_PEER
#    include <boost/asio/io_context.hpp>
#else
#    include <zsync/uring/uring_context.hpp>
#endif

namespace perf
{

#ifdef PERF_PEER
using context = boost::asio::io_context;
#else
using context = zsync::uring_context;
#endif

/// Makes a context: `default` as `context ctx;` does, `hint-1`, `unsafe` (no locks: nothing happens from a second
/// thread), and zsync's `one-thread` and `one-thread, spins`: that one for 100 us before it sleeps.
inline std::unique_ptr<context> make_context(std::string_view mode)
{
    if (mode == "default")
        return std::make_unique<context>();
    if (mode == "hint-1")
        return std::make_unique<context>(1);
    if (mode == "unsafe")
        return std::make_unique<context>(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE);
#ifndef PERF_PEER
    if (mode == "one-thread")
        return std::make_unique<context>(zsync::uring_options{.one_thread = true});
    if (mode == "one-thread, spins")
        return std::make_unique<context>(
            zsync::uring_options{.one_thread = true, .spin_for = std::chrono::microseconds(100)});
#endif
    throw std::invalid_argument("unknown mode");
}

/// Adds what did the work, so that the driver can tell that the row compares what it says it compares.
template <class Context>
void describe_context(cell_line& line, [[maybe_unused]] const Context& ctx)
{
#ifdef PERF_PEER
    line.add("engine", "epoll").add("native_operations", 0.0);
#else
    const bool uring = ctx.engine() == zsync::engine_kind::uring;
    if (!uring)
        std::fprintf(stderr, "no ring: %s\n", ctx.why().c_str());
    const zsync::metrics counted = ctx.counters();
    line.add("engine", uring ? "uring" : "reactor")
        .add("native_operations", static_cast<double>(counted.operations_completed + counted.multishot_results));
#endif
}

} // namespace perf
