// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/engine.hpp>
#include <zsync/core/loop_executor.hpp>
#include <zsync/core/metrics.hpp>
#include <zsync/fiber/fiber_options.hpp>
#include <zsync/fiber/stack_pool.hpp>

#include <boost/asio/execution_context.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace zsync
{

namespace detail
{
class fiber_loop;
}

/// Tells what the stacks of a context have come to.
struct stack_usage
{
    stack_counters fibers;                ///< Those of spawned fibers.
    stack_counters functions;             ///< Those that posted functions and handlers run on.
    std::size_t fibers_high_water = 0;    ///< The most bytes that any of them has used, in whole pages.
    std::size_t functions_high_water = 0; ///< Likewise.

    /// What tells the context that memory is short: a path, or why nothing does; see
    /// fiber_options::release_under_pressure. Empty as long as there are too few stacks to ask for it. It goes with the
    /// context.
    std::string_view pressure_source;
};

/// An execution context whose functions may wait: each runs on a fiber, over one loop on the thread that calls run().
///
/// A function that is posted here, a handler that completes here, and a fiber made by spawn() may all await:
/// operations (with the token use_await), timers, other fibers. Only the fiber is then suspended. A function that never
/// awaits costs what a handler costs: it shares a fiber with its like.
///
/// Stock Asio objects work on it: they are served by Asio's scheduler and reactor, which are guests of the loop; no
/// thread is started for them.
///
/// @par Thread safety
/// One thread at a time in the run functions: a second one gets device_or_resource_busy. The next thread to call one
/// adopts all fibers. A fiber stays on the thread that runs the context, and fibers run one at a time. stop(),
/// get_executor() and everything an executor does may be called from any thread.
///
/// @par Destruction
/// Cancels all fibers; their frames unwind (fiber_unwind is thrown from what they wait in, which code that catches
/// everything must let pass) on the destroying thread. It waits for operations of other contexts that such a frame
/// waits for. Functions that were queued are destroyed, not called.
///
/// @par Example
/// @code
/// zsync::fiber_context ctx;
/// zsync::spawn(ctx, [&] {
///     boost::asio::steady_timer timer(ctx, 1s);
///     timer.async_wait(zsync::use_await);
/// }, boost::asio::detached);
/// ctx.run();
/// @endcode
class fiber_context : public boost::asio::execution_context
{
public:
    using executor_type = loop_executor;

    /// Makes a context over io_uring, or over epoll where no ring can be had: engine() and why() tell.
    fiber_context();

    /// @throws boost::system::system_error if the engine that was asked for cannot be had, with the set-up's error.
    explicit fiber_context(const fiber_options& options);

    ~fiber_context();

    executor_type get_executor() noexcept;

    /// Runs until there is no more work: no fiber, nothing queued, no work tracked by an executor, nothing pending in
    /// Asio's objects. Blocks the thread. Then the context is stopped, as an io_context would be.
    ///
    /// @return how many functions, and slices of fibers between two waits, were run.
    /// @throws what a function throws; the context can be run on. system_error with device_or_resource_busy.
    std::size_t run();

    /// The same for a time, at most.
    template <class Rep, class Period>
    std::size_t run_for(const std::chrono::duration<Rep, Period>& time)
    {
        return run_until(std::chrono::steady_clock::now() + time);
    }

    std::size_t run_until(std::chrono::steady_clock::time_point deadline);

    /// Runs at most one function or slice, and waits for it. Handlers of Asio's objects that are bound to another
    /// executor are not counted.
    std::size_t run_one();

    /// Runs what is ready; never waits. poll_one(): at most one function or slice.
    std::size_t poll();
    std::size_t poll_one();

    /// Makes run() return as soon as the running function ends or waits. Any thread; never blocks.
    void stop() noexcept;

    /// Says whether it was stopped, or ran out of work. Any thread; never blocks.
    bool stopped() const noexcept;

    /// Lets it be run again. Not while a thread runs it.
    void restart() noexcept;

    /// Tells what performs the operations. Never blocks; any thread.
    engine_kind engine() const noexcept;

    /// Tells why it is that, as a sentence for people. Never blocks; any thread.
    const std::string& why() const noexcept;

    /// Counts the fibers made by spawn() that have not ended. For the thread that runs the context.
    std::size_t fibers_alive() const noexcept;

    /// Returns the counters as they are now. Never blocks; any thread.
    metrics counters() const noexcept;

    /// Returns what the stacks have come to. For the thread that runs the context, or while none does. A system call
    /// for each stack there is; never blocks.
    stack_usage stacks() const noexcept;

    /// Gives back the memory of stacks that are free: all pages of those that fibers have left, and the fibers that
    /// functions have waited on, but one. For a program that has seen its load go; posted, it can be called for from
    /// any thread. When memory is short it is done without being called for: fiber_options::release_under_pressure.
    /// For the thread that runs the context, or while none does. A system call or two a stack; never blocks.
    void release_memory() noexcept;

    /// The loop, for the library's own layers.
    detail::fiber_loop& loop() noexcept { return *loop_; }

private:
    std::unique_ptr<detail::fiber_loop> loop_;
};

} // namespace zsync
