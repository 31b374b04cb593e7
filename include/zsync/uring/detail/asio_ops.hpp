// SPDX-License-Identifier: BSL-1.0
#pragma once

// The operations of a stock object on a ring: each is at once a handler operation of Asio's scheduler and a record of
// the engine. What the operation asks and what its handler is told is the Action; the rest is common to all.
//
// What differs between Boost's versions about operations and handlers is met here and nowhere else, but for immediate
// executors (Boost 1.82): see core/detail/immediate.hpp.

#include <zsync/core/detail/asio.hpp>
#include <zsync/core/detail/immediate.hpp>
#include <zsync/core/operation.hpp>
#include <zsync/uring/detail/asio_handler.hpp>

#include <boost/asio/detail/handler_alloc_helpers.hpp>
#include <boost/asio/detail/handler_cont_helpers.hpp>

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

/// One asynchronous operation: its record, its Action and its handler.
///
/// An Action has describe(record): says what to ask, once it is where it will stay; done_at_once(record): true if the
/// record's result is there already, without the kernel or after a call that does not wait; outcome(handler, record,
/// wanted): binds what the handler is told (wanted: false if it will not be called, because its context is being
/// destroyed).
template <class Action, class Handler, class IoExecutor>
class native_operation final : public asio_operation, public Action, operation_handler<Handler, IoExecutor>
{
public:
    BOOST_ASIO_DEFINE_HANDLER_PTR(native_operation);

    template <class... Arguments>
    native_operation(Handler& handler, const IoExecutor& io_executor, Arguments&&... arguments)
        : asio_operation(&native_operation::do_complete),
          Action(std::forward<Arguments>(arguments)...),
          operation_handler<Handler, IoExecutor>(handler, io_executor)
    {
    }

    /// Completes an operation, whose result is there, within its initiating function: hands its handler to its
    /// immediate executor, and from there to its own executor if it has one. Throws what the handler throws, if it is
    /// called here.
    static void complete_at_once(native_operation& self,
                                 const IoExecutor& io_executor) requires has_immediate_executor<Handler, IoExecutor>
    {
        ptr memory = {std::addressof(self.handler_), &self, &self};
        self.end_at_once(immediate_executor_of(self.handler_, io_executor), memory,
                         [&](Handler& handler) { return self.outcome(handler, self, true); });
    }

private:
    static void do_complete(void* owner, scheduler_operation* base, const boost::system::error_code&, std::size_t)
    {
        auto* const self = static_cast<native_operation*>(base);
        ptr memory = {std::addressof(self->handler_), self, self};
        self->end(owner, memory, [&](Handler& handler) { return self->outcome(handler, *self, owner != nullptr); });
    }
};

/// Says whether a handler's operation continues the one that is running: it is then queued where that one was.
template <class Handler>
bool is_continuation(Handler& handler)
{
    return boost_asio_handler_cont_helpers::is_continuation(handler);
}

} // namespace zsync::detail
