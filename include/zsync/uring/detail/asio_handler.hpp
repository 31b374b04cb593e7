// SPDX-License-Identifier: BSL-1.0
#pragma once

// The handler's half of every operation of a stock object, and how it ends.

#include <zsync/core/detail/asio.hpp>

#include <boost/asio/detail/fenced_block.hpp>
#include <boost/asio/detail/handler_tracking.hpp>
#include <boost/asio/detail/handler_work.hpp>
#include <boost/asio/dispatch.hpp>

#include <memory>
#include <utility>

namespace zsync::detail
{

/// The handler of an operation, and the work that keeps its executors alive. For an operation to derive from.
template <class Handler, class IoExecutor>
class operation_handler
{
protected:
    operation_handler(Handler& handler, const IoExecutor& io_executor)
        : handler_(std::move(handler)), work_(handler_, io_executor)
    {
    }

    ~operation_handler() = default;

    /// Ends the operation that this is a part of. `bind`: returns a handler and binds to it what it is told. `memory`
    /// holds the operation as Asio's handler pointers do; it is given back before the upcall, so that the handler's
    /// next operation can have it. `owner`: null if the handler is not to be called.
    template <class Memory, class Bind>
    void end(void* owner, Memory& memory, Bind bind)
    {
        BOOST_ASIO_HANDLER_COMPLETION((*memory.p));

        // The bound handler may own what the memory came from, and is therefore moved out first.
        work_type work(std::move(work_));
        auto bound = bind(handler_);
        memory.h = std::addressof(bound.handler_);
        memory.reset();
        memory.h = nullptr; // the caller's, and outlives it

        if (owner)
        {
            boost::asio::detail::fenced_block fence(boost::asio::detail::fenced_block::half);
            BOOST_ASIO_HANDLER_INVOCATION_BEGIN((bound.arg1_));
            work.complete(bound, bound.handler_);
            BOOST_ASIO_HANDLER_INVOCATION_END;
        }
    }

    /// The same within the initiating function. The handler goes to the executor `immediate`, and from there to its own
    /// executor if it has one; throws what the handler throws, if it is called here.
    template <class Immediate, class Memory, class Bind>
    void end_at_once(const Immediate& immediate, Memory& memory, Bind bind)
    {
        BOOST_ASIO_HANDLER_COMPLETION((*memory.p));

        [[maybe_unused]] const work_type work(std::move(work_));
        auto bound = bind(handler_);
        memory.h = std::addressof(bound.handler_);
        memory.reset();
        memory.h = nullptr; // the caller's, and outlives it

        BOOST_ASIO_HANDLER_INVOCATION_BEGIN((bound.arg1_));
        boost::asio::dispatch(immediate, std::move(bound));
        BOOST_ASIO_HANDLER_INVOCATION_END;
    }

    using work_type = boost::asio::detail::handler_work<Handler, IoExecutor>;

    Handler handler_;
    [[no_unique_address]] work_type work_;
};

} // namespace zsync::detail
