// SPDX-License-Identifier: BSL-1.0
#pragma once

// The service that a stock timer finds behind it when it is native: the context's wheel if it has a ring, else Asio's
// own service. Native are the timers of the standard clocks and of posix_time with Asio's own traits; those of other
// clocks, and of traits that their users have written, are Asio's as ever.

#include <zsync/core/detail/asio.hpp>
#include <zsync/uring/detail/stock_timers.hpp>
#include <zsync/uring/detail/uring_service.hpp>

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/detail/bind_handler.hpp>
#include <boost/asio/detail/chrono_time_traits.hpp>
#include <boost/asio/detail/deadline_timer_service.hpp>
#include <boost/asio/detail/fenced_block.hpp>
#include <boost/asio/detail/handler_alloc_helpers.hpp>
#include <boost/asio/detail/handler_tracking.hpp>
#include <boost/asio/detail/handler_work.hpp>
#include <boost/asio/detail/io_object_impl.hpp>
#include <boost/asio/detail/socket_ops.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/wait_traits.hpp>

#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <new>

// Asio's and date_time's own declarations, which a program without such timers should not have to compile.
namespace boost::posix_time
{
class ptime;
}

namespace boost::asio
{
template <class Time>
struct time_traits;
}

namespace zsync::detail
{

/// Says where the deadlines of timers with these traits stand. The primary: nowhere, they stay with Asio's reactor.
template <class Traits>
struct timer_clock;

template <class Clock>
using standard_timer_traits = boost::asio::detail::chrono_time_traits<Clock, boost::asio::wait_traits<Clock>>;

template <>
struct timer_clock<standard_timer_traits<std::chrono::steady_clock>>
{
    static constexpr auto which = stock_timers::clock::steady;

    static stock_timers::time_point deadline(std::chrono::steady_clock::time_point time) noexcept { return time; }
};

/// high_resolution_clock is the same clock, by another name.
template <>
struct timer_clock<standard_timer_traits<std::chrono::system_clock>>
{
    static constexpr auto which = stock_timers::clock::wall;

    static stock_timers::time_point deadline(std::chrono::system_clock::time_point time) noexcept
    {
        return stock_timers::time_point(std::chrono::nanoseconds(time.time_since_epoch()));
    }
};

template <>
struct timer_clock<boost::asio::time_traits<boost::posix_time::ptime>>
{
    static constexpr auto which = stock_timers::clock::wall;

    /// A template, so that posix_time needs to be known only where it is used. What is beyond the years 1677 to 2262
    /// has passed, or never comes; so has what is not a time.
    template <class Time>
    static stock_timers::time_point deadline(const Time& time)
    {
        constexpr auto never = stock_timers::time_point::max();
        constexpr auto passed = stock_timers::time_point::min();
        if (time.is_special())
            return time.is_pos_infinity() ? never : passed;
        const auto since = time - Time(typename Time::date_type(1970, 1, 1));
        const std::int64_t unit = 1'000'000'000 / since.ticks_per_second();
        const std::int64_t most = std::numeric_limits<std::int64_t>::max() / unit;
        if (since.ticks() > most)
            return never;
        if (since.ticks() < -most)
            return passed;
        return stock_timers::time_point(std::chrono::nanoseconds(since.ticks() * unit));
    }
};

template <class Traits>
concept native_timer_traits = requires
{
    timer_clock<Traits>::which;
};

/// One asynchronous wait: its handler, and the work that keeps its executors alive.
template <class Handler, class IoExecutor>
class wait_handler final : public wait_operation
{
public:
    BOOST_ASIO_DEFINE_HANDLER_PTR(wait_handler);

