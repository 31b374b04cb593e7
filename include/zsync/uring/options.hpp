// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/buffer_pool.hpp>

#include <chrono>

namespace zsync
{

/// Says how a uring_context is to be built. The defaults are right for any number of threads.
struct uring_options
{
    /// Asio's own hint: 1 says that a single thread runs the context, BOOST_ASIO_CONCURRENCY_HINT_UNSAFE that nothing
    /// at all happens from a second thread. The default allows several threads in run().
    int concurrency_hint = -1; // BOOST_ASIO_CONCURRENCY_HINT_DEFAULT

    /// Entries of the submission queue; the kernel rounds up to a power of two and clamps. The completion queue has
    /// four times as many. More operations than that may be in flight: the rest waits in memory.
    unsigned ring_entries = 256;

    /// The buffers that receive_many() of its handles fills; made when they are first needed.
    buffer_options receive_buffers{};

    /// Places in the ring's own table of files, for the connections that acceptor::async_accept_direct() accepts: see
    /// direct_stream. At most RLIMIT_NOFILE, and 2^20. 0: no table. For contexts that one thread runs: while direct
    /// streams are open, a second thread is served late at times, and one that takes a `one_thread` context over loses
    /// them.
    unsigned direct_descriptors = 0;

    /// Promises that one thread at a time runs the context and, while operations are in flight, always the same one.
    /// Implies a hint of 1. Gives the fastest ring (SINGLE_ISSUER and DEFER_TASKRUN, Linux 6.1). The promise is about
    /// the run functions only: posts, initiations and cancellations may still come from any thread.
    bool one_thread = false;

    /// How long a thread that finds nothing to do watches the completion queue before it sleeps in the kernel. What
    /// comes meanwhile is handled without a wake-up, which takes an idle CPU tens of microseconds; the price is a CPU
    /// that is busy while it waits. 20 to 100 us suit a thread that has a CPU to itself. 0: sleeps at once.
    std::chrono::microseconds spin_for{0};

    /// Makes the constructor throw the set-up's error where no ring can be had, instead of running on epoll.
    bool require_ring = false;
};

} // namespace zsync
