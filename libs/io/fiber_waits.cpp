// SPDX-License-Identifier: BSL-1.0
#include <zsync/io/detail/fiber_waits.hpp>

#include <zsync/core/descriptor.hpp>
#include <zsync/core/error.hpp>
#include <zsync/core/system_call.hpp>
#include <zsync/io/detail/steps.hpp>

#include <boost/asio/error.hpp>

#include <cerrno>
#include <new>
#include <optional>

namespace zsync::detail
{

using boost::asio::error::operation_aborted;
using boost::system::error_code;

fiber_waits::fiber_waits(const settings& with, agent& self) noexcept
    : with_(with), self_(self), engine_(with.owner->io()), waiter_(self, for_record())
{
    record_.of = this;
    record_.on_complete = [](operation& record, void*) noexcept
    { static_cast<awaited_record&>(record).of->waiter_.notify(); };
}

fiber_waits::~fiber_waits()
{
    disarm(deadline_);
}

wait_reason fiber_waits::for_record() const noexcept
{
    return {.kind = wait_kind::operation, .object = static_cast<const operation*>(&record_)};
}

// What every cancellation point does first.
bool fiber_waits::may_begin(error_code& ec)
{
    if (const error_code refusal = self_.may_wait()) [[unlikely]]
    {
        ec = refusal;
        return false;
    }
    if (self_.cancellation().take()) [[unlikely]]
    {
        ec = operation_aborted;
        return false;
    }
    if (with_.cancellation.cancel_requested()) [[unlikely]]
    {
        ec = operation_aborted;
        return false;
    }
    return true;
}

bool fiber_waits::perform(error_code& ec)
{
    if (!may_begin(ec)) [[unlikely]]
        return false;
    record_.result = 0;
    if (with_.limited()) [[unlikely]]
        return perform_limited(ec);
    if (!start(ec)) [[unlikely]]
        return false;
    suspend(false);
    return check(ec);
}

bool fiber_waits::perform_limited(error_code& ec)
{
    if (timed_out_ || deadline_passed())
    {
        // What is there wins, as it does when the timer expires in flight.
        record_.connecting = false;
        if (try_perform(record_))
            return true;
        ec = error::timed_out;
        return false;
    }
    arm_deadline();
    if (!start(ec))
        return false;
    suspend(with_.cancellation.can_be_cancelled());
    return check(ec);
}

bool fiber_waits::start(error_code& ec) noexcept
try
{
    ended_ = nullptr;
    engine_.start(record_, &id_);
    return true;
}
catch (const std::bad_alloc&)
{
    ec = from_errno(ENOMEM);
    return false;
}

void fiber_waits::suspend(bool with_token)
{
    task_cancellation& cancellation = self_.cancellation();
    cancellation.begin(*this);
    if (with_token)
    {
        // Its destructor waits for a request that is being made on another thread.
        const cancellation_callback<end_step> on_request(with_.cancellation, end_step{this});
        waiter_.wait();
    }
    else
    {
        waiter_.wait();
    }
    cancellation.end();
    waiter_.reset();
}

bool fiber_waits::check(error_code& ec)
{
    id_ = {};
    return record_.result != -ECANCELED || !ended_early(ec);
}

// Says why. A request that came after the deadline stays pending.
bool fiber_waits::ended_early(error_code& ec)
{
    if (timed_out_)
        ec = error::timed_out;
    else
    {
        self_.cancellation().take();
        ec = operation_aborted;
    }
    return true;
}

void fiber_waits::interrupt() noexcept
{
    requested_ = true;
    end_early();
}

// Any thread.
void fiber_waits::end_early() noexcept
{
    if (!ended_)
        engine_.cancel(id_);
    else if (!ended_->exchange(true, std::memory_order_acq_rel))
    {
        cut_short_ = true;
        waiter_.notify();
    }
}

bool fiber_waits::deadline_passed() const noexcept
{
    return with_.has_deadline() && settings::clock::now() >= with_.deadline;
}

// It stays for the steps to come.
void fiber_waits::arm_deadline() noexcept
{
    if (!with_.has_deadline() || deadline_.linked())
        return;
    arm(deadline_, with_.deadline,
        [](loop_timer& expired) noexcept
        {
            fiber_waits& self = *static_cast<timer&>(expired).of;
            self.timed_out_ = !self.requested_ && !self.with_.cancellation.cancel_requested();
            self.end_early();
        });
}

bool fiber_waits::pause(settings::clock::time_point until, error_code& ec)
{
    if (!may_begin(ec))
        return false;
    if (until <= settings::clock::now())
        return true;
    if (deadline_passed())
    {
        ec = error::timed_out;
        return false;
    }
    std::atomic<bool> ended{false};
    ended_ = &ended;
    timer wake;
    if (until != settings::no_deadline)
        arm(wake, until,
            [](loop_timer& expired) noexcept
            {
                fiber_waits& self = *static_cast<timer&>(expired).of;
                if (!self.ended_->exchange(true, std::memory_order_acq_rel))
                    self.waiter_.notify();
            });
    arm_deadline(); // after the other: with the same time, it comes second
    waiter_.set_reason({.kind = wait_kind::time});
    struct disarming
    {
        fiber_waits& of;
        timer& which;
        ~disarming() { of.disarm(which); }
    } const at_exit{*this, wake};
    return wait_for_event(ended, ec);
}

bool fiber_waits::call(helper_call& what, error_code& ec)
{
    if (!may_begin(ec))
        return false;
    if (deadline_passed())
    {
        ec = error::timed_out;
        return false;
    }
    waiter_.set_reason({.kind = wait_kind::helper});
    ec = what.start(with_.owner->helpers(), waiter_);
    if (ec)
        return false;
    arm_deadline();
    return wait_for_event(what.ended(), ec);
}

bool fiber_waits::wait_for_event(std::atomic<bool>& ended, error_code& ec)
{
    ended_ = &ended;
    cut_short_ = false;
    suspend(with_.cancellation.can_be_cancelled());
    waiter_.set_reason(for_record());
    ended_ = nullptr;
    return !cut_short_ || !ended_early(ec);
}

bool fiber_waits::idle(descriptor_core& core, error_code& ec)
{
    ec = self_.may_wait();
    if (ec)
        return false;
    struct note : descriptor_core::idle_waiter
    {
        waiter* who;
    } end;
    end.who = &waiter_;
    end.idle = [](descriptor_core::idle_waiter& self) noexcept { static_cast<note&>(self).who->notify(); };
    waiter_.set_reason({.what = "the end of what is in flight on a descriptor"});
    core.when_idle(end);
    waiter_.wait();
    waiter_.reset();
    waiter_.set_reason(for_record());
    return true;
}

void fiber_waits::arm(timer& which, settings::clock::time_point when, void (*expired)(loop_timer&) noexcept) noexcept
{
    which.of = this;
    which.expired = expired;
    with_.owner->timers()->insert(which, when);
}

void fiber_waits::disarm(timer& which) noexcept
{
    if (which.linked())
        with_.owner->timers()->cancel(which);
}

} // namespace zsync::detail
