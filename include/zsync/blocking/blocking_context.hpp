// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/abi.hpp>
#include <zsync/core/loop_executor.hpp>

#include <boost/asio/execution_context.hpp>

#include <chrono>
#include <cstddef>
#include <memory>

namespace zsync
{

namespace detail
{

class blocking_loop;

} // namespace detail

/// A context that runs on the caller's thread, when it waits: operations are the system calls themselves.
///
/// Nothing needs to call run(): an operation that is awaited with use_await runs the context until it has completed,
/// and with it whatever else is ready. Functions posted to it, and the handlers of its operations, run one after
/// another from a queue, never inside the call that starts an operation; so a million of them chained do not recurse.
/// Stock I/O objects work on it, without a thread of their own; only a name look-up has one, as everywhere in Asio.
///
/// A function that the context runs may itself await: it runs the context from within, so an outer wait returns only
/// after the inner one. That holds for whatever the function waits for, also for what belongs to other contexts or
/// threads, but for one thing: waiting for an operation of another blocking_context runs that one instead. Awaiting is
/// refused with resource_deadlock_would_occur in functions of a strand, and in handlers of stock objects that are bound
/// to an executor of their own.
///
/// A context that makes plain system calls only opens no descriptor, and starts no thread.
///
/// @par Thread safety
/// Its executor and stop() may be used by any thread. Any thread may await its operations: if another is running the
/// context, it blocks until the operation has completed or it can take over. Only one thread at a time may be inside
/// the run functions below: a second is refused with device_or_resource_busy. Any thread may destroy the context, while
/// nothing else uses it.
///
/// @par Fork
/// notify_fork() works as on io_context, while no thread is running the context.
///
/// @par Example
/// @code
/// zsync::blocking_context ctx;
/// tcp::socket peer(ctx);
/// peer.async_connect(endpoint, zsync::use_await);  // blocks until it is connected
/// @endcode
class blocking_context : public boost::asio::execution_context
{
public:
    using executor_type = loop_executor;
    using count_type = std::size_t;

    /// @throws std::bad_alloc.
    blocking_context();

    /// Destroys functions and handlers that have not run, without calling them. Blocks until helper threads have ended.
    ~blocking_context();

    executor_type get_executor() noexcept;

    /// Runs functions until there is no more work, or stop(): as io_context's. Blocks the thread. Returns how many
    /// functions it ran; handlers that run on other executors do not count.
    ///
    /// Work is what is queued, and what an executor tracks: operations of I/O objects, work guards. Out of work, the
    /// context is stopped.
    ///
    /// @throws what a function throws; the context can then be run again at once. system_error with
    ///         device_or_resource_busy, or below a handler of a stock object with resource_deadlock_would_occur.
    count_type run();

    /// The same, but for one function.
    count_type run_one();

    /// Runs the functions that are ready; or one of them. Does not wait.
    count_type poll();
    count_type poll_one();

    /// As run() and run_one(), but no longer than given.
    count_type run_until(std::chrono::steady_clock::time_point time);
    count_type run_one_until(std::chrono::steady_clock::time_point time);

    template <class Clock, class Duration>
    count_type run_until(const std::chrono::time_point<Clock, Duration>& time)
    {
        return run_for(time - Clock::now());
    }

    template <class Clock, class Duration>
    count_type run_one_until(const std::chrono::time_point<Clock, Duration>& time)
    {
        return run_one_for(time - Clock::now());
    }

    template <class Rep, class Period>
    count_type run_for(const std::chrono::duration<Rep, Period>& duration)
    {
        return run_until(std::chrono::steady_clock::now() +
                         std::chrono::ceil<std::chrono::steady_clock::duration>(duration));
    }

    template <class Rep, class Period>
    count_type run_one_for(const std::chrono::duration<Rep, Period>& duration)
    {
        return run_one_until(std::chrono::steady_clock::now() +
                             std::chrono::ceil<std::chrono::steady_clock::duration>(duration));
    }

    /// Makes the run functions return, now and until restart(). Awaiting goes on. Any thread; never blocks.
    void stop() noexcept;
    bool stopped() const noexcept;
    void restart() noexcept;

private:
    std::unique_ptr<detail::blocking_loop> loop_;
};

} // namespace zsync
