// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/error.hpp>
#include <zsync/core/inline_executor.hpp>
#include <zsync/core/light_mutex.hpp>
#include <zsync/core/record_operation.hpp>
#include <zsync/sync/detail/select_waits.hpp>

#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/recycling_allocator.hpp>
#include <boost/asio/system_executor.hpp>
#include <boost/system/system_error.hpp>

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

namespace zsync::detail
{

/// What a slot's signal calls: it ends a selection, if that has not ended. See wait_canceller.
class selection_canceller
{
public:
    explicit selection_canceller(selection& of) noexcept : of_(&of) {}

    void operator()(boost::asio::cancellation_type type) noexcept
    {
        selection* ended = nullptr;
        {
            const std::lock_guard held(lock_);
            if (type != boost::asio::cancellation_type::none && of_ && of_->claim(selection_aborted))
                ended = of_;
        }
        if (ended)
            ended->wake();
    }

    /// For whoever has claimed it.
    void forget() noexcept
    {
        const std::lock_guard held(lock_);
        of_ = nullptr;
    }

private:
    light_mutex lock_;
    selection* of_; // null: it has ended
};

/// A selection on behalf of a handler, in the handler's memory, with what is waited for.
///
/// Decided, it goes to the handler's executor to disarm what has lost, and when no operation is left, again to call the
/// handler. A context that is destroyed meanwhile destroys the handler without calling it.
template <class Handler, class... T>
class handler_selection final : public selection
{
    using executor_type = boost::asio::associated_executor_t<Handler>;
    static_assert(
        !std::is_same_v<executor_type, boost::asio::system_executor>,
        "The handler has no executor of its own, and what it waits for has none either: use bind_executor().");

    static constexpr bool has_timers = (is_timer<T> || ...);

public:
    /// Makes it in the handler's memory, and lets it begin. @throws what allocating, or moving, throws.
    static void start(Handler&& handler, T&&... what)
    {
        auto memory = memory_of<Handler, handler_selection>(handler);
        using traits = std::allocator_traits<decltype(memory)>;
        handler_selection* self = traits::allocate(memory, 1);
        try
        {
            new (self) handler_selection(std::move(handler), std::move(what)...);
        }
        catch (...)
        {
            traits::deallocate(memory, self, 1);
            throw;
        }
        self->begin();
    }

private:
    /// A step, on its way to the handler's executor.
    template <void (handler_selection::*Run)(), void (handler_selection::*Drop)() noexcept>
    class message
    {
    public:
        using allocator_type = boost::asio::associated_allocator_t<Handler, boost::asio::recycling_allocator<void>>;

        explicit message(handler_selection& self) noexcept : self_(&self) {}
        message(message&& other) noexcept : self_(std::exchange(other.self_, nullptr)) {}
        ~message()
        {
            if (self_)
                (self_->*Drop)();
        }

        allocator_type get_allocator() const noexcept
        {
            return boost::asio::get_associated_allocator(self_->handler_, boost::asio::recycling_allocator<void>());
        }

        void operator()() { (std::exchange(self_, nullptr)->*Run)(); }

    private:
        handler_selection* self_; // null: moved from
    };

    /// What the timer has: it only claims.
    class alarm
    {
    public:
        using executor_type = inline_executor;

        explicit alarm(handler_selection& self) noexcept : self_(&self) {}
        alarm(alarm&& other) noexcept : self_(std::exchange(other.self_, nullptr)) {}
        ~alarm()
        {
            if (self_)
                self_->operation_over();
        }

        executor_type get_executor() const noexcept { return {}; }

        void operator()(const boost::system::error_code& ec) noexcept
        {
            if (!ec && self_->claim(self_->timer_.index))
                self_->wake();
        }

    private:
        handler_selection* self_; // null: moved from
    };

    struct clock
    {
        std::optional<
            boost::asio::basic_waitable_timer<sync_clock, boost::asio::wait_traits<sync_clock>, executor_type>>
            timer;
        std::size_t index = none_selected;
    };
    struct no_clock
    {
    };

    handler_selection(Handler&& handler, T&&... what)
        : work_(boost::asio::get_associated_executor(handler)),
          handler_(std::move(handler)),
          what_(std::move(what)...),
          waits_(std::make_from_tuple<select_waits<T...>>(std::tuple_cat(
              std::tuple<selection&>(*this), std::apply([](T&... each) { return std::tie(each...); }, what_))))
    {
        if (auto slot = boost::asio::get_associated_cancellation_slot(handler_); slot.is_connected())
            canceller_ = &slot.template emplace<selection_canceller>(*this);
    }

