// SPDX-License-Identifier: BSL-1.0
#pragma once

// The service that a stock timer finds behind it when it is native: the context's wheel if it has a ring, else Asio's
// own service.

#include <zsync/core/detail/asio.hpp>
#include <zsync/uring/detail/asio_timer_clocks.hpp>
#include <zsync/uring/detail/asio_timer_wait.hpp>
#include <zsync/uring/detail/stock_timers.hpp>
#include <zsync/uring/detail/uring_service.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/detail/deadline_timer_service.hpp>
#include <boost/asio/detail/handler_tracking.hpp>
#include <boost/asio/detail/io_object_impl.hpp>
#include <boost/asio/detail/socket_ops.hpp>
#include <boost/asio/io_context.hpp>

#include <cstdint>
#include <limits>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace zsync::detail
{

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

        // How handlers are run. Kept, so that a wait need not look at the executor, which is in another cache line.
        enum class runs : std::uint8_t
        {
            unknown,
            in_place, // the executor is io_context's own, which runs them where they are delivered
            by_executor
        };

        struct native_timer : stock_timer
        {
            runs handlers = runs::unknown;
            time_type expiry{};
        };

        union
        {
            hosted_timer hosted;
            native_timer native;
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
            timers_->remove(which, impl.native);
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
            timers_->move(which, other.native, impl.native);
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
        return timers_->cancel(impl.native, 1);
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
        if constexpr (std::is_same_v<IoExecutor, boost::asio::any_io_executor> && follows_timer<Handler>)
        {
            if (runs_in_place(impl, io_executor))
                return start(impl, handler, static_cast<boost::asio::io_context&>(this->context()).get_executor());
        }
        start(impl, handler, io_executor);
    }

private:
    static bool runs_in_place(implementation_type& impl, const boost::asio::any_io_executor& executor)
    {
        using runs = typename implementation_type::runs;
        runs& handlers = impl.native.handlers;
        if (handlers == runs::unknown)
            handlers = executor.target<boost::asio::io_context::executor_type>() ? runs::in_place : runs::by_executor;
        return handlers == runs::in_place;
    }

    template <class Handler, class IoExecutor>
    void start(implementation_type& impl, Handler& handler, const IoExecutor& io_executor)
    {
        auto slot = boost::asio::get_associated_cancellation_slot(handler);

        using op = wait_handler<Handler, IoExecutor>;
        typename op::memory memory(handler, *timers_);
        memory.p = new (memory.v) op(handler, io_executor, memory.lender);
        op& started = *memory.p;

        BOOST_ASIO_HANDLER_CREATION((this->context(), started, "deadline_timer", &impl, 0, "async_wait"));

        stock_wait_canceller* named = nullptr;
        if (slot.is_connected())
            named = &slot.template emplace<stock_wait_canceller>();
        timers_->start(which, impl.native, timer_clock<Traits>::deadline(impl.native.expiry), started, named);
        memory.v = memory.p = nullptr;
    }

    std::size_t cancel_all(implementation_type& impl)
    {
        if (!impl.native.pending())
            return 0;
        BOOST_ASIO_HANDLER_OPERATION((this->context(), "deadline_timer", &impl, 0, "cancel"));
        return timers_->cancel(impl.native, std::numeric_limits<std::size_t>::max());
    }

    stock_timers* timers_ = nullptr; // null: the context has no ring
    hosted_service* hosted_ = nullptr;
};

/// The implementation half of a stock timer: Asio's, with our service.
template <native_timer_traits Traits, class Executor>
using timer_object = boost::asio::detail::io_object_impl<timer_service<Traits>, Executor>;

} // namespace zsync::detail
