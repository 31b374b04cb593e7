// SPDX-License-Identifier: BSL-1.0
#pragma once

// The operations of a stock object on a ring: each is at once a handler operation of Asio's scheduler and a record of
// the engine. What the operation asks and what its handler is told is the Action; the rest is common to all.
//
// What differs between Boost's versions about operations and handlers is met here and nowhere else. Those that complete
// at once (bind_immediate_executor, Boost 1.82) are unknown to native operations: these never complete inside the
// initiating function.

#include <zsync/core/detail/asio.hpp>
#include <zsync/core/operation.hpp>

#include <boost/asio/detail/fenced_block.hpp>
#include <boost/asio/detail/handler_alloc_helpers.hpp>
#include <boost/asio/detail/handler_cont_helpers.hpp>
#include <boost/asio/detail/handler_tracking.hpp>
#include <boost/asio/detail/handler_work.hpp>

#include <memory>
#include <new>
#include <utility>

namespace zsync::detail
{

/// A handler operation of Asio's scheduler that is also a record of an engine whose turns Asio's scheduler takes.
class asio_operation : public scheduler_operation, public operation
{
protected:
    explicit asio_operation(func_type on_run) noexcept : scheduler_operation(on_run)
    {
        on_complete = [](operation& self, void* sink) noexcept
        { static_cast<scheduler_queue*>(sink)->push(static_cast<asio_operation*>(&self)); };
    }

    ~asio_operation() = default;
};

/// One asynchronous operation: its record, its Action, its handler and the work that keeps its executors alive.
///
/// An Action has describe(record): says what to ask, once it is where it will stay; done_at_once(record): true if the
/// record's result is there already, without the kernel or after a call that does not wait; outcome(handler, record,
/// wanted): binds what the handler is told (wanted: false if it will not be called, because its context is being
/// destroyed).
template <class Action, class Handler, class IoExecutor>
class native_operation final : public asio_operation, public Action
{
public:
    BOOST_ASIO_DEFINE_HANDLER_PTR(native_operation);

    template <class... Arguments>
    native_operation(Handler& handler, const IoExecutor& io_executor, Arguments&&... arguments)
        : asio_operation(&native_operation::do_complete),
          Action(std::forward<Arguments>(arguments)...),
          handler_(std::move(handler)),
          work_(handler_, io_executor)
    {
    }

private:
    static void do_complete(void* owner, scheduler_operation* base, const boost::system::error_code&, std::size_t)
    {
        auto* const self = static_cast<native_operation*>(base);
        ptr memory = {std::addressof(self->handler_), self, self};

        BOOST_ASIO_HANDLER_COMPLETION((*self));

        // The memory goes back before the upcall, so that the handler's next operation can have it. The bound handler
        // may own what the memory came from, and is therefore moved out first.
        work_type work(std::move(self->work_));
        auto bound = self->outcome(self->handler_, *self, owner != nullptr);
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

/// Says whether a handler's operation continues the one that is running: it is then queued where that one was.
template <class Handler>
bool is_continuation(Handler& handler)
{
    return boost_asio_handler_cont_helpers::is_continuation(handler);
}

} // namespace zsync::detail
