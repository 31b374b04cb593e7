// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/detail/asio.hpp>
#include <zsync/core/detail/await_frame.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/execution/context.hpp>
#include <boost/asio/query.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/system/system_error.hpp>

#include <exception>
#include <tuple>
#include <type_traits>
#include <utility>

namespace zsync
{

/// A completion token for every Asio operation: waits for it as whatever is running, and returns its values.
///
/// On a fiber it suspends the fiber; on a thread it blocks the thread; where the operation is a blocking_context's, it
/// runs that context meanwhile. Allocates nothing.
///
/// - `void(error_code, T...)`: returns nothing, the T, or a tuple of the Ts. Throws boost::system::system_error.
/// - `void(exception_ptr, T...)`: likewise; throws the exception.
/// - `void(T...)`: likewise.
/// - `use_await[ec]`, the same as `redirect_error(use_await, ec)`: stores the error, or success, and returns what the
///   operation has delivered.
/// - `as_tuple(use_await)`: returns all arguments in a tuple.
///
/// @par Errors of its own
/// They are reported like the operation's, before it is initiated: by `[ec]` also where the signature has no error, and
/// then with values made by default; if these have no default, or the signature has no error, they are thrown.
/// - resource_deadlock_would_occur: the wait could not end, because it would keep from running what is to end it. On a
///   fiber: below a handler of a stock I/O object or of a strand. On a thread: if it runs the context of the operation,
///   be that an io_context, a thread_pool or one of ours; or any, if the operation does not tell its executor.
/// - operation_aborted: the task has been cancelled; or the operation has destroyed its handler without calling it, as
///   it does when its context is destroyed.
///
/// The executor is that of the initiation or, if it has none, of the first of its arguments that has one: stock I/O
/// objects, composed operations and Beast's streams tell it. Not all operations do: what does not, on a
/// blocking_context, waits for ever unless that runs otherwise.
///
/// @par Cancellation
/// A cancellation point: see task_cancellation. A request emits cancellation_type::terminal, to which alone composed
/// operations listen unless told otherwise, in the operation's slot: at once if the operation is the calling loop's,
/// else by a function posted to its executor. An operation on a context of several threads needs a strand for that, as
/// always in Asio. The wait ends when the operation does. If it ends with operation_aborted the request has been
/// delivered; with any other result it stays pending.
///
/// @par Exceptions
/// If a function that a blocking_context runs meanwhile throws, the operation is cancelled, and the exception thrown
/// from here when it has ended; multiple_exceptions if there were several.
///
/// @tparam Executor as use_awaitable_t's: for nothing but the type of `as_default_on`.
template <class Executor = boost::asio::any_io_executor>
struct use_await_t
{
    constexpr use_await_t() = default;

    /// Makes an executor whose objects use this token where none is given.
    template <class InnerExecutor>
    struct executor_with_default : InnerExecutor
    {
        using default_completion_token_type = use_await_t;

        template <class Other>
            requires(!std::is_same_v<Other, executor_with_default> && std::is_convertible_v<Other, InnerExecutor>)
        executor_with_default(const Other& other) noexcept : InnerExecutor(other)
        {
        }
    };

    /// The type of an I/O object that uses this token where none is given.
    template <class T>
    using as_default_on_t =
        typename T::template rebind_executor<executor_with_default<typename T::executor_type>>::other;

    template <class T>
    static as_default_on_t<std::decay_t<T>> as_default_on(T&& object)
    {
        return as_default_on_t<std::decay_t<T>>(std::forward<T>(object));
    }

    /// Stores the error in `ec` instead of throwing it. `ec` must live until the operation has ended.
    constexpr boost::asio::redirect_error_t<use_await_t> operator[](boost::system::error_code& ec) const
    {
        return boost::asio::redirect_error_t<use_await_t>(*this, ec);
    }
};

inline constexpr use_await_t<> use_await;

namespace detail
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
    if (owner.fiber_of())
        return {};
    const loop* const here = loop::current();
    bool deadlock = false;
    if (target)
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

/// Initiates and waits. Returns finish(error, values), where values is null if there is an error of the token's own.
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

    executor_frame<std::remove_const_t<decltype(executor)>, Args...> frame(owner, target, executor);
    frame.run(
        [&]
        {
            std::forward<Initiation>(initiation)(await_handler<Args...>(frame),
                                                 std::forward<InitiationArgs>(args)...);
        });
    if (frame.failure) [[unlikely]]
        std::rethrow_exception(frame.failure);
    if (cancellation.due() && (!frame.values || is_abortion(*frame.values))) [[unlikely]]
        cancellation.take();
    cancellation.throw_if_unwinding();
    return frame.values ? finish(boost::system::error_code(), &*frame.values) : finish(aborted, nothing);
}

/// Takes the values from the given one on, as an initiating function returns them. Moves each once.
template <std::size_t From, class... T>
auto take_values(std::tuple<T...>& values)
{
    if constexpr (sizeof...(T) == From + 1)
        return std::get<From>(std::move(values));
    else if constexpr (sizeof...(T) > From)
        return [&]<std::size_t... Index>(std::index_sequence<Index...>)
        {
            return std::tuple<std::tuple_element_t<From + Index, std::tuple<T...>>...>(
                std::get<From + Index>(std::move(values))...);
        }(std::make_index_sequence<sizeof...(T) - From>());
}

