// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/detail/driving_agent.hpp>
#include <zsync/core/detail/signal_loan.hpp>
#include <zsync/core/inline_executor.hpp>
#include <zsync/core/loop_executor.hpp>

#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/multiple_exceptions.hpp>
#include <boost/asio/require.hpp>

#include <atomic>
#include <exception>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

namespace zsync::detail
{

/// Stands for the executor of an initiation that tells none.
struct no_executor
{
};

/// One wait for an Asio operation, on the waiting stack. What the operation has of it is a pointer, in its handler.
///
/// The wait is over when all its events are: the handler has been called or destroyed, and a cancellation that was
/// posted to the operation's executor has been emitted there, or was destroyed with its context.
class await_frame : private task_cancellation::wait
{
public:
    await_frame(const await_frame&) = delete;
    await_frame& operator=(const await_frame&) = delete;

    boost::asio::cancellation_slot slot() noexcept { return signal_.signal().slot(); }

    /// The handler's last words.
    void answered() noexcept
    {
        answered_.store(true, std::memory_order_release);
        event_over();
    }

    /// Initiates by calling `start`, and waits. Throws what `start` throws, once no handler is left; or what a function
    /// throws that the waiting thread has run meanwhile, for which the operation is cancelled.
    template <class Start>
    void run(Start&& start)
    {
        try
        {
            std::forward<Start>(start)();
        }
        catch (...)
        {
            wait_for_events();
            throw;
        }
        struct bracket
        {
            task_cancellation& cancellation;
            ~bracket() { cancellation.end(); }
        } const bracketed{owner_.cancellation()};
        bracketed.cancellation.begin(*this);
        if (bracketed.cancellation.due()) [[unlikely]]
            interrupt(); // requested by what `start` ran
        wait_for_events();
    }

protected:
    await_frame(agent& owner, loop* target) noexcept
        : owner_(owner),
          target_(target),
          driver_(!owner.fiber_of() && target && target->is_driven_by_waiting()
                      ? std::optional<driver>(std::in_place, *target)
                      : std::optional<driver>()),
          waiter_(driver_ ? static_cast<agent&>(*driver_) : owner),
          signal_(owner)
    {
    }

    ~await_frame() = default;

    /// Has emit() called where the operation may be touched, in any case exactly one of emit() and event_over().
    virtual void post_emission() = 0;

    /// Posts it to a loop of ours. Allocates nothing.
    void post_emission_to(loop& where) noexcept
    {
        emission_item_.frame = this;
        where.post(emission_item_);
    }

    /// The emission as a function object.
    class emission
    {
    public:
        explicit emission(await_frame& frame) noexcept : frame_(&frame) {}
        emission(emission&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
        ~emission()
        {
            if (frame_)
                frame_->event_over();
        }

        void operator()() noexcept { std::exchange(frame_, nullptr)->emit(); }

    private:
        await_frame* frame_;
    };

private:
    struct driver final : driving_agent
    {
        using driving_agent::driving_agent;
    };

    struct message : work_item
    {
        message() noexcept
        {
            run = [](work_item& self, bool invoke)
            {
                await_frame& to = *static_cast<message&>(self).frame;
                invoke ? to.emit() : to.event_over();
            };
        }

        await_frame* frame = nullptr;
    };

    // Of the operation's own loop no function runs now but the caller of this. Elsewhere, one may.
    void interrupt() noexcept override
    {
        if (interrupted_)
            return;
        interrupted_ = true;
        if (!has_executor() || (target_ && target_->running_here()))
        {
            emit_unless_answered();
            return;
        }
        int events = events_.load(std::memory_order_relaxed);
        do
        {
            if (events == 0)
                return; // over, though the owner does not know yet
        } while (!events_.compare_exchange_weak(events, events + 1, std::memory_order_relaxed));
        try
        {
            post_emission();
        }
        catch (...)
        {
            // No memory: what could not be posted has been destroyed, and its event with it. The request stays pending.
            interrupted_ = false;
        }
    }

    virtual bool has_executor() const noexcept = 0;

    void emit() noexcept
    {
        emit_unless_answered();
        event_over();
    }

