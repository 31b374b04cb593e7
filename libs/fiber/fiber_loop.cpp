// SPDX-License-Identifier: BSL-1.0
#include <zsync/fiber/detail/fiber_loop.hpp>

#include "dump_signal.hpp"
#include "pressure_watch.hpp"
#include "reports.hpp"
#include "stack_overflow.hpp"
#include "stall_watch.hpp"

#include <zsync/core/detail/run_frame.hpp>
#include <zsync/engine/make_engine.hpp>
#include <zsync/fiber/fiber_context.hpp>

#include <boost/assert.hpp>
#include <boost/system/system_error.hpp>

#include <algorithm>
#include <exception>
#include <thread>
#include <utility>

#include <poll.h>

namespace zsync::detail
{

fiber_loop::fiber_loop(boost::asio::execution_context& context, const fiber_options& options)
    : loop(context),
      guest_(&hosted_scheduler::install(context, *this)),
      stacks_({.stack_bytes = options.stack_bytes, .scrub = options.scrub_stacks, .keep_warm = options.warm_stacks}),
      loop_stacks_({.stack_bytes = options.loop_stack_bytes, .stacks_per_slab = 4, .scrub = options.scrub_stacks}),
      helpers_(options.max_helper_threads),
      on_swallowed_unwind_(options.on_swallowed_unwind),
      reports_overflow_(options.report_stack_overflow),
      watches_pressure_(options.release_under_pressure),
      deadlock_after_(deadlock_limit(options)),
      unattended_after_(deadlock_after_),
      report_(options.report ? options.report : &report_to_standard_error)
{
    if (options.engine == engine_kind::blocking) // it would hold up the loop, and with it all that could end its wait
        throw boost::system::system_error(make_error_code(boost::system::errc::operation_not_supported),
                                          "fiber_context: an engine that blocks");
    made_engine made = make_engine({.kind = options.engine,
                                    .ring_entries = options.ring_entries,
                                    .spin_for = options.spin_for,
                                    .receive_buffers = options.receive_buffers,
                                    .direct_descriptors = options.direct_descriptors});
    engine_ = std::move(made.engine);
    why_ = std::move(made.why);
    // From the start: objects on this context may be made by any thread, while this one sleeps.
    guest_->use_reactor();
    if (reports_overflow_)
        install_overflow_handler();
    guest_poll_.guest = guest_;
    guest_poll_.code = opcode::poll;
    guest_poll_.flags = POLLIN;
    guest_poll_.descriptor = guest_->descriptor();
    guest_poll_.background = true;
    guest_poll_.on_complete = [](operation& self, void*) noexcept
    { static_cast<guest_poll&>(self).guest->set_readable(); };
    if (options.dump_signal != 0)
        dump_signal_ = std::make_unique<dump_signal>(*this, *guest_, options.dump_signal);
    if (options.stall_limit > options.stall_limit.zero())
        watch_ = std::make_unique<stall_watch>(options.stall_limit, report_);
    watch_guest();
    enter_registry();
}

fiber_loop::~fiber_loop()
{
    BOOST_ASSERT(alive_ == 0);
    leave_registry();
    // A thread that has ended a fiber's wait, or the last of the work, may not have returned from it yet.
    while (notifying_.load(std::memory_order_acquire) != 0)
        std::this_thread::yield();
    if (loop_)
        put_spare(*loop_);
    while (spares_)
    {
        fiber& spare = *std::exchange(spares_, spares_->next);
        spare.end_function(); // what handlers have left that Asio runs itself, which are no functions of ours
        destroy(spare, loop_stacks_);
    }
}

void fiber_loop::post(work_item& item) noexcept
{
    if (running_here())
        ready_.push(item);
    else
    {
        // Before the item can be seen: whoever runs it may be the last to need the loop, which then waits for this.
        notifying_.fetch_add(1, std::memory_order_relaxed);
        if (inbox_.push(item))
            engine_->wake();
        notifying_.fetch_sub(1, std::memory_order_release);
    }
}

void fiber_loop::work_finished() noexcept
{
    // Release: whoever sees that there is no more work sees what was posted before.
    const bool here = running_here();
    if (!here)
        notifying_.fetch_add(1, std::memory_order_relaxed);
    if (work_.fetch_sub(1, std::memory_order_acq_rel) == 1 && !here)
        engine_->wake();
    if (!here)
        notifying_.fetch_sub(1, std::memory_order_release);
}

void fiber_loop::stop() noexcept
{
    stopped_.store(true, std::memory_order_release);
    if (running_here())
        budget_ = 0; // to look at it before anything else runs
    else
        engine_->wake();
}

std::size_t fiber_loop::run(const limits& bounds)
{
    if (occupied_.exchange(true, std::memory_order_acquire))
        throw boost::system::system_error(make_error_code(boost::system::errc::device_or_resource_busy),
                                          "fiber_context::run: a thread is running it");
    ++runs_;
    const overflow_watch watch(reports_overflow_ ? this : nullptr);
    // What the thread is: its stack, and what it was running.
    execution thread;
    thread_ = &thread;
    exceptions_ = exception_state::of_this_thread();
    loop* const outer_loop = set_current_loop(this);
    agent* const* const outer_agent = set_current_agent(&current_);
    const run_frame frame(*this, !bounds.wait || bounds.deadline);
    bounds_ = bounds;
    count_ = 0;
    leaving_ = false;
    budget_ = 0;
    announced_ = 0;
    note_time();
    if (watch_)
        watch_->enter();

    if (!loop_)
        loop_ = &take_spare();
    current_ = loop_;
    if (ending_)
        unwind_all();
    arrived_from(thread.switch_to(*loop_, *exceptions_));
    current_ = nullptr;

    if (watch_)
        watch_->leave();
    set_current_agent(outer_agent);
    set_current_loop(outer_loop);
    thread_ = nullptr;
    std::exception_ptr failure = std::exchange(failure_, nullptr);
    const std::size_t count = count_;
    try
    {
        engine_->leave();
    }
    catch (...)
    {
        if (!failure)
            failure = std::current_exception();
    }
    occupied_.store(false, std::memory_order_release);
    if (failure)
        std::rethrow_exception(failure);
    return count;
}

// The function of each fiber that runs items, for ever.
void fiber_loop::run_items() noexcept
{
    for (;;)
    {
        work_item* const item = budget_ > 0 ? ready_.pop() : nullptr;
        if (!item)
        {
            turn();
            continue;
        }
        --budget_;
        ++count_;
        if (bounds_.one)
            budget_ = 0;
        if (fiber* const resumed = fiber::from(*item))
            switch_from(running(), *resumed);
        else
            run_function(*item);
    }
}

void fiber_loop::run_function(work_item& item) noexcept
{
    // What an item has asked of itself is none of the next one's.
    if (running().cancellation().requested() && !ending_) [[unlikely]]
        running().cancellation() = task_cancellation();
    try
    {
        item.run(item, !ending_);
    }
    catch (const fiber_unwind&)
    {
        running().cancellation().unwound();
    }
    catch (...)
    {
        fail();
    }
    running().end_function();
    fiber& self = running();
    if (ending_ && self.cancellation().unwinding_was_swallowed()) [[unlikely]]
        report_swallowed(self);
    if (loop_ == &self)
        return;
    // It has waited, and another fiber has gone on with the loop.
    unlink(self, waiting_);
    --waiting_items_;
    put_spare(self);
    switch_from(self, next());
}

void fiber_loop::fail() noexcept
{
    if (!failure_)
        failure_ = std::current_exception();
    leaving_ = true;
    budget_ = 0;
}

// There is nothing to run, or it is time to look around.
void fiber_loop::turn() noexcept
{
    if (leaving_)
    {
        arrived_from(running().switch_to(*thread_, *exceptions_)); // until the next run()
        return;
    }
    if (watch_ && announce_next()) [[unlikely]]
        return;
    budget_ = switches_between_turns;
    try
    {
        look_around();
    }
    catch (...)
    {
        fail();
    }
    if (leaving_ || watch_)
        budget_ = 0;
}

void fiber_loop::look_around()
{
    note_stacks();
    inbox_.take(ready_);
    if (is_over())
    {
        leaving_ = true;
        return;
    }
    std::size_t polled = 0;
    if (ready_.empty() && bounds_.wait)
    {
        const auto longest = longest_wait();
        if (!longest && deadlock_after_ != deadlock_after_.max() && nothing_else_wakes()) [[unlikely]]
            wait_for_deadlock();
        else
            guest_->wait(longest);
    }
    else
    {
        engine_->turn(std::chrono::microseconds::zero(), nullptr);
        if (!guest_->idle() || guest_->readable())
            polled = guest_->poll(switches_between_turns);
    }
    watch_guest();
    inbox_.take(ready_);
    note_time();
    expire_timers(); // behind what the turn has completed: that has not run out of time
    if (stopped() && !ending_)
        leaving_ = true;
    if (!bounds_.wait && ready_.empty() && polled == 0)
        leaving_ = true;
}

bool fiber_loop::is_over() noexcept
{
    if (ending_)
        return out_of_work();
    if (stopped() || (bounds_.one && count_ > 0))
        return true;
    if (bounds_.deadline && std::chrono::steady_clock::now() >= *bounds_.deadline)
        return true;
    if (!ready_.empty() || !out_of_work())
        return false;
    stopped_.store(true, std::memory_order_release); // as io_context does
    return true;
}

bool fiber_loop::out_of_work() const noexcept
{
    if (alive_ != 0 || waiting_items_ != 0)
        return false;
    // In this order: who ends work has posted before.
    return ending_ || (work_.load(std::memory_order_acquire) == 0 && guest_->idle() && inbox_.empty());
}

std::optional<std::chrono::microseconds> fiber_loop::longest_wait() const
{
    auto until = timers_.next_wakeup();
    if (bounds_.deadline && (!until || *bounds_.deadline < *until))
        until = bounds_.deadline;
    if (!until)
        return std::nullopt;
    const auto left = std::chrono::ceil<std::chrono::microseconds>(*until - std::chrono::steady_clock::now());
    return std::max(left, std::chrono::microseconds::zero());
}

void fiber_loop::expire_timers() noexcept
{
    if (timers_.empty())
        return;
    timer_list due;
    timers_.expire(std::chrono::steady_clock::now(), due);
    while (timer_node* const timer = due.pop_front())
    {
        auto& expired = static_cast<loop_timer&>(*timer);
        expired.expired(expired);
    }
}

// One-shot, and armed again when the guest's reactor has run.
void fiber_loop::watch_guest()
{
    if (guest_poll_.where == operation::state::idle && !guest_->readable())
        engine_->start(guest_poll_);
}

// What completes here queues handlers: their memory is the loop's, not that of the guest's passing frame.
void fiber_loop::wait_for_guest(std::optional<std::chrono::microseconds> timeout)
{
    struct scope
    {
        const asio_call_stacks of_the_guest = asio_call_stacks::current();
        ~scope() { of_the_guest.install(); }
    } const restored;
    memory_.call_stacks().install();
    if (watch_)
        watch_->sleeps();
    engine_->turn(timeout, nullptr);
    if (watch_)
        watch_->begins(nullptr);
}

metrics fiber_loop::counters() const noexcept
{
    metrics counted = engine_->counters();
    counted.fibers_started = counted_.started.load(std::memory_order_relaxed);
    counted.fibers_alive = counted_.alive.load(std::memory_order_relaxed);
    counted.fibers_peak = counted_.peak.load(std::memory_order_relaxed);
    counted.guards_missing = counted_.unguarded.load(std::memory_order_relaxed);
    counted.memory_releases = counted_.releases.load();
    if (watch_)
        counted.loop_stalls = watch_->stalls();
    return counted;
}

} // namespace zsync::detail
