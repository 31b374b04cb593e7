// SPDX-License-Identifier: BSL-1.0
#include <zsync/io/task_set.hpp>

#include <zsync/core/cancel_protection.hpp>
#include <zsync/core/use_await.hpp>
#include <zsync/io/detail/task_shutdown.hpp>

#include <boost/assert.hpp>

namespace zsync
{

/// A task that waits in a set: for room, or for the end of all.
class task_set::waiting final : private task_cancellation::wait
{
public:
    waiting(task_set& set, agent& self, bool for_room) noexcept : set_(set), waiter_(self), for_room_(for_room)
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
        waiter_.wait();
        cancellation.end();
    }

    /// A request came, and went on to the tasks.
    bool interrupted() const noexcept { return interrupted_; }

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
        if (!for_room_)
        {
            set_.request_all(waiter_.owner().cancellation().reason());
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
};

namespace
{

using boost::system::system_error;

agent& waiting_agent()
{
    agent& self = agent::current();
    if (const auto refusal = self.may_wait()) [[unlikely]]
        throw system_error(refusal, "task_set");
    return self;
}

} // namespace

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
        cancel();
    const cancel_protection protect;
    while (size_ != 0)
        waiting(*this, waiting_agent(), false).wait();
}

void task_set::add(detail::task_state<void>& started) noexcept
{
    started.next = first_;
    if (first_)
        first_->previous = &started;
    first_ = &started;
    ++size_;
    started.observe(*this);
    if (cancelling_)
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
    agent& self = waiting_agent();
    while (size_ >= limit_)
    {
        if (self.cancellation().take())
            throw system_error(boost::asio::error::operation_aborted, "task_set::async");
        waiting(*this, self, true).wait();
    }
}

void task_set::join()
{
    if (size_ == 0)
        return;
    agent& self = waiting_agent();
    bool interrupted = false;
    while (size_ != 0)
    {
        waiting end(*this, self, false);
        end.wait();
        interrupted = interrupted || end.interrupted();
    }
    if (interrupted && self.cancellation().take())
        throw system_error(boost::asio::error::operation_aborted, "task_set::join");
}

void task_set::cancel() noexcept
{
    const cancel_protection protect;
    const bool outer = std::exchange(cancelling_, true);
    request_all(boost::asio::error::operation_aborted);
    while (size_ != 0)
        waiting(*this, waiting_agent(), false).wait();
    cancelling_ = outer;
}

} // namespace zsync
