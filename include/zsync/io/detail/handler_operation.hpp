// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/loop_executor.hpp>
#include <zsync/core/record_operation.hpp>
#include <zsync/io/detail/steps.hpp>

#include <boost/asio/error.hpp>

#include <memory>
#include <new>
#include <tuple>
#include <type_traits>
#include <utility>

namespace zsync::detail
{

/// Takes the steps of an operation for a handler, record by record. It lives in the handler's memory, which is free
/// again before the handler is called; the handler is always posted.
///
/// Nothing but the engine ends it early: for what a timer, a token or a slot may end see io_initiation. A context that
/// is destroyed with the operation in flight destroys the handler without calling it.
template <class Steps, class Handler>
class handler_operation final : public operation
{
public:
    static void start(Handler&& handler, const settings& with, Steps&& steps)
    {
        auto memory = memory_of<Handler, handler_operation>(handler);
        using traits = std::allocator_traits<decltype(memory)>;
        handler_operation* const self = traits::allocate(memory, 1);
        try
        {
            new (self) handler_operation(std::move(handler), with, std::move(steps));
        }
        catch (...)
        {
            traits::deallocate(memory, self, 1);
            throw;
        }
        self->begin();
    }

private:
    handler_operation(Handler&& handler, const settings& with, Steps&& steps)
        : with_(with),
          work_(handler, loop_executor(*with.owner)),
          handler_(std::move(handler)),
          steps_(std::move(steps))
    {
        on_complete = [](operation& self, void*) noexcept { static_cast<handler_operation&>(self).completed(); };
    }

    void begin() noexcept
    {
        if (const int refused = steps_.enter(with_))
            return tell(from_errno(refused), false);
        take_step(false, [this] { return steps_.begin(*this, with_); });
    }

    // An engine that is being shut down, outside the loop's run function, takes nothing more.
    void completed() noexcept
    {
        if (result == -ECANCELED)
            return end(boost::asio::error::operation_aborted, true);
        take_step(true, [this] { return steps_.proceed(*this, with_); });
    }

    template <class Step>
    void take_step(bool from_turn, Step step) noexcept
    {
        try
        {
            if (step() == next::finished)
                return end(steps_.error(), from_turn);
            if (from_turn && !with_.owner->running_here())
                return end(boost::asio::error::operation_aborted, true);
            result = 0;
            with_.owner->io().start(*this);
        }
        catch (const std::bad_alloc&)
        {
            end(from_errno(ENOMEM), from_turn);
        }
    }

    void end(const boost::system::error_code& ec, bool from_turn) noexcept
    {
        steps_.leave();
        tell(ec, from_turn);
    }

    // Ends the process if there is no memory to queue the handler with: there is nobody left to be told.
    void tell(const boost::system::error_code& ec, bool from_turn) noexcept
    {
        auto results = [&]
        {
            if constexpr (std::is_void_v<typename Steps::value_type>)
                return std::tuple(ec);
            else
                return std::tuple(ec, steps_.value());
        }();
        auto memory = memory_of<Handler, handler_operation>(handler_);
        Handler handler(std::move(handler_));
        operation_work<Handler> work(std::move(work_));
        this->~handler_operation();
        std::allocator_traits<decltype(memory)>::deallocate(memory, this, 1);
        work.tell(std::move(handler), std::move(results), from_turn);
    }

    settings with_;
    operation_work<Handler> work_;
    Handler handler_;
    Steps steps_;
};

} // namespace zsync::detail
