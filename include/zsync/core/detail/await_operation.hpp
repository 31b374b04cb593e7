// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/detail/asio.hpp>
#include <zsync/core/detail/await_frame.hpp>
#include <zsync/core/detail/run_frame.hpp>
#include <zsync/core/error.hpp>

#include <boost/asio/execution/context.hpp>
#include <boost/asio/query.hpp>
#include <boost/system/system_error.hpp>

#include <exception>
#include <tuple>
#include <type_traits>
#include <utility>

namespace zsync::detail
{

// The executor of an initiation. Asio's token adapters wrap it, and hand on no executor.
template <class Initiation>
auto executor_of(const Initiation& initiation)
{
    if constexpr (requires { initiation.get_executor(); })
        return initiation.get_executor();
    else if constexpr (requires { initiation.initiation_; })
        return executor_of(initiation.initiation_);
    else
        return no_executor();
}

template <class Initiation, class... Args>
auto executor_of(const Initiation& initiation, const Args&... args)
{
    if constexpr (!std::is_same_v<decltype(executor_of(initiation)), no_executor>)
        return executor_of(initiation);
    else
    {
        const auto among = [](const auto& self, const auto& first, const auto&... rest)
        {
            if constexpr (requires { first.get_executor(); })
                return first.get_executor();
            else if constexpr (requires { first->get_executor(); })
                return first->get_executor();
            else if constexpr (sizeof...(rest) != 0)
                return self(self, rest...);
            else
                return no_executor();
        };
        return among(among, args...);
    }
}

template <class Executor>
boost::asio::execution_context* context_of(const Executor& executor)
{
    if constexpr (boost::asio::can_query<const Executor&, boost::asio::execution::context_t>::value)
        return &boost::asio::query(executor, boost::asio::execution::context);
    else if constexpr (requires { executor.context(); })
        return &executor.context();
    else
        return nullptr;
}

/// Returns the loop of an operation's context, or null. Costs a lock if it is not the calling loop's.
inline loop* loop_of(boost::asio::execution_context* context)
{
    loop* const here = loop::current();
    return !context ? nullptr : here && &here->context() == context ? here : loop::of(*context);
}

/// Says why an agent must not wait for an operation of a context; null: it does not tell its context.
inline boost::system::error_code why_not_wait(const agent& owner, boost::asio::execution_context* context,
                                              const loop* target)
{
    if (const auto refusal = owner.may_wait()) [[unlikely]]
        return refusal;
    const loop* const here = loop::current();
    bool deadlock = false;
    if (owner.fiber_of())
        deadlock = target != owner.fiber_of() && waits_for_what_is_below(owner, context, target);
    else if (waits_for_what_is_below(owner, context, target))
        deadlock = true;
    else if (target)
        deadlock = target == here && !target->is_driven_by_waiting();
    else if (context)
        deadlock = inside_asio_run() && can_dispatch(*context);
    else
        deadlock = here ? !here->is_driven_by_waiting() : inside_asio_run();
    return deadlock ? make_error_code(boost::system::errc::resource_deadlock_would_occur) : boost::system::error_code();
}

template <class... Args>
using first_of = std::tuple_element_t<0, std::tuple<std::decay_t<Args>..., void>>;

template <class... Args>
inline constexpr bool first_is_code = std::is_same_v<first_of<Args...>, boost::system::error_code>;

template <class... Args>
inline constexpr bool first_is_exception = std::is_same_v<first_of<Args...>, std::exception_ptr>;

inline bool is_abortion(const std::exception_ptr& exception) noexcept
{
    try
    {
        if (exception)
            std::rethrow_exception(exception);
    }
    catch (const boost::system::system_error& e)
    {
        return e.code() == boost::asio::error::operation_aborted;
    }
    catch (...)
    {
    }
    return false;
}

template <class... T>
bool is_abortion(const std::tuple<T...>& values) noexcept
{
    if constexpr (first_is_code<T...>)
        return std::get<0>(values) == boost::asio::error::operation_aborted;
    else if constexpr (first_is_exception<T...>)
        return is_abortion(std::get<0>(values));
    else
        return false;
}

/// Puts a time-out in the place of what says that the operation was aborted.
template <class... T>
void set_timed_out(std::tuple<T...>& values)
{
    const boost::system::error_code timed_out = error::timed_out;
    if constexpr (first_is_code<T...>)
        std::get<0>(values) = timed_out;
    else if constexpr (first_is_exception<T...>)
        std::get<0>(values) = std::make_exception_ptr(boost::system::system_error(timed_out));
}

/// Initiates and waits. Returns finish(error, values), where values is null if there is an error of the token's own. If
/// `finish` has a slot, what its signal emits goes on to the operation.
template <class... Args, class Finish, class Initiation, class... InitiationArgs>
auto await_operation(Finish finish, Initiation&& initiation, InitiationArgs&&... args)
{
    using values = typename value_frame<Args...>::values_type;
    constexpr values* nothing = nullptr;

    agent& owner = agent::current();
    const auto executor = executor_of(initiation, args...);
    boost::asio::execution_context* const context = context_of(executor);
    loop* const target = loop_of(context);
    if (const auto refusal = why_not_wait(owner, context, target)) [[unlikely]]
        return finish(refusal, nothing);

    const boost::system::error_code aborted = boost::asio::error::operation_aborted;
    task_cancellation& cancellation = owner.cancellation();
    if (cancellation.take()) [[unlikely]]
        return finish(aborted, nothing);

    executor_frame<std::remove_const_t<decltype(executor)>, Args...> frame(
        owner, target, type_text<std::remove_cvref_t<Initiation>>(), executor);
    if constexpr (requires { finish.slot; })
        frame.follow(finish.slot);
    frame.run(
        [&]
        {
            std::forward<Initiation>(initiation)(await_handler<Args...>(frame), std::forward<InitiationArgs>(args)...);
        });
    if (frame.failure) [[unlikely]]
        std::rethrow_exception(frame.failure);
    const bool may_be_ours = cancellation.due() || frame.expired();
    if (may_be_ours && (!frame.values || is_abortion(*frame.values))) [[unlikely]]
    {
        if (!cancellation.take() && frame.expired())
        {
            if (!frame.values)
                return finish(error::timed_out, nothing);
            set_timed_out(*frame.values);
        }
    }
    cancellation.throw_if_unwinding();
    return frame.values ? finish(boost::system::error_code(), &*frame.values) : finish(aborted, nothing);
}

} // namespace zsync::detail
