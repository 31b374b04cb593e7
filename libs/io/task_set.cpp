// SPDX-License-Identifier: BSL-1.0
#include <zsync/io/task_set.hpp>

#include <zsync/core/cancel_protection.hpp>
#include <zsync/core/error.hpp>
#include <zsync/core/use_await.hpp>
#include <zsync/io/detail/task_shutdown.hpp>

#include <boost/assert.hpp>

namespace zsync
{

/// A task that waits in a set: for room, or for the end of all.
class task_set::waiting final : private task_cancellation::wait
{
public:
    waiting(task_set& set, agent& self, bool for_room) noexcept
        : set_(set), waiter_(self, {.kind = wait_kind::task, .what = "the tasks of a task_set"}), for_room_(for_room)
    {
        waiting** last = &set.waiting_;
        while (*last)
            last = &(*last)->next_;
        *last = this;
    }

    void wait() noexcept
    {
        task_cancellation& cancellation = waiter_.owner().cancellation();
        cancellation.begin(*this);
        if (cancellation.due())
            interrupt();
        const auto deadline = cancellation.deadline();
        if (deadline != cancellation.no_deadline && !waiter_.wait_until(deadline)) [[unlikely]]
        {
            expired_ = true;
            end_early(error::timed_out);
        }
        waiter_.wait();
        cancellation.end();
    }

    /// A request came, and went on to the tasks.
    bool interrupted() const noexcept { return interrupted_; }

    /// The deadline came.
    bool expired() const noexcept { return expired_; }

    /// Ends the waits that have come to what they wait for. Of those for room one: each takes it.
    static void notify(task_set& set) noexcept
    {
        bool room = set.size_ < set.limit_;
        for (waiting** place = &set.waiting_; *place;)
        {
            waiting& each = **place;
            if (each.for_room_ ? room : set.size_ == 0)
            {
                room = room && !each.for_room_;
                each.end(place);
            }
            else
            {
                place = &each.next_;
            }
        }
    }

private:
    void end(waiting** place) noexcept
    {
        *place = next_;
        ended_ = true;
        waiter_.notify();
    }

    void interrupt() noexcept override
    {
        interrupted_ = true;
        end_early(waiter_.owner().cancellation().reason());
    }

    void end_early(boost::system::error_code reason) noexcept
    {
        if (!for_room_)
        {
            set_.request_all(reason);
            return;
        }
        if (ended_)
            return;
        waiting** place = &set_.waiting_;
        while (*place != this)
            place = &(*place)->next_;
        end(place);
    }

    task_set& set_;
    waiter waiter_;
    waiting* next_ = nullptr;
    const bool for_room_;
    bool ended_ = false;
    bool interrupted_ = false;
    bool expired_ = false;
};

namespace
{

using boost::system::error_code;
using boost::system::system_error;

[[noreturn]] void refuse(error_code reason)
{
    throw system_error(reason, "task_set");
}

} // namespace

// A task that waited for all the others would wait for itself.
agent& task_set::who_waits() const
{
    agent& self = agent::current();
    if (const auto refusal = self.may_wait()) [[unlikely]]
        refuse(refusal);
    for (const detail::child_task* each = first_; each; each = each->next)
        if (each->is_run_by(self)) [[unlikely]]
            refuse(make_error_code(boost::system::errc::resource_deadlock_would_occur));
    return self;
}

task_set::task_set(const io& where, task_set_options options)
    : io_(where), on_error_(std::move(options.on_error)), limit_(options.limit)
{
    BOOST_ASSERT(limit_ > 0);
    if (io_.model() != model::blocking && !io_.owner().running_here())
        throw system_error(make_error_code(boost::system::errc::operation_not_permitted), "task_set");
}

task_set::~task_set()
{
    if (size_ == 0)
        return;
    if (!detail::is_shutting_down(agent::current().cancellation()))
        cancel_and_wait();
    const cancel_protection protect;
    while (size_ != 0)
        waiting(*this, who_waits(), false).wait();
}

void task_set::add(detail::task_state<void>& started) noexcept
{
    started.next = first_;
    if (first_)
        first_->previous = &started;
    first_ = &started;
    ++size_;
    started.observe(*this);
    if (cancelling_ != 0)
        started.request_cancel(boost::asio::error::operation_aborted);
}

// On the fiber of the task.
void task_set::ended(detail::child_task& which) noexcept
{
    if (const auto& failure = static_cast<detail::task_state<void>&>(which).outcome.failure())
        if (!agent::current().cancellation().requested() || !detail::is_abortion(failure))
            report(failure);
    (which.previous ? which.previous->next : first_) = which.next;
    if (which.next)
        which.next->previous = which.previous;
    --size_;
    which.release();
    waiting::notify(*this);
}

void task_set::report(const std::exception_ptr& failure) noexcept
{
    if (on_error_)
        on_error_(failure);
}

// A request that is delivered to the task that runs inline is still the caller's own, too.
void task_set::run_inline(void (*call)(void* function), void* function)
{
    task_cancellation& cancellation = agent::current().cancellation();
    const bool open = !cancellation.requested() || cancellation.due();
    detail::task_outcome<void> outcome;
    outcome.set_from([&] { call(function); });
    const bool delivered = open && cancellation.requested() && !cancellation.due();
    if (outcome.failure() && !(delivered && detail::is_abortion(outcome.failure())))
        report(outcome.failure());
    if (delivered)
        cancellation.recancel();
}

void task_set::request_all(boost::system::error_code reason) noexcept
{
    for (detail::child_task* each = first_; each; each = each->next)
        each->request_cancel(reason);
}

void task_set::wait_for_room()
{
    agent& self = agent::current();
    if (const auto refusal = self.may_wait()) [[unlikely]]
        refuse(refusal);
    bool expired = false;
    while (size_ >= limit_)
    {
        if (self.cancellation().take())
            throw system_error(boost::asio::error::operation_aborted, "task_set::async");
        if (expired)
            throw system_error(error::timed_out, "task_set::async");
        waiting for_room(*this, self, true);
        for_room.wait();
        expired = for_room.expired();
    }
}

void task_set::give_room() noexcept
{
    waiting::notify(*this);
}

void task_set::join()
{
    if (size_ == 0)
        return;
    agent& self = who_waits();
    bool interrupted = false;
    bool expired = false;
    while (size_ != 0)
    {
        waiting end(*this, self, false);
        end.wait();
        interrupted = interrupted || end.interrupted();
        expired = expired || end.expired();
    }
    if (interrupted && self.cancellation().take())
        throw system_error(boost::asio::error::operation_aborted, "task_set::join");
    self.cancellation().throw_if_unwinding();
    if (expired)
        throw system_error(error::timed_out, "task_set::join");
}

void task_set::cancel()
{
    if (size_ == 0)
        return;
    who_waits();
    cancel_and_wait();
}

// Ends the process where nothing may wait.
void task_set::cancel_and_wait() noexcept
{
    const cancel_protection protect;
    ++cancelling_;
    request_all(boost::asio::error::operation_aborted);
    while (size_ != 0)
        waiting(*this, who_waits(), false).wait();
    --cancelling_;
}

} // namespace zsync