/// Returns as many values made by default in place of those that an error has prevented, or throws it.
template <std::size_t From, class... T>
auto make_values([[maybe_unused]] const boost::system::error_code& error)
{
    using values = std::tuple<T...>;
    using returned = decltype(take_values<From>(std::declval<values&>()));
    if constexpr (std::is_void_v<returned>)
        return;
    else if constexpr (std::is_default_constructible_v<returned>)
        return returned();
    else
        return throw boost::system::system_error(error), returned(std::declval<returned>());
}

/// Throws errors.
struct throwing
{
    template <class... T>
    auto operator()(const boost::system::error_code& error, std::tuple<T...>* values) const
    {
        if (!values) [[unlikely]]
            throw boost::system::system_error(error);
        if constexpr (first_is_code<T...>)
        {
            if (const auto& ec = std::get<0>(*values))
                throw boost::system::system_error(ec);
            return take_values<1>(*values);
        }
        else if constexpr (first_is_exception<T...>)
        {
            if (std::get<0>(*values))
                std::rethrow_exception(std::get<0>(*values));
            return take_values<1>(*values);
        }
        else
            return take_values<0>(*values);
    }
};

/// Stores errors.
struct storing
{
    boost::system::error_code& ec;

    template <class... T>
    auto operator()(const boost::system::error_code& error, std::tuple<T...>* values) const
    {
        constexpr std::size_t from = first_is_code<T...> || first_is_exception<T...> ? 1 : 0;
        ec = error;
        if (!values)
            return make_values<from, T...>(error);
        if constexpr (first_is_code<T...>)
            ec = std::get<0>(*values);
        else if constexpr (first_is_exception<T...>)
        {
            if (std::get<0>(*values))
                std::rethrow_exception(std::get<0>(*values));
        }
        return take_values<from>(*values);
    }
};

/// Returns errors.
struct returning
{
    template <class... T>
    std::tuple<T...> operator()(const boost::system::error_code& error, std::tuple<T...>* values) const
    {
        if (values) [[likely]]
            return std::move(*values);
        if constexpr (std::is_default_constructible_v<std::tuple<T...>>)
        {
            std::tuple<T...> made;
            if constexpr (first_is_code<T...>)
            {
                std::get<0>(made) = error;
                return made;
            }
            else if constexpr (first_is_exception<T...>)
            {
                std::get<0>(made) = std::make_exception_ptr(boost::system::system_error(error));
                return made;
            }
        }
        throw boost::system::system_error(error);
    }
};

/// What Asio calls, for one way to report errors and one signature.
template <class Signature>
struct await_result;

template <class R, class... Args>
struct await_result<R(Args...)>
{
    template <class Finish, class... Given>
    static auto await(Finish finish, Given&&... given)
    {
        return await_operation<Args...>(finish, std::forward<Given>(given)...);
    }
};

// clang-format off
template <class R, class... Args>
struct await_result<R(Args...) &> : await_result<R(Args...)> {};
template <class R, class... Args>
struct await_result<R(Args...) &&> : await_result<R(Args...)> {};
template <class R, class... Args>
struct await_result<R(Args...) noexcept> : await_result<R(Args...)> {};
template <class R, class... Args>
struct await_result<R(Args...) & noexcept> : await_result<R(Args...)> {};
template <class R, class... Args>
struct await_result<R(Args...) && noexcept> : await_result<R(Args...)> {};
// clang-format on

} // namespace detail

} // namespace zsync

namespace boost::asio
{

template <class Executor, class Signature>
class async_result<zsync::use_await_t<Executor>, Signature>
{
public:
    template <class Initiation, class... Args>
    static auto initiate(Initiation&& initiation, const zsync::use_await_t<Executor>&, Args&&... args)
    {
        return zsync::detail::await_result<Signature>::await(
            zsync::detail::throwing(), std::forward<Initiation>(initiation), std::forward<Args>(args)...);
    }
};

template <class Executor, class Signature>
struct async_result<redirect_error_t<zsync::use_await_t<Executor>>, Signature>
{
    template <class Initiation, class... Args>
    static auto initiate(Initiation&& initiation, const redirect_error_t<zsync::use_await_t<Executor>>& token,
                         Args&&... args)
    {
        return zsync::detail::await_result<Signature>::await(
            zsync::detail::storing{token.ec_}, std::forward<Initiation>(initiation), std::forward<Args>(args)...);
    }
};

template <class Executor, class Signature>
struct async_result<as_tuple_t<zsync::use_await_t<Executor>>, Signature>
{
    template <class Initiation, class... Args>
    static auto initiate(Initiation&& initiation, const as_tuple_t<zsync::use_await_t<Executor>>&, Args&&... args)
    {
        return zsync::detail::await_result<Signature>::await(
            zsync::detail::returning(), std::forward<Initiation>(initiation), std::forward<Args>(args)...);
    }
};

} // namespace boost::asio