    void begin() noexcept
    {
        try
        {
            bool over = waits_.try_now(true);
            if (!over)
            {
                failure_ = waits_.start_operations();
                over = failure_ && claim(selection_aborted);
                if constexpr (has_timers)
                    start_timer();
            }
            if (over)
                wake();
        }
        catch (const boost::system::system_error& e)
        {
            fail(e.code());
        }
        catch (...)
        {
            fail(make_error_code(boost::system::errc::not_enough_memory));
        }
        tell_if_second();
    }

    void fail(const boost::system::error_code& reason) noexcept
    {
        failure_ = reason;
        if (claim(selection_aborted))
            wake();
    }

    void start_timer()
    {
        static_assert(!std::is_same_v<executor_type, inline_executor>,
                      "On a fiber or a thread use select(): this handler has no context to run a timer in.");
        sync_clock::time_point when;
        timer_.index = waits_.first_timer(when);
        if (timer_.index == none_selected || decision() != undecided)
            return;
        timer_.timer.emplace(boost::asio::get_associated_executor(handler_), when);
        operation_started();
        timer_.timer->async_wait(alarm(*this));
    }

    void wake() noexcept override
    {
        if (canceller_)
            canceller_->forget();
        tell_if_second();
    }

    // Operations run on the executors of others, and the waiter is not one of them.
    boost::system::error_code admit(boost::asio::execution_context*, loop*) override { return {}; }

    // Ends the process if there is no memory to queue the message with: there is nobody left to be told.
    void tell_if_second() noexcept
    {
        if (to_tell_.fetch_sub(1, std::memory_order_acq_rel) == 1)
            post(message<&handler_selection::disarm, &handler_selection::abandon>(*this));
    }

    template <class Message>
    void post(Message&& step) noexcept
    {
        const auto executor = work_.get(); // work_ may go when the message has run
        boost::asio::post(executor, std::move(step));
    }

    void disarm_all() noexcept
    {
        waits_.disarm();
        if constexpr (has_timers)
            if (timer_.timer)
                timer_.timer->cancel();
    }

    void disarm()
    {
        // Where cancelling is the user's to serialize with this; not on the thread of whoever has ended the wait.
        if constexpr (!std::is_same_v<executor_type, inline_executor>)
        {
            if (canceller_)
                boost::asio::get_associated_cancellation_slot(handler_).clear();
        }
        disarm_all();
        if (leave())
            call();
    }

    void abandon() noexcept
    {
        abandoned_ = true;
        disarm_all();
        if (leave())
            release();
    }

    void all_over() noexcept override
    {
        if (abandoned_)
            release();
        else
            post(message<&handler_selection::call, &handler_selection::release>(*this));
    }

    void call()
    {
        const std::size_t chosen = waits_.chosen();
        boost::system::error_code ec;
        if (chosen == none_selected)
            ec = failure_ ? failure_ : boost::asio::error::operation_aborted;
        auto results = std::tuple_cat(std::tuple(ec, chosen), waits_.take(chosen));
        Handler handler(std::move(handler_));
        [[maybe_unused]] const auto work = std::move(work_);
        destroy(memory_of<Handler, handler_selection>(handler));
        std::apply(std::move(handler), std::move(results));
    }

    // Moved out first: the memory's allocator may refer to it.
    void release() noexcept
    {
        const Handler handler(std::move(handler_));
        destroy(memory_of<Handler, handler_selection>(handler));
    }

    template <class Memory>
    void destroy(Memory memory) noexcept
    {
        this->~handler_selection();
        std::allocator_traits<Memory>::deallocate(memory, this, 1);
    }

    ~handler_selection() = default;

    working_executor<executor_type> work_;
    Handler handler_;
    std::tuple<T...> what_;
    select_waits<T...> waits_;
    [[no_unique_address]] std::conditional_t<has_timers, clock, no_clock> timer_;
    selection_canceller* canceller_ = nullptr; // in the slot
    boost::system::error_code failure_;
    // Whoever has claimed takes one off, and begin() at its end: it must not run at the same time as what follows. The
    // second to do so tells.
    std::atomic<int> to_tell_{2};
    bool abandoned_ = false; // its context is being destroyed
};

} // namespace zsync::detail
