// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/loop_executor.hpp>
#include <zsync/core/record_operation.hpp>
#include <zsync/io/detail/cancel_steps.hpp>
#include <zsync/io/detail/steps.hpp>

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/error.hpp>

#include <memory>
#include <new>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

namespace zsync::detail
{

/// Takes the steps of an operation for a handler, record by record. It lives in the handler's memory, which is free
/// again before the handler is called. The handler is posted, unless it has an immediate executor: an operation that
/// completes within start() hands it to that, and tries to.
///
/// The handler's slot ends it early; for what a timer or a token may end see io_initiation. A context that is destroyed
/// with the operation in flight destroys the handler without calling it.
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
    static constexpr bool is_immediate = has_immediate_executor<Handler, boost::asio::any_io_executor>;

    handler_operation(Handler&& handler, const settings& with, Steps&& steps)
        : with_(with),
          work_(handler, loop_executor(*with.owner)),
          handler_(std::move(handler)),
          steps_(std::move(steps))
    {
        on_complete = [](operation& self, void*) noexcept { static_cast<handler_operation&>(self).completed(); };
    }

    void begin()
    {
        if (const int refused = steps_.enter(with_))
            return tell_at_once(from_errno(refused));
        ending ended = step([this] { return steps_.begin(*this, with_); });
        if constexpr (is_immediate)
            while (!ended && with_.owner->io().perform_now(*this))
                ended = step([this] { return steps_.proceed(*this, with_); });
        if (ended)
        {
            steps_.leave();
            return tell_at_once(*ended);
        }
        start_first();
    }

    // An engine that is being shut down, outside the loop's run function, takes nothing more.
    void completed() noexcept
    {
        if (result == -ECANCELED)
            return end(boost::asio::error::operation_aborted, true);
        if (const ending ended = step([this] { return steps_.proceed(*this, with_); }))
            end(*ended, true);
        else if (!with_.owner->running_here())
            end(boost::asio::error::operation_aborted, true);
        else if (canceller_ && canceller_->requested())
            end(boost::asio::error::operation_aborted, true);
        else
            go_on();
    }

    using ending = std::optional<boost::system::error_code>;

    // Takes a step. Returns what the operation has ended with, if it was the last.
    template <class Step>
    ending step(Step take) noexcept
    {
        try
        {
            if (take() == next::finished)
                return steps_.error();
            result = 0;
            return std::nullopt;
        }
        catch (const std::bad_alloc&)
        {
            return from_errno(ENOMEM);
        }
    }

    void start_first() noexcept
    {
        try
        {
            // The slot first: another thread may complete the operation before start() is back.
            engine& io = with_.owner->io();
            if (auto slot = boost::asio::get_associated_cancellation_slot(handler_); slot.is_connected())
            {
                canceller_ = &slot.template emplace<cancel_steps>(io);
                io.start(*this, canceller_->first());
            }
            else
                io.start(*this);
        }
        catch (const std::bad_alloc&)
        {
            end(from_errno(ENOMEM), false);
        }
    }

    void go_on() noexcept
    {
        try
        {
            operation_id step;
            with_.owner->io().start(*this, canceller_ ? &step : nullptr);
            if (canceller_) // still there: a step that a turn has started ends in a later turn
                canceller_->go_on(step);
        }
        catch (const std::bad_alloc&)
        {
            end(from_errno(ENOMEM), true);
        }
    }

    // Ends the process if there is no memory to queue the handler with: there is nobody left to be told.
    void end(const boost::system::error_code& ec, bool from_turn) noexcept
    {
        steps_.leave();
        auto out = take_out(ec);
        out.work.tell(std::move(out.handler), std::move(out.results), from_turn);
    }

    // Within the initiating function.
    void tell_at_once(const boost::system::error_code& ec) noexcept(!is_immediate)
    {
        const boost::asio::any_io_executor io_executor(loop_executor(*with_.owner));
        auto out = take_out(ec);
        out.work.tell_at_once(std::move(out.handler), std::move(out.results), io_executor);
    }

    auto results(const boost::system::error_code& ec) noexcept
    {
        if constexpr (std::is_void_v<typename Steps::value_type>)
            return std::tuple(ec);
        else
            return std::tuple(ec, steps_.value());
    }

    // What is left of an operation whose memory has been given back.
    template <class Results>
    struct remains
    {
        Results results;
        Handler handler;
        operation_work<Handler> work;
    };

    auto take_out(const boost::system::error_code& ec) noexcept
    {
        auto memory = memory_of<Handler, handler_operation>(handler_);
        remains<decltype(results(ec))> out{results(ec), std::move(handler_), std::move(work_)};
        this->~handler_operation();
        std::allocator_traits<decltype(memory)>::deallocate(memory, this, 1);
        return out;
    }

    settings with_;
    operation_work<Handler> work_;
    Handler handler_;
    Steps steps_;
    cancel_steps* canceller_ = nullptr; // in the handler's slot
};

} // namespace zsync::detail
