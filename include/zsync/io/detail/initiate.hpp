// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/loop_executor.hpp>
#include <zsync/core/record_operation.hpp>
#include <zsync/fiber/spawn.hpp>
#include <zsync/io/detail/blocking_waits.hpp>
#include <zsync/io/detail/drive.hpp>
#include <zsync/io/detail/fiber_waits.hpp>
#include <zsync/io/detail/handler_operation.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>

#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

namespace zsync::detail
{

/// What an operation has come to, on its way from a fiber to a handler.
template <class Value>
struct outcome
{
    boost::system::error_code error;
    std::optional<Value> value;

    template <class Steps>
    void take(Steps& from)
    {
        value.emplace(from.value());
    }

    auto arguments(const boost::asio::any_io_executor& executor) &&
    {
        if constexpr (std::is_default_constructible_v<Value>)
            return std::tuple(error, value ? std::move(*value) : Value());
        else
            return std::tuple(error, value ? std::move(*value) : Value(executor)); // a closed handle
    }
};

template <>
struct outcome<void>
{
    boost::system::error_code error;

    template <class Steps>
    static void take(Steps&) noexcept
    {
    }

    auto arguments(const boost::asio::any_io_executor&) && { return std::tuple(error); }
};

/// The handler of a fiber that has run an operation for the sake of another handler.
template <class Handler, class Value>
class outcome_handler
{
public:
    outcome_handler(Handler&& handler, const loop_executor& executor)
        : executor_(executor), work_(handler, executor_), handler_(std::move(handler))
    {
    }

    void operator()(std::exception_ptr failure, outcome<Value> result)
    {
        if (failure)
            result.error = from_errno(ENOMEM); // nothing else is thrown there
        work_.tell(std::move(handler_), std::move(result).arguments(executor_), false);
    }

private:
    boost::asio::any_io_executor executor_;
    operation_work<Handler> work_;
    Handler handler_;
};

/// Starts an operation for a completion token. What needs nothing but the engine runs in the handler's memory; what a
/// timer or a token may end, and what is more than records, has a fiber to itself; the blocking model performs it here.
class io_initiation
{
public:
    using executor_type = loop_executor;

    explicit io_initiation(const settings& with) : with_(with) {}

    executor_type get_executor() const noexcept { return executor_type(*with_.owner); }

    template <class Handler, class Steps>
    void operator()(Handler&& handler, Steps&& steps) const
    {
        start(std::decay_t<Handler>(std::forward<Handler>(handler)), std::decay_t<Steps>(std::forward<Steps>(steps)));
    }

private:
    template <class Handler, class Steps>
    void start(Handler&& handler, Steps&& steps) const
    {
        if constexpr (Steps::records_only)
        {
            if (with_.model != model::blocking && !with_.limited())
            {
                handler_operation<Steps, Handler>::start(std::move(handler), with_, std::move(steps));
                return;
            }
        }
        settings with = with_;
        if (const auto slot = boost::asio::get_associated_cancellation_slot(handler); slot.is_connected())
        {
            const cancellation_source source(with.cancellation);
            source.connect(slot);
            with.cancellation = source.token();
        }
        if (with.model == model::blocking)
            perform(std::move(handler), with, std::move(steps));
        else
            run_on_fiber(std::move(handler), with, std::move(steps));
    }

    template <class Handler, class Steps>
    void perform(Handler&& handler, const settings& with, Steps steps) const
    {
        const boost::asio::any_io_executor executor(get_executor());
        operation_work<Handler> work(handler, executor);
        outcome<typename Steps::value_type> result;
        task_cancellation of_nobody; // the caller's is for what it waits for
        blocking_waits waits(with, of_nobody);
        drive(steps, with, waits, result.error);
        result.take(steps);
        work.tell_at_once(std::move(handler), std::move(result).arguments(executor), executor);
    }

    template <class Handler, class Steps>
    void run_on_fiber(Handler&& handler, const settings& with, Steps&& steps) const
    {
        using result_type = outcome<typename Steps::value_type>;
        auto run = [with, steps = std::move(steps)]() mutable
        {
            result_type result;
            fiber_waits waits(with, agent::current());
            drive(steps, with, waits, result.error);
            result.take(steps);
            return result;
        };
        // The deadline of what runs here is for its own waits.
        const task_cancellation::own_limit none(agent::current().cancellation(), task_cancellation::no_deadline);
        spawn(get_executor(), std::move(run),
              outcome_handler<Handler, typename Steps::value_type>(std::move(handler), get_executor()));
    }

    settings with_;
};

} // namespace zsync::detail