    void emit_unless_answered() noexcept
    {
        if (!answered_.load(std::memory_order_acquire))
            signal_.signal().emit(boost::asio::cancellation_type::terminal);
    }

    // The last of them may be the end of the frame. Each sees what the others have written.
    void event_over() noexcept
    {
        if (events_.fetch_sub(1, std::memory_order_acq_rel) == 1)
            waiter_.notify();
    }

    void wait_for_events()
    {
        if (!driver_)
        {
            waiter_.wait();
            return;
        }
        std::exception_ptr failure;
        for (;;)
        {
            try
            {
                target_->drive_until(waiter_);
                break;
            }
            catch (...)
            {
                // The operation still has the frame.
                failure = failure ? std::make_exception_ptr(boost::asio::multiple_exceptions(failure))
                                  : std::current_exception();
                interrupt();
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
    message emission_item_;
    std::atomic<int> events_{1};        // still to come; each event takes one off, interrupt() adds one
    std::atomic<bool> answered_{false}; // by the handler; for an emission that comes late
    bool interrupted_ = false;          // the owner's
};

/// A frame with room for the handler's arguments.
template <class... Args>
class value_frame : public await_frame
{
public:
    using values_type = std::tuple<std::decay_t<Args>...>;

    std::optional<values_type> values; // empty: the handler was destroyed without being called
    std::exception_ptr failure;        // thrown by storing them

protected:
    using await_frame::await_frame;
    ~value_frame() = default;
};

/// A frame that knows where the operation runs.
template <class Executor, class... Args>
class executor_frame final : public value_frame<Args...>
{
public:
    executor_frame(agent& owner, loop* target, const Executor& executor)
        : value_frame<Args...>(owner, target), executor_(executor), target_(target)
    {
    }

private:
    bool has_executor() const noexcept override { return !std::is_same_v<Executor, no_executor>; }

    void post_emission() override
    {
        if constexpr (std::is_same_v<Executor, loop_executor>)
            this->post_emission_to(*target_);
        else if constexpr (requires { executor_.template target<loop_executor>(); })
        {
            if (executor_.template target<loop_executor>())
                this->post_emission_to(*target_);
            else
                boost::asio::require(executor_, boost::asio::execution::blocking.never)
                    .execute(typename await_frame::emission(*this));
        }
        else if constexpr (requires { boost::asio::require(executor_, boost::asio::execution::blocking.never); })
            boost::asio::require(executor_, boost::asio::execution::blocking.never)
                .execute(typename await_frame::emission(*this));
        else if constexpr (!std::is_same_v<Executor, no_executor>)
            executor_.post(typename await_frame::emission(*this), std::allocator<void>()); // of the Networking TS
    }

    [[no_unique_address]] Executor executor_;
    loop* const target_;
};

/// What the operation gets: a pointer to the frame. Stores the arguments and notifies.
template <class... Args>
class await_handler
{
public:
    using executor_type = inline_executor;
    using cancellation_slot_type = boost::asio::cancellation_slot;

    explicit await_handler(value_frame<Args...>& frame) noexcept : frame_(&frame) {}
    await_handler(await_handler&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
    await_handler& operator=(await_handler&& other) noexcept
    {
        await_handler(std::move(other)).swap(*this);
        return *this;
    }

    ~await_handler()
    {
        if (frame_)
            frame_->answered();
    }

    void swap(await_handler& other) noexcept { std::swap(frame_, other.frame_); }

    executor_type get_executor() const noexcept { return {}; }

    cancellation_slot_type get_cancellation_slot() const noexcept
    {
        return frame_ ? frame_->slot() : cancellation_slot_type();
    }

    template <class... Given>
        requires std::is_constructible_v<std::tuple<std::decay_t<Args>...>, Given...>
    void operator()(Given&&... given) noexcept
    {
        value_frame<Args...>& frame = *std::exchange(frame_, nullptr);
        try
        {
            frame.values.emplace(std::forward<Given>(given)...);
        }
        catch (...)
        {
            frame.failure = std::current_exception();
        }
        frame.answered();
    }

private:
    value_frame<Args...>* frame_; // null: moved from, or called
};

} // namespace zsync::detail
