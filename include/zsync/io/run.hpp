// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/io/runtime.hpp>

#include <utility>

namespace zsync
{

// The ways into the library. Each makes a context, calls function(io) or function() on it, and returns what that
// returns, or 0 for nothing: `int main() { return zsync::run(serve); }`. Each blocks the thread until then, throws what
// the function throws, and refers to runtime::run() for everything else.

/// Runs a function on fibers over one loop on the calling thread: on io_uring, or where that cannot be had on epoll.
/// Never chooses the blocking model by itself: the options may.
template <class Function>
    requires detail::root_callable<Function>
auto run(Function&& function, runtime_options options = {})
{
    return runtime(std::move(options)).run(std::forward<Function>(function));
}

/// Runs a function on the calling thread itself: each operation is its system call.
template <class Function>
    requires detail::root_callable<Function>
auto run_blocking(Function&& function)
{
    return runtime({.model = model::blocking}).run(std::forward<Function>(function));
}

/// Runs a function on fibers over one loop on the calling thread.
/// @throws boost::system::system_error if an engine is asked for that cannot be had.
template <class Function>
    requires detail::root_callable<Function>
auto run_green(Function&& function, const fiber_options& options = {})
{
    return runtime({.model = model::green, .fibers = options}).run(std::forward<Function>(function));
}

/// Runs a function on the fastest model there is: at present that is the green one, on one thread.
template <class Function>
    requires detail::root_callable<Function>
auto run_high_perf(Function&& function)
{
    return run_green(std::forward<Function>(function));
}

} // namespace zsync
