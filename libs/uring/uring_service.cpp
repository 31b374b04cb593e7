// SPDX-License-Identifier: BSL-1.0
#include <zsync/uring/detail/uring_service.hpp>

#include <zsync/platform/ring_probe.hpp>
#include <zsync/uring/detail/asio_ops.hpp>
#include <zsync/uring/detail/drop_in_check.hpp>

#include <boost/system/system_error.hpp>

#include <memory>

#include <poll.h>

namespace zsync::detail
{

namespace
{

uring_engine_options engine_options(const uring_options& options)
{
    const int hint = options.concurrency_hint;
    return {
        .entries = options.ring_entries,
        .one_runner = hint == 1 || !hint_locks_scheduler(hint),
        .one_owner = options.one_thread,
        .locking = hint_locks_scheduler(hint) && hint_locks_io(hint),
        .spin_for = options.spin_for,
        .buffers = options.receive_buffers,
        .direct_descriptors = options.direct_descriptors,
    };
}

} // namespace

uring_service::uring_service(boost::asio::execution_context& context, const uring_options& options)
    : service_base<uring_service>(context),
      scheduler_(boost::asio::use_service<scheduler>(context)),
      reactor_(boost::asio::use_service<epoll_reactor>(context)),
      engine_(engine_options(options)),
      timers_(scheduler_, engine_, engine_options(options).locking)
{
    reactor_poll_.code = opcode::poll;
    reactor_poll_.flags = POLLIN;
    reactor_poll_.descriptor = epoll_descriptor(reactor_);
    reactor_poll_.background = true;
    reactor_poll_.on_complete = [](operation& self, void*) noexcept { static_cast<reactor_poll&>(self).ready = true; };
    engine_.start(reactor_poll_);
}

uring_service::installed uring_service::install(boost::asio::io_context& context, const uring_options& options)
{
    if (uring_service* const there = find(context))
        return {there, {}, "a ring could be set up"};
    try
    {
        auto made = std::make_unique<uring_service>(context, options);
        boost::asio::add_service(context, made.get());
        uring_service* const service = made.release();
        replace_task(service->scheduler_, *service,
                     [](boost::asio::execution_context& self) -> scheduler_task*
                     { return &boost::asio::use_service<uring_service>(self); });
        return {service, {}, "a ring could be set up"};
    }
    catch (const boost::system::system_error& failure)
    {
        if (options.require_ring)
            throw;
        return {nullptr, failure.code(), explain_ring_error(failure.code())};
    }
}

uring_service* uring_service::find(boost::asio::execution_context& context)
{
    if (!boost::asio::has_service<uring_service>(context))
        return nullptr;
    return &boost::asio::use_service<uring_service>(context);
}

stock_timers& uring_service::timers(stock_timers::clock which)
{
    if (which == stock_timers::clock::wall && !engine_.stopped())
        clock_watch_.start(engine_);
    timers_.use(which);
    scheduler_.init_task(); // no turn is taken before something asks for it
    return timers_;
}

metrics uring_service::counters() const noexcept
{
    metrics now = engine_.counters();
    now.reactor_runs = reactor_runs_.load();
    now.timer_waits = timers_.started();
    return now;
}

void uring_service::start(asio_operation& op, operation_id* named, bool is_continuation)
{
    if (engine_.stopped())
    {
        op.result = -ECANCELED;
        post(op, is_continuation);
        return;
    }
    // Before the start: another thread may run the handler before this one is back.
    scheduler_.work_started();
    try
    {
        engine_.start(op, named);
    }
    catch (...)
    {
        scheduler_.work_finished();
        throw;
    }
}

void uring_service::post(asio_operation& op, bool is_continuation)
{
    scheduler_.post_immediate_completion(&op, is_continuation);
}

void uring_service::run(long usec, scheduler_queue& ready)
{
    if (!std::exchange(drop_in_checked_, true))
        check_drop_in(context());

    // A run function was called through io_context&, where nobody will tell when it is left.
    if (engine_.one_owner() && run_depth_ == 0)
        engine_.share();

    // As with Asio's reactor, what has been done comes before the timers that are due by now: an operation that is over
    // when its time-out is looked at has not run out of time.
    struct due_timers
    {
        ~due_timers() { ready.push(waits); } // whatever the turn throws
        scheduler_queue& ready;
        scheduler_queue waits;
    } due{ready, {}};

    using std::chrono::microseconds;
    const auto most = timers_.turn_begins(usec < 0 ? std::nullopt : std::optional(microseconds(usec)), due.waits);
    timers_.turn_ends(engine_.turn(most, &ready), ready);
    if (std::exchange(reactor_poll_.ready, false))
    {
        ++reactor_runs_;
        reactor_.run(0, ready);
        engine_.start(reactor_poll_);
    }
}

void uring_service::interrupt()
{
    engine_.wake();
}

void uring_service::shutdown()
{
    check_drop_in(context());
    scheduler_queue abandoned; // destroys the handlers in it
    timers_.shutdown(abandoned);
    engine_.shutdown(&abandoned);
    scheduler_.abandon_operations(abandoned);
}

void uring_service::notify_fork(boost::asio::execution_context::fork_event event)
{
    switch (event)
    {
    case boost::asio::execution_context::fork_prepare:
        engine_.prepare_fork();
        break;
    case boost::asio::execution_context::fork_parent:
        break; // the next turn starts again what was taken back
    case boost::asio::execution_context::fork_child:
        engine_.child_after_fork();
        engine_.replace_descriptor(reactor_poll_, epoll_descriptor(reactor_));
        clock_watch_.renew(engine_);
        break;
    }
}

} // namespace zsync::detail
