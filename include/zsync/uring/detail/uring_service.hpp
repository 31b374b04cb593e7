// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/detail/asio.hpp>
#include <zsync/uring/detail/clock_watch.hpp>
#include <zsync/uring/detail/stock_timers.hpp>
#include <zsync/uring/options.hpp>
#include <zsync/uring/uring_engine.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/system/error_code.hpp>

#include <string>

namespace zsync::detail
{

class asio_operation;

/// Makes Asio's scheduler wait in a ring: the service of an io_context that holds its engine, and the task that the
/// scheduler runs when it has no handler ready. Asio's epoll reactor goes on working as a guest: the ring polls its
/// descriptor, and the reactor is run, without waiting, when that is readable.
///
/// Shut down before the reactor and the scheduler, which are older. Sockets inside handlers die later than that: from
/// then on the engine accepts cancel and close only, and start() completes with operation_aborted.
class uring_service final : public service_base<uring_service>, public scheduler_task
{
public:
    /// What install() came to.
    struct installed
    {
        uring_service* service = nullptr; ///< null: no ring
        boost::system::error_code error;
        std::string why; ///< for people
    };

    /// Gives a context a ring: makes the service, unless the context has one, and makes the scheduler wait in it. What
    /// the reactor has by then stays with it. No thread may be waiting in the context's run functions.
    /// @throws boost::system::system_error if there is no ring and `require_ring` is set.
    static installed install(boost::asio::io_context& context, const uring_options& options);

    /// Sets the ring up. @throws boost::system::system_error
    explicit uring_service(boost::asio::execution_context& context, const uring_options& options = {});

    /// Returns the service of a context that has a ring, else null. Never blocks.
    static uring_service* find(boost::asio::execution_context& context);

    uring_engine& engine() noexcept { return engine_; }

    /// Returns the stock timers, ready for those of a clock. @throws std::bad_alloc, boost::system::system_error
    stock_timers& timers(stock_timers::clock which);

    metrics counters() const noexcept;

    /// Starts an operation, which counts as work of the scheduler until its handler has run. Never completes inline.
    void start(asio_operation& op, operation_id* named, bool is_continuation);

    /// Completes an operation that needs no kernel: its result is already there. Never inline either.
    void post(asio_operation& op, bool is_continuation);

    /// Brackets a run function that was called on the context itself: see uring_engine::leave().
    void enter_run() noexcept { ++run_depth_; }
    void leave_run()
    {
        if (--run_depth_ == 0)
            engine_.leave();
    }

    void run(long usec, scheduler_queue& ready) override;
    void interrupt() override;

private:
    struct reactor_poll : operation
    {
        bool ready = false;
    };

    void shutdown() override;
    void notify_fork(boost::asio::execution_context::fork_event event) override;

    scheduler& scheduler_;
    epoll_reactor& reactor_;
    uring_engine engine_;
    stock_timers timers_;
    clock_watch clock_watch_;
    reactor_poll reactor_poll_; // one-shot and armed again: a multishot poll of an epoll descriptor was seen to miss
    counter reactor_runs_;
    bool drop_in_checked_ = false;  // by the first turn
    std::atomic<int> run_depth_{0}; // of a ring with one owner: only that thread changes it, any may destroy
};

} // namespace zsync::detail
