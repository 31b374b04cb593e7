// SPDX-License-Identifier: BSL-1.0
#pragma once

// What upstream's own tests run on in place of io_context. Included before all else: the compiler is told to.

#include <zsync/drop_in.hpp>

#include <zsync/uring/uring_context.hpp>

#include <atomic>
#include <cstdio>

namespace upstream
{

/// What the ring has done in the whole program, printed when it ends.
struct native_operations
{
    std::atomic<unsigned long long> count{0};
    std::atomic<unsigned long long> timer_waits{0};

    ~native_operations()
    {
        std::fprintf(stderr, "native operations: %llu, timer waits: %llu\n", count.load(), timer_waits.load());
    }
};

inline native_operations total;

/// A uring_context that tells the total what its ring has done. Without a ring the tests would prove nothing.
class context : public zsync::uring_context
{
public:
    context() : context(BOOST_ASIO_CONCURRENCY_HINT_DEFAULT) {}

    explicit context(int hint) : zsync::uring_context({.concurrency_hint = hint, .require_ring = true}) {}

    ~context()
    {
        const zsync::metrics now = counters();
        total.count += now.operations_started;
        total.timer_waits += now.timer_waits;
    }
};

} // namespace upstream
