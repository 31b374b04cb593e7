// SPDX-License-Identifier: BSL-1.0
#pragma once

// A wait of a native timer, and the memory that it stands in.

#include <zsync/uring/detail/asio_handler.hpp>
#include <zsync/uring/detail/stock_timers.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/detail/bind_handler.hpp>
#include <boost/asio/detail/handler_alloc_helpers.hpp>
#include <boost/asio/error.hpp>

#include <cstddef>
#include <memory>
#include <type_traits>
#include <utility>

namespace zsync::detail
{

/// The handler may say by a function of its own, found by its argument, where its operations stand. Asio's default is
/// found by some handlers, too, those of boost::asio, and then no different: whether it is that cannot be told.
template <class Handler>
concept may_hook_allocation = requires(Handler* handler)
{
    asio_handler_allocate(std::size_t(), handler);
};

/// It is for us to say where the handler's operations stand.
template <class Handler>
constexpr bool has_default_allocation =
    !may_hook_allocation<Handler> && std::is_same_v<boost::asio::associated_allocator_t<Handler>, std::allocator<void>>;

/// The handler has no executor of its own: it is run by whatever executor its timer has.
template <class Handler>
concept follows_timer = requires
{
    typename boost::asio::associated_executor<Handler,
                                              boost::asio::any_io_executor>::asio_associated_executor_is_unspecialised;
};

/// One asynchronous wait, and its handler.
template <class Handler, class IoExecutor>
class wait_handler final : public wait_operation, operation_handler<Handler, IoExecutor>
{
    BOOST_ASIO_DEFINE_HANDLER_PTR(wait_handler);

public:
    /// The memory of a wait, and the wait if it has been made: both end with this. Asio's, or a block of the timers'.
    struct memory
    {
        Handler* h;
        wait_handler* v = nullptr;
        wait_handler* p = nullptr;
        stock_timers* lender = nullptr; // null: Asio's

        memory(Handler& handler, stock_timers& timers) : h(std::addressof(handler))
        {
            if constexpr (has_default_allocation<Handler> && sizeof(wait_handler) <= wait_memory::block_bytes &&
                          alignof(wait_handler) <= wait_memory::block_bytes)
            {
                v = static_cast<wait_handler*>(timers.take_memory());
                lender = v ? &timers : nullptr;
            }
            if (!v)
                v = ptr::allocate(handler);
        }

        explicit memory(wait_handler& made) : h(std::addressof(made.handler_)), v(&made), p(&made), lender(made.lender_)
        {
        }

        memory(const memory&) = delete;
        memory& operator=(const memory&) = delete;
        ~memory() { reset(); }

        void reset()
        {
            if (p)
                std::exchange(p, nullptr)->~wait_handler();
            if (!v)
                return;
            if (lender)
                lender->give_back(v);
            else
                ptr{h, v, nullptr}.reset();
            v = nullptr;
        }
    };

    wait_handler(Handler& handler, const IoExecutor& io_executor,
                 stock_timers* lender) noexcept(std::is_nothrow_move_constructible_v<Handler>)
        : wait_operation(&wait_handler::do_complete),
          operation_handler<Handler, IoExecutor>(handler, io_executor),
          lender_(lender)
    {
    }

private:
    static void do_complete(void* owner, scheduler_operation* base, const boost::system::error_code&, std::size_t)
    {
        auto& self = *static_cast<wait_handler*>(base);
        memory held(self);
        self.end(owner, held,
                 [aborted = self.aborted()](Handler& handler)
                 {
                     boost::system::error_code error;
                     if (aborted)
                         error = boost::asio::error::operation_aborted;
                     return boost::asio::detail::binder1<Handler, boost::system::error_code>(handler, error);
                 });
    }

    stock_timers* const lender_; // of the memory that this stands in; null: it is Asio's
};

} // namespace zsync::detail
