// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/detail/forget_cancellation.hpp>
#include <zsync/core/inline_executor.hpp>
#include <zsync/core/loop_executor.hpp>

#include <boost/asio/cancellation_signal.hpp>
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

/// An Asio operation in flight, as whoever waits for it has it. What the operation has of it is a pointer, in its
/// handler; and it stays where it is until it is over.
///
/// It is over when all its events are: the handler has been called or destroyed, and a cancellation that was posted to
/// the operation's executor has been emitted there, or was destroyed with its context.
class operation_frame
{
public:
    operation_frame(const operation_frame&) = delete;
    operation_frame& operator=(const operation_frame&) = delete;

    boost::asio::cancellation_slot slot() noexcept { return signal_.slot(); }

    /// Has what another slot's signal emits go on to the operation, until the handler has been called. It is emitted
    /// where the operation may be touched, as always in Asio. Before the operation begins.
    void follow(boost::asio::cancellation_slot other)
    {
        if (!other.is_connected())
            return;
        other.assign([this](boost::asio::cancellation_type type) { signal_.emit(type); });
        followed_ = other;
    }

    /// The handler's last words.
    void answered() noexcept
    {
        if (followed_) [[unlikely]]
            forget_cancellation(*followed_);
        answered_.store(true, std::memory_order_release);
        event_over();
    }

    /// Says that the signal is emitted on the thread of this loop only, and no more once the handler is being called.
    bool emits_on(const loop& on) const noexcept { return target_ == &on && has_executor() && !followed_; }

    /// Asks the operation to end early: emits its signal where the operation may be touched. The first call counts. For
    /// whoever waits, on one thread.
    void end_early() noexcept
    {
        if (asked_)
            return;
        asked_ = true;
        // Of the operation's own loop no function runs now but the caller of this. Elsewhere, one may.
        if (waits_there_ || !has_executor() || (target_ && target_->running_here()))
        {
            emit_unless_answered();
            return;
        }
        int events = events_.load(std::memory_order_relaxed);
        do
        {
            if (events == 0)
                return; // over, though whoever waits does not know yet
        } while (!events_.compare_exchange_weak(events, events + 1, std::memory_order_relaxed));
        try
        {
            post_emission();
        }
        catch (...)
        {
            // No memory: what could not be posted has been destroyed, and its event with it. The request stays pending.
            asked_ = false;
        }
    }

protected:
    explicit operation_frame(boost::asio::cancellation_signal& signal) noexcept : signal_(signal) {}
    ~operation_frame() = default;

    /// The operation's loop, if it is one of ours, and whether what waits is a fiber of it; to be said before the
    /// operation begins.
    void run_by(loop* target, bool waits_there = false) noexcept
    {
        target_ = target;
        waits_there_ = waits_there;
    }

    /// Called at the end of the last event, by whatever thread that is. The frame may be gone when it returns.
    virtual void over() noexcept = 0;

    virtual bool has_executor() const noexcept = 0;

    /// Calls post_emission_to() for the operation's executor.
    virtual void post_emission() = 0;

    /// Has emit() called by an executor; in any case exactly one of emit() and event_over().
    template <class Executor>
    void post_emission_to(const Executor& executor)
    {
        if constexpr (std::is_same_v<Executor, loop_executor>)
            post_emission_to_loop();
        else if constexpr (requires { executor.template target<loop_executor>(); })
        {
            if (executor.template target<loop_executor>())
                post_emission_to_loop();
            else
                boost::asio::require(executor, boost::asio::execution::blocking.never).execute(emission(*this));
        }
        else if constexpr (requires { boost::asio::require(executor, boost::asio::execution::blocking.never); })
            boost::asio::require(executor, boost::asio::execution::blocking.never).execute(emission(*this));
        else if constexpr (!std::is_same_v<Executor, no_executor>)
            executor.post(emission(*this), std::allocator<void>()); // of the Networking TS
    }

private:
    /// The emission as a function object.
    class emission
    {
    public:
        explicit emission(operation_frame& frame) noexcept : frame_(&frame) {}
        emission(emission&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
        ~emission()
        {
            if (frame_)
                frame_->event_over();
        }

        void operator()() noexcept { std::exchange(frame_, nullptr)->emit(); }

    private:
        operation_frame* frame_;
    };

    /// The emission as an item of a loop of ours.
    struct message : work_item
    {
        message() noexcept
        {
            run = [](work_item& self, bool invoke)
            {
                operation_frame& to = *static_cast<message&>(self).frame;
                invoke ? to.emit() : to.event_over();
            };
        }

        operation_frame* frame = nullptr;
    };

    // Allocates nothing.
    void post_emission_to_loop() noexcept
    {
        emission_item_.frame = this;
        target_->post(emission_item_);
    }

    void emit() noexcept
    {
        emit_unless_answered();
        event_over();
    }

    void emit_unless_answered() noexcept
    {
        if (!answered_.load(std::memory_order_acquire))
            signal_.emit(boost::asio::cancellation_type::terminal);
    }

    // The last of them may be the end of the frame. Each sees what the others have written. What waits on the
    // operation's own loop posts no emission, so that the handler's is the only event.
    void event_over() noexcept
    {
        if (waits_there_ || events_.fetch_sub(1, std::memory_order_acq_rel) == 1)
            over();
    }

    boost::asio::cancellation_signal& signal_;
    loop* target_ = nullptr;
    bool waits_there_ = false;
    message emission_item_;
    std::atomic<int> events_{1};        // still to come; each event takes one off, end_early() adds one
    std::atomic<bool> answered_{false}; // by the handler; for an emission that comes late
    bool asked_ = false;                // of whoever waits
    std::optional<boost::asio::cancellation_slot> followed_;
};

/// A frame with room for the handler's arguments.
template <class... Args>
class value_frame : public operation_frame
{
public:
    using values_type = std::tuple<std::decay_t<Args>...>;

    std::optional<values_type> values; // empty: the handler was destroyed without being called
    std::exception_ptr failure;        // thrown by storing them

protected:
    using operation_frame::operation_frame;
    ~value_frame() = default;
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

    /// See operation_frame. For a handler that has a slot.
    bool emits_on(const loop& on) const noexcept { return frame_->emits_on(on); }

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
