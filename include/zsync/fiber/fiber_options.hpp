// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/engine.hpp>
#include <zsync/fiber/this_fiber.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <string_view>

namespace zsync
{

/// Options of a fiber_context. The defaults are right for servers.
struct fiber_options
{
    /// The engine it must have. None: io_uring where a ring can be had, else epoll.
    std::optional<engine_kind> engine{};

    /// Usable bytes of a fiber's stack, rounded up to whole pages. Memory is taken page by page, as it is touched.
    /// Chosen: code written for threads shall fit, and 100,000 of these are 13 GB of 128 TiB of address space.
    std::size_t stack_bytes = 128 * 1024;

    /// The same for the fibers that run posted functions and handlers, which expect a thread's room.
    std::size_t loop_stack_bytes = 1024 * 1024;

    /// How many stacks of fibers that have ended keep their pages for the next. Chosen: 8 MiB if each uses two.
    std::size_t warm_stacks = 1024;

    /// Gives the memory of all free stacks back when the system says that memory is short, as release_memory() does:
    /// see memory_pressure for how it says so. Watched for from 256 stacks on, by one more descriptor. Then destroying
    /// the context blocks the thread for some milliseconds more, until the kernel has let go of that.
    bool release_under_pressure = true;

    /// Entries of the ring's submission queue, if it has one.
    unsigned ring_entries = 256;

    /// How long the loop watches the ring, if it has one, before it sleeps in the kernel: see uring_options.
    std::chrono::microseconds spin_for{0};

    /// The buffers that receive_many() of its handles fills, if it has a ring; made when they are first needed.
    buffer_options receive_buffers{};

    /// Places in the ring's own table of files, for the connections that acceptor::async_accept_direct() accepts: see
    /// direct_stream. At most RLIMIT_NOFILE, and 2^20. 0: no table. Direct streams that are open when another thread
    /// takes the context over are lost.
    unsigned direct_descriptors = 0;

    /// Threads at most for calls that have no asynchronous form. They start when they are first needed.
    std::size_t max_helper_threads = 4;

    /// Tells on standard error which fiber has overflowed its stack, before SIGSEGV takes its course. The first context
    /// with this installs a handler of SIGSEGV for the life of the process, in front of the one there is, and each
    /// thread that runs one gets an alternate signal stack, unless it has one. A handler that the program installs
    /// later is the only one.
    bool report_stack_overflow = true;

    /// Zeroes what a fiber has left on its stack before another gets it.
    bool scrub_stacks = false;

    /// Is called when a fiber has caught the fiber_unwind of a context that is being destroyed, and not thrown it on:
    /// once for each such fiber, on it, before the next is thrown or when it ends. Must not throw. None: a message
    /// names the fiber on standard error. A fiber that goes on like that ends the process, by std::terminate() after
    /// 1000 times: its context could not be destroyed.
    using swallowed_function = std::function<void(this_fiber::id which, std::string_view name)>;
    swallowed_function on_swallowed_unwind{};

    /// Gets what stall_limit, deadlock_after and dump_signal have to tell: lines of text. None: standard error does.
    /// Called on the loop's thread, of a stall on the watch's, and of a wait for a context that nobody runs on the thread
    /// that waits; it must not throw.
    std::function<void(std::string_view)> report{};

    /// A handler or a fiber that keeps the loop longer without waiting is counted (metrics::loop_stalls) and reported,
    /// with a backtrace that is taken meanwhile. Zero: none is. Else the context starts a thread that watches, which
    /// wakes twice in this time and makes the loop's thread show its stack by SIGURG; and a switch from fiber to fiber
    /// takes the way over the loop: about twice the time. Handlers that stock objects call are taken together.
    std::chrono::milliseconds stall_limit{0};

    /// When for so long nothing has been pending that could go on, and all fibers wait for locks, channels and each
    /// other, that is reported, with all fibers: a deadlock, unless another thread is to wake one. run() waits on. Then
    /// the time doubles. Likewise, when a thread has waited so long for a fiber, in join() or a destructor, and no thread
    /// has run the context meanwhile. None: one second where the library was compiled without NDEBUG, else never.
    std::optional<std::chrono::milliseconds> deadlock_after{};

    /// A signal, SIGQUIT for instance, that has the context's fibers reported by dump_fibers(), at the loop's next
    /// turn: a loop that a function blocks says nothing until that ends. It is taken by an asio::signal_set. 0: none.
    int dump_signal = 0;
};

} // namespace zsync
