// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/error.hpp>
#include <zsync/sync/detail/agent_selection.hpp>
#include <zsync/sync/detail/handler_selection.hpp>
#include <zsync/sync/detail/notice.hpp>
#include <zsync/sync/detail/select_waits.hpp>

#include <boost/asio/async_result.hpp>
#include <boost/system/error_code.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <exception>
#include <tuple>
#include <type_traits>
#include <utility>

namespace zsync
{

/// What select() returns: the index of what has ended the wait, or none_selected; and what each has come to.
///
/// Of a waitable that is its `result_type`: a boost::system::result, which for all but the chosen one is the error
/// operation_aborted. Of an operation it is an optional tuple of its handler's arguments, error code and all.
template <selectable... T>
using selected = std::tuple<std::size_t, detail::selected_t<T>...>;

/// What select() takes: a point in time. Never, if that is time_point::max().
inline auto at(std::chrono::steady_clock::time_point when) noexcept
{
    return detail::timer_case(when);
}

/// The same: so long from now, from where this is called.
template <class Rep, class Period>
auto after(const std::chrono::duration<Rep, Period>& time)
{
    return detail::timer_case(detail::deadline_after(time));
}

namespace detail
{

/// Tries, waits, cancels and joins, as select() says.
template <class... T>
selected<T...> select_until(boost::system::error_code& ec, sync_clock::time_point deadline, T&&... what)
{
    ec.clear();
    agent& self = agent::current();
    agent_selection selecting(self);
    select_waits<T...> waits(selecting, what...);
    const auto end = [&](std::size_t chosen)
    { return std::tuple_cat(std::tuple<std::size_t>(chosen), waits.take(chosen)); };

    if (waits.try_now(false))
        return end(waits.chosen());
    ec = agent_wait_base::refusal(self);
    if (ec) [[unlikely]]
        return end(none_selected);
    if (waits.try_now(true))
    {
        waits.disarm();
        return end(waits.chosen());
    }

    std::exception_ptr failure;
    if constexpr ((is_operation<T> || ...))
    {
        boost::system::error_code refused;
        try
        {
            refused = waits.start_operations();
        }
        catch (...)
        {
            failure = std::current_exception();
        }
        if ((refused || failure) && selecting.claim(selection_aborted))
        {
            ec = refused;
            selecting.wake();
        }
    }

    sync_clock::time_point when;
    std::size_t at_deadline = waits.first_timer(when);
    deadline = std::min(deadline, self.cancellation().deadline());
    if (deadline < when)
    {
        when = deadline;
        at_deadline = selection_timed_out;
    }
    selecting.wait_until_decided(when, at_deadline);
    waits.disarm();
    if constexpr ((is_operation<T> || ...))
        selecting.wait_until_over();
    selecting.rethrow_failure();

    const std::size_t chosen = waits.chosen();
    if (chosen != none_selected)
    {
        ec.clear();
        return end(chosen);
    }
    if (failure)
        std::rethrow_exception(failure);
    if (selecting.decision() == selection_timed_out)
        ec = error::timed_out;
    else if (!ec)
    {
        ec = boost::asio::error::operation_aborted;
        self.cancellation().take(); // throws where the context is being destroyed
    }
    return end(none_selected);
}

} // namespace detail

/// Waits for the first of several things, takes that one, and leaves the others as they were.
///
/// @code
/// auto [which, order, closing, late] = zsync::select(orders.receiving(), stop.waiting(), zsync::after(1s));
/// if (which == 0 && order)
///     serve(*order);
/// @endcode
///
/// Suspends the fiber or blocks the thread until one of them can be had. It looks from a random one on, so
/// that none of several that can always be had is starved. What can be had at once is had: then neither a request to
/// cancel nor a deadline is looked at, and no operation started.
/// A channel that is closed counts as something that can be had: its result is error::channel_closed.
///
/// @par What is waited for
/// Waitables, and operations that can be called with a completion token: those by which it begins, `asio::deferred`, or
/// the verbs of an io. An lvalue is used where it is, and a waitable can be used again. All must outlive the call.
///
/// @par Nothing is lost
/// Of the waitables exactly one is taken: a channel hands over, or accepts, one item; an item that has not been sent is
/// still in its `sending()`. Operations cannot be left as they were: those that have been started when another ends the
/// wait are cancelled (cancellation_type::terminal) and waited for, and what they have come to stands in the result,
/// most often operation_aborted; one that has completed all the same has its values there, its bytes, its connection.
/// Look at them where they matter, whatever the index.
///
/// @par Errors, thrown as boost::system::system_error
/// - error::timed_out: the deadline of a deadline_scope has come first.
/// - operation_aborted: a request to cancel the caller has been delivered. Not if an operation has completed in spite
///   of it: then that is what is returned, and the request stays pending.
/// - resource_deadlock_would_occur: the caller must not wait here: see agent::may_wait(); or not for this operation:
///   see use_await.
/// - operation_not_supported: operations of two blocking_contexts, neither of which is running.
///
/// Throws what starting an operation throws, unless something else has ended the wait by then; what a function throws
/// that the thread has run meanwhile, for a blocking_context (the results are lost then); and std::bad_alloc.
///
/// A wait for waitables allocates nothing, but for lists: see one_of(). Cases of one channel may stand in it several
/// times, in both directions.
template <selectable... T>
    requires(sizeof...(T) != 0)
selected<T...> select(T&&... what)
{
    boost::system::error_code ec;
    auto result = detail::select_until<T...>(ec, detail::no_deadline, std::forward<T>(what)...);
    detail::throw_failed(ec, "select");
    return result;
}

/// The same; stores the error, and then the index is none_selected, or success. Operations that were cancelled have
/// their results here in any case.
template <selectable... T>
    requires(sizeof...(T) != 0)
selected<T...> select(boost::system::error_code& ec, T&&... what)
{
    return detail::select_until<T...>(ec, detail::no_deadline, std::forward<T>(what)...);
}

/// The same, no longer than to a point in time: then the index is none_selected, unless an operation has completed all
/// the same. @throws as select().
template <selectable... T>
    requires(sizeof...(T) != 0)
selected<T...> try_select_until(std::chrono::steady_clock::time_point deadline, T&&... what)
{
    boost::system::error_code ec;
    auto result = detail::select_until<T...>(ec, deadline, std::forward<T>(what)...);
    detail::in_time(ec, "try_select_until");
    return result;
}

template <class Rep, class Period, selectable... T>
    requires(sizeof...(T) != 0)
selected<T...> try_select_for(const std::chrono::duration<Rep, Period>& time, T&&... what)
{
    return try_select_until(detail::deadline_after(time), std::forward<T>(what)...);
}

/// The same; stores the error: error::timed_out, or what select() reports.
template <selectable... T>
    requires(sizeof...(T) != 0)
selected<T...> try_select_until(boost::system::error_code& ec, std::chrono::steady_clock::time_point deadline,
                                T&&... what)
{
    return detail::select_until<T...>(ec, deadline, std::forward<T>(what)...);
}

/// Takes what can be had at once, or nothing: then the index is none_selected. Never blocks; no cancellation point.
/// Operations cannot be tried. @throws std::bad_alloc.
template <waitable... T>
    requires(sizeof...(T) != 0)
selected<T...> try_select(T&&... what)
{
    detail::agent_selection selecting(agent::current());
    detail::select_waits<T...> waits(selecting, what...);
    const std::size_t chosen = waits.try_now(false) ? waits.chosen() : none_selected;
    return std::tuple_cat(std::tuple<std::size_t>(chosen), waits.take(chosen));
}

namespace detail
{

template <class Token, class... T>
auto async_select(Token&& token, T&&... what)
{
    return boost::asio::async_initiate<Token,
                                       void(boost::system::error_code, std::size_t, selected_t<std::decay_t<T>>...)>(
        []<class Handler>(Handler&& handler, std::decay_t<T>... moved)
        {
            using selecting = handler_selection<std::decay_t<Handler>, std::decay_t<T>...>;
            selecting::start(std::decay_t<Handler>(std::forward<Handler>(handler)), std::move(moved)...);
        },
        token, std::forward<T>(what)...);
}

} // namespace detail

/// Selects for a handler. The last argument is the completion token; before it stands what select() takes, which is
/// copied or moved. Signature: `void(error_code, std::size_t, selected_t<T>...)`, what select() returns after the
/// error.
///
/// Never completes inline; never blocks. All types of cancellation end the wait with operation_aborted, unless an
/// operation completes all the same; then nothing has been taken. The handler needs an associated executor, which also
/// waits for the timers; on a fiber or a thread use select(). What starting an operation throws becomes the error.
template <class... Args>
    requires(sizeof...(Args) > 1)
auto async_select(Args&&... args)
{
    constexpr std::size_t count = sizeof...(Args) - 1;
    const auto split = []<std::size_t... Index, class Tuple>(std::index_sequence<Index...>, Tuple && all)
    {
        return detail::async_select(std::get<count>(std::forward<Tuple>(all)),
                                    std::get<Index>(std::forward<Tuple>(all))...);
    };
    return split(std::make_index_sequence<count>(), std::forward_as_tuple(std::forward<Args>(args)...));
}

} // namespace zsync
