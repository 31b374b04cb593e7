// SPDX-License-Identifier: BSL-1.0

// How a fiber_loop ends what it has: requests, unwinding, and what is left in its queues.

#include <zsync/fiber/detail/fiber_loop.hpp>

#include "dump_signal.hpp"
#include "pressure_watch.hpp"
#include "probes.hpp"

#include <cstdio>
#include <exception>
#include <utility>

namespace zsync::detail
{

// Of the fibers that wait, each ends its wait; those that are to be resumed through a strand are resumed directly.
void fiber_loop::unwind_all() noexcept
{
    for (fiber* each = alive_fibers_; each; each = each->next)
    {
        ZSYNC_PROBE(fiber_cancel, each->number.number(), 0);
        each->cancellation().request_unwind(&unwinding_swallowed);
        if (each->schedule) // what it was inside of is over, and so are the frames that say so
        {
            each->bottom = memory_.call_stacks();
            each->set_call_stacks(each->bottom);
        }
        if (std::exchange(each->scheduled, false))
            enqueue(*each);
    }
    for (fiber* each = waiting_; each; each = each->next)
        each->cancellation().request_unwind(&unwinding_swallowed);
}

// On the fiber that has done it.
void fiber_loop::unwinding_swallowed() noexcept
{
    fiber& self = static_cast<fiber&>(agent::current());
    self.owner().report_swallowed(self);
}

void fiber_loop::report_swallowed(fiber& by) noexcept
{
    if (by.swallowed++ == 0)
    {
        if (on_swallowed_unwind_)
            return on_swallowed_unwind_(by.number, by.name);
        std::fprintf(stderr,
                     "zsync: fiber %llu '%s' has caught fiber_unwind and not thrown it on, while its context is "
                     "destroyed. A catch (...) must end with 'throw;'.\n",
                     static_cast<unsigned long long>(by.number.number()), by.name);
    }
    else if (by.swallowed > most_swallowed)
    {
        std::fprintf(stderr,
                     "zsync: fiber %llu '%s' swallows fiber_unwind for ever: its context cannot be destroyed.\n",
                     static_cast<unsigned long long>(by.number.number()), by.name);
        std::terminate();
    }
}

void fiber_loop::cancel_fibers(boost::system::error_code reason) noexcept
{
    for (fiber* each = alive_fibers_; each; each = each->next)
    {
        ZSYNC_PROBE(fiber_cancel, each->number.number(), reason.value());
        each->cancellation().request_again(reason);
    }
    for (fiber* each = waiting_; each; each = each->next)
        each->cancellation().request_again(reason);
}

void fiber_loop::end_fibers() noexcept
{
    ending_ = true;
    do
    {
        try
        {
            run({});
        }
        catch (...) // of a function that ended meanwhile: nobody is left to be told
        {
        }
    } while (!out_of_work());
}

// What it destroys may queue more.
void fiber_loop::destroy_items() noexcept
{
    for (;;)
    {
        inbox_.take(ready_);
        work_item* const item = ready_.pop();
        if (!item)
            return;
        item->run(*item, false);
    }
}

void fiber_loop::shutdown() noexcept
{
    dump_signal_.reset();
    destroy_items();
    engine_->shutdown(nullptr);
    pressure_.reset();
    helpers_.stop();
    destroy_items();
}

} // namespace zsync::detail