    wait_handler(Handler& handler, const IoExecutor& io_executor)
        : wait_operation(&wait_handler::do_complete), handler_(std::move(handler)), work_(handler_, io_executor)
    {
    }

private:
    static void do_complete(void* owner, scheduler_operation* base, const boost::system::error_code&, std::size_t)
    {
        auto* const self = static_cast<wait_handler*>(base);
        ptr memory = {std::addressof(self->handler_), self, self};

        BOOST_ASIO_HANDLER_COMPLETION((*self));

        // The memory goes back before the upcall, so that the handler's next wait can have it. The bound handler may
        // own what the memory came from, and is therefore moved out first.
        work_type work(std::move(self->work_));
        boost::system::error_code error;
        if (self->aborted())
            error = boost::asio::error::operation_aborted;
        boost::asio::detail::binder1<Handler, boost::system::error_code> bound(self->handler_, error);
        memory.h = std::addressof(bound.handler_);
        memory.reset();

        if (owner)
        {
            boost::asio::detail::fenced_block fence(boost::asio::detail::fenced_block::half);
            BOOST_ASIO_HANDLER_INVOCATION_BEGIN((bound.arg1_));
            work.complete(bound, bound.handler_);
            BOOST_ASIO_HANDLER_INVOCATION_END;
        }
    }

    using work_type = boost::asio::detail::handler_work<Handler, IoExecutor>;

    Handler handler_;
    work_type work_;
};

/// Asio's service by another name: a context that has one by its own name has got it from a part of the program that
/// knows nothing of native timers.
template <class Traits>
class hosted_timer_service : public boost::asio::detail::deadline_timer_service<Traits>
{
public:
    using key_type = hosted_timer_service;
    static inline boost::asio::detail::service_id<hosted_timer_service> id;

    using boost::asio::detail::deadline_timer_service<Traits>::deadline_timer_service;
};

/// Serves the timers of one kind on a context.
template <native_timer_traits Traits>
class timer_service : public service_base<timer_service<Traits>>
{
    using hosted_service = hosted_timer_service<Traits>;
    using hosted_timer = typename hosted_service::implementation_type;
    using error_code = boost::system::error_code;
    static constexpr auto which = timer_clock<Traits>::which;

public:
    using time_type = typename Traits::time_type;
    using duration_type = typename Traits::duration_type;

    /// What a timer object holds: its own place in the wheel, or what Asio's service wants of it.
    class implementation_type
    {
    public:
        implementation_type() noexcept {}
        ~implementation_type() {}

    private:
        friend class timer_service;

        union
        {
            hosted_timer hosted;
            struct
            {
                time_type expiry;
                stock_timer timer;
            } native;
        };
    };

    explicit timer_service(boost::asio::execution_context& context) : service_base<timer_service>(context)
    {
        if (auto* const ring = uring_service::find(context))
            timers_ = &ring->timers(which);
        else
            hosted_ = &boost::asio::use_service<hosted_service>(context);
    }

    bool is_native() const noexcept { return timers_ != nullptr; }

    void shutdown() override {}

    void construct(implementation_type& impl)
    {
        if (timers_)
        {
            std::construct_at(&impl.native);
            impl.native.expiry = time_type();
        }
        else
        {
            std::construct_at(&impl.hosted);
            hosted_->construct(impl.hosted);
        }
    }

    void destroy(implementation_type& impl)
    {
        if (timers_)
        {
            cancel_all(impl);
            timers_->remove(which, impl.native.timer);
            std::destroy_at(&impl.native);
        }
        else
        {
            hosted_->destroy(impl.hosted);
            std::destroy_at(&impl.hosted);
        }
    }

    void move_construct(implementation_type& impl, implementation_type& other)
    {
        construct(impl);
        if (timers_)
        {
            timers_->move(which, other.native.timer, impl.native.timer);
            impl.native.expiry = std::exchange(other.native.expiry, time_type());
        }
        else
        {
            hosted_->move_construct(impl.hosted, other.hosted);
        }
    }

    /// What the timer object held so far is cancelled, as Asio says it is.
    void move_assign(implementation_type& impl, timer_service& other_service, implementation_type& other)
    {
        destroy(impl);
        other_service.move_construct(impl, other);
    }

    void converting_move_construct(implementation_type& impl, timer_service&, implementation_type& other)
    {
        move_construct(impl, other);
    }

    void converting_move_assign(implementation_type& impl, timer_service& other_service, implementation_type& other)
    {
        move_assign(impl, other_service, other);
    }

