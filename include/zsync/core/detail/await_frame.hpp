// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/detail/driving_agent.hpp>
#include <zsync/core/detail/operation_frame.hpp>
#include <zsync/core/detail/signal_loan.hpp>

#include <boost/asio/multiple_exceptions.hpp>

#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

namespace zsync::detail
{

/// An agent's wait for an Asio operation, on the waiting stack. The agent's deadline ends the operation as a request
/// does.
class await_wait : private task_cancellation::wait
{
public:
    await_wait(const await_wait&) = delete;
    await_wait& operator=(const await_wait&) = delete;

    /// The deadline has come before the end.
    bool expired() const noexcept { return expired_; }

    /// Initiates by calling `start`, and waits. Throws what `start` throws, once no handler is left; or what a function
    /// throws that the waiting thread has run meanwhile, for which the operation is cancelled.
    template <class Start>
    void run(operation_frame& frame, Start&& start)
    {
        try
        {
            std::forward<Start>(start)();
        }
        catch (...)
        {
            wait_until_over(frame);
            throw;
        }
        signal_.take_block();
        struct bracket
        {
            task_cancellation& cancellation;
            ~bracket() { cancellation.end(); }
        } const bracketed{owner_.cancellation()};
        frame_ = &frame;
        bracketed.cancellation.begin(*this);
        if (bracketed.cancellation.due()) [[unlikely]]
            interrupt(); // requested by what `start` ran
        const auto deadline = bracketed.cancellation.deadline();
        if (deadline == bracketed.cancellation.no_deadline) [[likely]]
            wait_until_over(frame);
        else
            wait_until_over(frame, deadline);
    }

protected:
    /// `initiation` is the type_text() of what starts the operation.
    await_wait(agent& owner, loop* target, const char* initiation) noexcept
        : owner_(owner),
          target_(target),
          driver_(!owner.fiber_of() && target && target->is_driven_by_waiting()
                      ? std::optional<driver>(std::in_place, *target)
                      : std::optional<driver>()),
          waiter_(driver_ ? static_cast<agent&>(*driver_) : owner,
                  {.kind = wait_kind::asynchronous, .what = initiation}),
          signal_(owner)
    {
    }

    ~await_wait() = default;

    boost::asio::cancellation_signal& signal() noexcept { return signal_.signal(); }
    void notify() noexcept { waiter_.notify(); }

private:
    struct driver final : driving_agent
    {
        using driving_agent::driving_agent;
    };

    void interrupt() noexcept override { frame_->end_early(); }

    void wait_until_over(operation_frame& frame)
    {
        if (driver_)
            drive(frame, [this] { target_->drive_until(waiter_); });
        else
            waiter_.wait();
    }

    void wait_until_over(operation_frame& frame, task_cancellation::clock::time_point deadline)
    {
        const auto in_time = [&]
        { return driver_ ? target_->drive_until(waiter_, deadline) : waiter_.wait_until(deadline); };
        drive(frame,
              [&]
              {
                  if (!expired_ && in_time())
                      return;
                  expired_ = true;
                  frame.end_early();
                  driver_ ? target_->drive_until(waiter_) : waiter_.wait();
              });
    }

    // What drives a loop may throw what a function throws that it runs.
    template <class Wait>
    static void drive(operation_frame& frame, Wait wait_once)
    {
        std::exception_ptr failure;
        for (;;)
        {
            try
            {
                wait_once();
                break;
            }
            catch (...)
            {
                // The operation still has the frame.
                failure = failure ? std::make_exception_ptr(boost::asio::multiple_exceptions(failure))
                                  : std::current_exception();
                frame.end_early();
            }
        }
        if (failure)
            std::rethrow_exception(failure);
    }

    agent& owner_;
    loop* const target_;           // the operation's, if it is one of ours
    std::optional<driver> driver_; // empty: the owner waits
    waiter waiter_;
    signal_loan signal_;
    operation_frame* frame_ = nullptr;
    bool expired_ = false;
};

/// The frame of such a wait. It knows where the operation runs.
template <class Executor, class... Args>
class executor_frame final : private await_wait, public value_frame<Args...>
{
public:
    executor_frame(agent& owner, loop* target, const char* initiation, const Executor& executor)
        : await_wait(owner, target, initiation), value_frame<Args...>(this->signal()), executor_(executor)
    {
        this->run_by(target, target && owner.fiber_of() == target);
    }

    using await_wait::expired;

    /// See await_wait.
    template <class Start>
    void run(Start&& start)
    {
        await_wait::run(*this, std::forward<Start>(start));
    }

private:
    void over() noexcept override { this->notify(); }
    bool has_executor() const noexcept override { return !std::is_same_v<Executor, no_executor>; }
    void post_emission() override { this->post_emission_to(executor_); }

    [[no_unique_address]] Executor executor_;
};

} // namespace zsync::detail
