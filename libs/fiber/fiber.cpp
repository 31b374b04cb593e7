// SPDX-License-Identifier: BSL-1.0
#include <zsync/fiber/detail/fiber.hpp>

#include <zsync/fiber/detail/fiber_loop.hpp>

#include "probes.hpp"

#include <utility>

namespace zsync::detail
{

fiber::fiber(fiber_loop& owner, stack_view stack, std::byte* top, main_function main,
             const asio_call_stacks& calls) noexcept
    : agent(&owner),
      execution(stack, top, &fiber::enter, calls),
      bottom(calls),
      number(owner.make_id()),
      owner_(owner),
      main_(main)
{
    run = &fiber::resumed;
    name[0] = '\0';
    ZSYNC_PROBE(fiber_spawn, number.number(), this);
}

bool fiber::strays_and_must_return() const noexcept
{
    const asio_call_stacks now = asio_call_stacks::current();
    // A slice ends when its fiber waits, and what it is inside of ends with it.
    return !now.in_same_strand(bottom) || (return_to && now.runs != bottom.runs) || owner_.in_guest();
}

boost::system::error_code fiber::may_wait() const noexcept
{
    if (must_return_first())
        return make_error_code(boost::system::errc::resource_deadlock_would_occur);
    if (!owner_.can_do_without(*this)) [[unlikely]]
        return make_error_code(boost::system::errc::not_enough_memory);
    return {};
}

// Protected: destructors are not interrupted.
void fiber::forget_function() noexcept
{
    marked = false;
    cancellation().protect();
    locals.destroy_all();
    cancellation().unprotect();
    if (is_loop) // the next function is another
    {
        number = owner_.make_id();
        name[0] = '\0';
    }
}

[[gnu::always_inline]] inline void fiber::suspend([[maybe_unused]] const waiter& w) noexcept
{
    ZSYNC_PROBE(fiber_suspend, number.number(), static_cast<int>(w.reason().kind));
    owner_.suspend(*this);
    ZSYNC_PROBE(fiber_resume, number.number(), static_cast<int>(w.reason().kind));
}

void fiber::wait(waiter& w) noexcept
{
    awaited_ = &w;
    since_ = owner_.time();
    while (!w.is_done())
        suspend(w);
    awaited_ = nullptr;
}

bool fiber::wait_until(waiter& w, std::chrono::steady_clock::time_point deadline) noexcept
{
    struct alarm : loop_timer
    {
        fiber* sleeper;
        bool rang = false;
    } timer;
    timer.sleeper = this;
    timer.expired = [](loop_timer& expired) noexcept
    {
        auto& self = static_cast<alarm&>(expired);
        self.rang = true;
        // Not if it is ready already; and a notification that comes before it runs must not make it so again.
        if (waiter* const awaited = std::exchange(self.sleeper->awaited_, nullptr); awaited && !awaited->is_done())
            self.sleeper->ready();
    };
    timer_wheel& timers = *owner_.timers();
    timers.insert(timer, deadline);
    awaited_ = &w;
    since_ = owner_.time();
    while (!w.is_done() && !timer.rang)
        suspend(w);
    awaited_ = nullptr;
    timers.cancel(timer);
    return w.is_done();
}

void fiber::notify(waiter& w) noexcept
{
    if (!owner_.running_here())
    {
        owner_.post(w.message([](work_item& message, bool) { waiter::from_message(message).notify(); }));
        return;
    }
    w.set_done();
    if (awaited_ == &w)
        ready();
}

// The first switch to a fiber may come from one that has just ended.
execution& fiber::enter(execution& self, execution& from) noexcept
{
    auto& entered = static_cast<fiber&>(self);
    entered.owner_.arrived_from(from);
    return entered.main_(entered);
}

void request_cancel_of(agent& which, boost::system::error_code reason) noexcept
{
    ZSYNC_PROBE(fiber_cancel, which.fiber_of() ? static_cast<fiber&>(which).number.number() : 0, reason.value());
    which.cancellation().request(reason);
}

// The loop knows fibers by this function and switches to them itself; it calls it for none.
void fiber::resumed(work_item&, bool) noexcept {}

} // namespace zsync::detail