    std::size_t cancel(implementation_type& impl, error_code& ec)
    {
        if (!timers_)
            return hosted_->cancel(impl.hosted, ec);
        ec = {};
        return cancel_all(impl);
    }

    std::size_t cancel_one(implementation_type& impl, error_code& ec)
    {
        if (!timers_)
            return hosted_->cancel_one(impl.hosted, ec);
        BOOST_ASIO_HANDLER_OPERATION((this->context(), "deadline_timer", &impl, 0, "cancel_one"));
        ec = {};
        return timers_->cancel(impl.native.timer, 1);
    }

    time_type expiry(const implementation_type& impl) const
    {
        return timers_ ? impl.native.expiry : hosted_->expiry(impl.hosted);
    }

    time_type expires_at(const implementation_type& impl) const { return expiry(impl); }

    duration_type expires_from_now(const implementation_type& impl) const
    {
        return Traits::subtract(expiry(impl), Traits::now());
    }

    std::size_t expires_at(implementation_type& impl, const time_type& time, error_code& ec)
    {
        if (!timers_)
            return hosted_->expires_at(impl.hosted, time, ec);
        ec = {};
        // What follows, most often, is async_wait(), which asks the executor behind this.
        __builtin_prefetch(&impl + 1);
        const std::size_t cancelled = cancel_all(impl);
        impl.native.expiry = time;
        return cancelled;
    }

    std::size_t expires_after(implementation_type& impl, const duration_type& duration, error_code& ec)
    {
        return expires_at(impl, Traits::add(Traits::now(), duration), ec);
    }

    std::size_t expires_from_now(implementation_type& impl, const duration_type& duration, error_code& ec)
    {
        return expires_after(impl, duration, ec);
    }

    /// Blocks the thread until the timer expires, whether others wait for it asynchronously or not.
    void wait(implementation_type& impl, error_code& ec)
    {
        ec = {};
        const time_type until = expiry(impl);
        for (time_type now = Traits::now(); Traits::less_than(now, until) && !ec; now = Traits::now())
        {
            const auto left = Traits::to_posix_duration(Traits::subtract(until, now));
            ::timeval limit{};
            limit.tv_sec = left.total_seconds();
            limit.tv_usec = left.total_microseconds() % 1000000;
            boost::asio::detail::socket_ops::select(0, nullptr, nullptr, nullptr, &limit, ec);
        }
    }

    template <class Handler, class IoExecutor>
    void async_wait(implementation_type& impl, Handler& handler, const IoExecutor& io_executor)
    {
        if (!timers_)
            return hosted_->async_wait(impl.hosted, handler, io_executor);
        auto slot = boost::asio::get_associated_cancellation_slot(handler);

        using op = wait_handler<Handler, IoExecutor>;
        typename op::ptr memory = {std::addressof(handler), op::ptr::allocate(handler), 0};
        memory.p = new (memory.v) op(handler, io_executor);
        op& started = *memory.p;

        BOOST_ASIO_HANDLER_CREATION((this->context(), started, "deadline_timer", &impl, 0, "async_wait"));

        stock_wait_canceller* named = nullptr;
        if (slot.is_connected())
            named = &slot.template emplace<stock_wait_canceller>();
        timers_->start(which, impl.native.timer, timer_clock<Traits>::deadline(impl.native.expiry), started, named);
        memory.v = memory.p = nullptr;
    }

private:
    std::size_t cancel_all(implementation_type& impl)
    {
        if (!impl.native.timer.pending())
            return 0;
        BOOST_ASIO_HANDLER_OPERATION((this->context(), "deadline_timer", &impl, 0, "cancel"));
        return timers_->cancel(impl.native.timer, std::numeric_limits<std::size_t>::max());
    }

    stock_timers* timers_ = nullptr; // null: the context has no ring
    hosted_service* hosted_ = nullptr;
};

/// The implementation half of a stock timer: Asio's, with our service.
template <native_timer_traits Traits, class Executor>
using timer_object = boost::asio::detail::io_object_impl<timer_service<Traits>, Executor>;

} // namespace zsync::detail
