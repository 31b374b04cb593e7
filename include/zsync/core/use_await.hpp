// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/detail/await_operation.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
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
///   fiber: below a handler of a stock I/O object or of a strand; or if a run function of the operation's context has
///   called, on this thread, the one that runs the fiber. On a thread: if it runs the context of the operation, be that
///   an io_context, a thread_pool or one of ours; or any, if the operation does not tell its executor.
/// - operation_aborted: the task has been cancelled; or the operation has destroyed its handler without calling it, as
///   it does when its context is destroyed.
/// - error::timed_out: the deadline of a deadline_scope has come, and the operation ended with operation_aborted.
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
/// delivered; with any other result it stays pending. A slot that is bound to the token works beside that: what its
/// signal emits, of whatever type, goes on to the operation, and is no request to the task.
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

/// Takes the values from the given one on, as an initiating function returns them. Moves each once.
template <std::size_t From, class... T>
auto take_values(std::tuple<T...>& values)
{
    if constexpr (sizeof...(T) == From + 1)
        return std::get<From>(std::move(values));
    else if constexpr (sizeof...(T) > From)
    {
        const auto take = [&]<std::size_t... Index>(std::index_sequence<Index...>)
        {
            return std::tuple<std::tuple_element_t<From + Index, std::tuple<T...>>...>(
                std::get<From + Index>(std::move(values))...);
        };
        return take(std::make_index_sequence<sizeof...(T) - From>());
    }
}

/// Returns as many values made by default in place of those that an error has prevented, or throws it.
template <std::size_t From, class... T>
auto make_values([[maybe_unused]] const boost::system::error_code& error)
    -> decltype(take_values<From>(std::declval<std::tuple<T...>&>()))
{
    using returned = decltype(take_values<From>(std::declval<std::tuple<T...>&>()));
    if constexpr (std::is_void_v<returned>)
        return;
    else if constexpr (std::is_default_constructible_v<returned>)
        return returned();
    else
        throw boost::system::system_error(error);
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

/// How the tokens report errors.
template <class Executor>
throwing reports(const use_await_t<Executor>&) noexcept
{
    return {};
}

template <class Executor>
storing reports(const boost::asio::redirect_error_t<use_await_t<Executor>>& token) noexcept
{
    return {token.ec_};
}

template <class Executor>
returning reports(const boost::asio::as_tuple_t<use_await_t<Executor>>&) noexcept
{
    return {};
}

/// The same, where a slot was bound to the token.
template <class Report>
struct with_slot : Report
{
    boost::asio::cancellation_slot slot;
};

template <class Token>
concept awaiting_token = requires(const Token& token)
{
    detail::reports(token);
};

} // namespace detail

} // namespace zsync

namespace boost::asio
{

template <class Executor, class Signature>
class async_result<zsync::use_await_t<Executor>, Signature>
{
public:
    template <class Initiation, class Token, class... Args>
    static auto initiate(Initiation&& initiation, const Token& token, Args&&... args)
    {
        return zsync::detail::await_result<Signature>::await(
            zsync::detail::reports(token), std::forward<Initiation>(initiation), std::forward<Args>(args)...);
    }
};

template <class Executor, class Signature>
struct async_result<redirect_error_t<zsync::use_await_t<Executor>>, Signature>
    : async_result<zsync::use_await_t<Executor>, Signature>
{
};

template <class Executor, class Signature>
struct async_result<as_tuple_t<zsync::use_await_t<Executor>>, Signature>
    : async_result<zsync::use_await_t<Executor>, Signature>
{
};

/// A slot that is bound to the token ends the operation as well as a request to the task, not in its place.
template <zsync::detail::awaiting_token Token, class Signature>
struct async_result<cancellation_slot_binder<Token, cancellation_slot>, Signature>
{
    template <class Initiation, class Bound, class... Args>
    static auto initiate(Initiation&& initiation, const Bound& token, Args&&... args)
    {
        using report = decltype(zsync::detail::reports(token.get()));
        return zsync::detail::await_result<Signature>::await(
            zsync::detail::with_slot<report>{zsync::detail::reports(token.get()), token.get_cancellation_slot()},
            std::forward<Initiation>(initiation), std::forward<Args>(args)...);
    }
};

} // namespace boost::asio
