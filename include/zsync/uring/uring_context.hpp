// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/detail/asio.hpp>
#include <zsync/core/engine.hpp>
#include <zsync/uring/detail/asio_native.hpp>
#include <zsync/uring/detail/uring_service.hpp>
#include <zsync/uring/native_executor.hpp>
#include <zsync/uring/options.hpp>

#include <boost/asio/io_context.hpp>

#include <chrono>
#include <string>

namespace zsync
{

/// An io_context that waits in an io_uring.
///
/// It is a boost::asio::io_context: whatever takes an io_context& takes it, and running, stopping, posting, work
/// counting and the executor are Asio's own. Every stock I/O object works on it. Those that are not native are served
/// by Asio's epoll reactor, which runs as a guest on the same thread. Native are, by the ring itself:
///
/// - with <zsync/drop_in.hpp> in every translation unit: stock sockets, acceptors, descriptors, pipes and timers,
///   whatever their executor;
/// - without: those whose executor type is native_executor_type, such as
///   `tcp::socket::rebind_executor<zsync::uring_context::native_executor_type>::other`.
///
/// Where no ring can be had (an old kernel, a seccomp filter, a sysctl) the context is a plain io_context loop, unless
/// `require_ring` was given: engine() and why() tell.
///
/// @par Thread safety
/// As io_context, for the same concurrency hints: by default any number of threads may call run(). Operations survive
/// the thread that started them. A context with `one_thread` is run by one thread; another may take over when no run
/// function is active, and any may destroy it.
///
/// @par Fork
/// notify_fork() works as on io_context: call it with fork_prepare, fork_parent and fork_child while nobody runs the
/// context. Each operation is then either complete in both processes or in flight in both.
///
/// @par Cancellation
/// Native operations take all three types of a cancellation slot: terminal, partial and total each end the operation
/// with operation_aborted; bytes that have moved by then are reported as success instead.
///
/// @par Example
/// @code
/// zsync::uring_context ctx;                 // was: boost::asio::io_context ctx;
/// tcp::acceptor listener(ctx, {tcp::v4(), 8080});
/// ...
/// ctx.run();
/// @endcode
class uring_context : public boost::asio::io_context
{
public:
    /// io_context's executor, told apart by its type: objects that use it are native without drop_in.hpp.
    using native_executor_type = zsync::native_executor_type;

    /// Makes a context that any number of threads may run. Never throws for want of a ring.
    uring_context();

    /// The same with Asio's concurrency hint: 1 for a single thread in run().
    explicit uring_context(int concurrency_hint);

    /// The same with all options. @throws boost::system::system_error with `require_ring`, if there is no ring.
    explicit uring_context(const uring_options& options);

    /// Cancels what is in flight, waits until the kernel has let go of all buffers, and destroys the handlers.
    ~uring_context();

    /// Tells what does the work. Never blocks; any thread.
    engine_kind engine() const noexcept { return service_ ? engine_kind::uring : engine_kind::reactor; }

    /// Tells why that is so, as a sentence for people. Never blocks; any thread.
    const std::string& why() const noexcept { return why_; }

    /// The set-up's error where there is no ring, else no error.
    const boost::system::error_code& ring_error() const noexcept { return ring_error_; }

    /// Returns the executor that makes I/O objects native. Never blocks; any thread.
    native_executor_type native_executor() noexcept { return zsync::native_executor(*this); }

    /// Returns the counters as they are now; all zero without a ring. Never blocks; any thread.
    metrics counters() const noexcept;

    using boost::asio::io_context::poll;
    using boost::asio::io_context::poll_one;
    using boost::asio::io_context::run;
    using boost::asio::io_context::run_one;

    /// As io_context's. With `one_thread` these say when the thread leaves: one called through an io_context& cannot,
    /// and moves the context to a ring that any thread may run.
    count_type run();
    count_type run_one();
    count_type poll();
    count_type poll_one();

    template <class Rep, class Period>
    std::size_t run_for(const std::chrono::duration<Rep, Period>& duration)
    {
        const run_scope inside(*this);
        return boost::asio::io_context::run_for(duration);
    }

    template <class Clock, class Duration>
    std::size_t run_until(const std::chrono::time_point<Clock, Duration>& time)
    {
        const run_scope inside(*this);
        return boost::asio::io_context::run_until(time);
    }

    template <class Rep, class Period>
    std::size_t run_one_for(const std::chrono::duration<Rep, Period>& duration)
    {
        const run_scope inside(*this);
        return boost::asio::io_context::run_one_for(duration);
    }

    template <class Clock, class Duration>
    std::size_t run_one_until(const std::chrono::time_point<Clock, Duration>& time)
    {
        const run_scope inside(*this);
        return boost::asio::io_context::run_one_until(time);
    }

private:
    class run_scope
    {
    public:
        explicit run_scope(uring_context& context) : service_(context.one_thread_ ? context.service_ : nullptr)
        {
            if (service_)
                service_->enter_run();
        }

        ~run_scope()
        {
            if (service_)
                service_->leave_run();
        }

        run_scope(const run_scope&) = delete;
        run_scope& operator=(const run_scope&) = delete;

    private:
        detail::uring_service* service_;
    };

    detail::uring_service* service_ = nullptr; // null: no ring
    bool one_thread_;
    boost::system::error_code ring_error_;
    std::string why_;
};

} // namespace zsync
