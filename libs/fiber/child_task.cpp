// SPDX-License-Identifier: BSL-1.0
#include <zsync/fiber/detail/child_task.hpp>

#include <zsync/core/cancel_protection.hpp>
#include <zsync/core/detail/run_frame.hpp>
#include <zsync/core/error.hpp>
#include <zsync/core/use_await.hpp>
#include <zsync/fiber/detail/fiber_loop.hpp>

#include <boost/system/errc.hpp>
#include <boost/system/system_error.hpp>

#include <utility>

namespace zsync::detail
{

/// An agent that waits for a task.
class child_task::joining final : public task_observer, private task_cancellation::wait
{
public:
    joining(child_task& awaited, agent& self) noexcept
        : task_(awaited), waiter_(self, {.kind = wait_kind::task, .object = &awaited})
    {
    }

    /// Returns false if the deadline has come first.
    bool wait()
    {
        task_cancellation& cancellation = waiter_.owner().cancellation();
        const auto deadline = cancellation.deadline();
        task_.observe(*this);
        cancellation.begin(*this);
        if (cancellation.due()) [[unlikely]]
            interrupt();
        const bool in_time = deadline == cancellation.no_deadline || wait_until(deadline);
        if (!in_time) [[unlikely]]
            task_.request_cancel(error::timed_out);
        wait_until(cancellation.no_deadline);
        cancellation.end();
        return in_time;
    }

    void ended(child_task&) noexcept override { waiter_.notify(); }

private:
    // A thread that nobody else helps would wait for ever: from time to time it looks whether anybody does.
    bool wait_until(task_cancellation::clock::time_point deadline) noexcept
    {
        auto& home = static_cast<fiber_loop&>(task_.home());
        auto patience = waiter_.owner().fiber_of() ? std::chrono::microseconds::max() : home.unattended_after();
        while (patience < std::chrono::hours(24)) // more is as good as never
        {
            const auto runs = home.runs();
            const auto look = task_cancellation::clock::now() + patience;
            if (look >= deadline)
                break;
            if (waiter_.wait_until(look))
                return true;
            if (runs == home.runs() && !home.occupied())
                home.report_unattended(patience);
            patience *= 2;
        }
        if (deadline != task_cancellation::no_deadline)
            return waiter_.wait_until(deadline);
        waiter_.wait();
        return true;
    }

    void interrupt() noexcept override { task_.request_cancel(waiter_.owner().cancellation().reason()); }

    child_task& task_;
    waiter waiter_;
};

void child_task::attach(agent& child) noexcept
{
    child_ = &child;
    if (early_) [[unlikely]]
        request_cancel_of(child, early_);
}

void child_task::finish() noexcept
{
    child_ = nullptr;
    task_observer* const observer = std::exchange(observer_, nullptr);
    done_.store(true, std::memory_order_release);
    if (observer)
        observer->ended(*this);
}

void child_task::cancel_here(boost::system::error_code reason) noexcept
{
    if (child_)
        request_cancel_of(*child_, reason);
    else if (!early_)
        early_ = reason;
}

void child_task::request_cancel(boost::system::error_code reason) noexcept
{
    if (is_done())
        return;
    if (loop_.running_here())
    {
        cancel_here(reason);
        return;
    }
    if (asked_to_cancel_.exchange(true, std::memory_order_relaxed))
        return;
    asked_reason_ = reason;
    if (asked_.fetch_or(cancel_bit, std::memory_order_acq_rel) == 0)
        loop_.post(message_);
}

bool child_task::join()
{
    agent& self = agent::current();
    if (is_done())
        return true;
    boost::system::error_code refusal = self.may_wait();
    if ((loop_.running_here() && child_ == &self) || waits_for_what_is_below(self, nullptr, &loop_))
        refusal = make_error_code(boost::system::errc::resource_deadlock_would_occur);
    if (refusal) [[unlikely]]
        throw boost::system::system_error(refusal, "join");
    return joining(*this, self).wait();
}

void child_task::observe(task_observer& observer) noexcept
{
    if (loop_.running_here())
        return observe_here(observer);
    observer.observed_ = this;
    observer.run = [](work_item& item, bool)
    {
        auto& self = static_cast<task_observer&>(item);
        self.observed_->observe_here(self);
    };
    loop_.post(observer);
}

void child_task::observe_here(task_observer& observer) noexcept
{
    BOOST_ASSERT(!observer_);
    if (is_done())
        observer.ended(*this);
    else
        observer_ = &observer;
}

void child_task::release() noexcept
{
    // Of other threads none may ask any more; one may have, and the loop not have heard of it.
    if (loop_.running_here() && asked_.load(std::memory_order_acquire) == 0)
        free();
    else if (asked_.fetch_or(release_bit, std::memory_order_acq_rel) == 0)
        loop_.post(message_);
}

void child_task::receive(work_item& item, bool) noexcept
{
    child_task& self = static_cast<message&>(item).self;
    const unsigned asked = self.asked_.exchange(0, std::memory_order_acq_rel);
    if (asked & cancel_bit)
        self.cancel_here(self.asked_reason_);
    if (asked & release_bit)
        self.free();
}

void settle_request(const std::exception_ptr& failure, bool in_time)
{
    task_cancellation& cancellation = agent::current().cancellation();
    if ((cancellation.due() || !in_time) && is_abortion(failure)) [[unlikely]]
    {
        if (!cancellation.take() && !in_time)
            throw boost::system::system_error(error::timed_out, "join");
    }
    cancellation.throw_if_unwinding();
}

void cancel_and_join(child_task& which) noexcept
{
    const cancel_protection protect;
    which.request_cancel(boost::asio::error::operation_aborted);
    which.join();
}

} // namespace zsync::detail
