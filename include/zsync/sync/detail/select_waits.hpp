// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/detail/operation_wait.hpp>
#include <zsync/core/waitable.hpp>
#include <zsync/sync/detail/timer_case.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <functional>
#include <limits>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace zsync
{

namespace detail
{

/// A list of operations: see one_of().
template <class T>
concept operation_list = requires
{
    typename std::remove_cvref_t<T>::operations_wait;
};

} // namespace detail

/// What can stand in a select(): a waitable (`channel.receiving()`, `event.waiting()`, `after(5ms)`), an operation that
/// can be called with a completion token (`timer.async_wait(asio::deferred)`, `io.read(peer, data)`), or a list of
/// things of one of these kinds (`one_of(cases)`).
template <class T>
concept selectable = waitable<T> || detail::deferred_operation<T> || detail::operation_list<T>;

/// In place of an index: none of what was waited for has ended the wait.
inline constexpr std::size_t none_selected = std::numeric_limits<std::size_t>::max();

namespace detail
{

/// Why a selection has ended otherwise, as its decision.
inline constexpr std::size_t selection_aborted = selection::undecided - 1;
inline constexpr std::size_t selection_timed_out = selection::undecided - 2;

/// A decision for one of a list: the list's index, and the place in it. For all else it is the index.
inline constexpr unsigned index_bits = 8;
constexpr std::size_t decision_of(std::size_t index, std::size_t place) noexcept
{
    return index | place << index_bits;
}
constexpr std::size_t index_in(std::size_t decision) noexcept
{
    return decision & ((std::size_t{1} << index_bits) - 1);
}
constexpr std::size_t place_in(std::size_t decision) noexcept
{
    return decision >> index_bits;
}

/// A wait that is for the things in a list, of which each has a lock.
template <class W>
concept list_of_waits = requires(W& wait, std::vector<light_mutex*>& locks)
{
    wait.add_locks(locks);
};

/// Returns where a selection of so many begins to look: at random, so that none of several that are always ready
/// starves another.
std::size_t first_to_try(std::size_t count) noexcept;

template <class T>
struct wait_for
{
    using type = operation_wait<T>;
    using result_type = typename type::result_type;
};

template <waitable T>
struct wait_for<T>
{
    using type = typename std::remove_cvref_t<T>::wait_type;
    using result_type = typename std::remove_cvref_t<T>::result_type;
};

template <operation_list T>
struct wait_for<T>
{
    using type = typename std::remove_cvref_t<T>::operations_wait;
    using result_type = typename std::remove_cvref_t<T>::result_type;
};

template <class T>
using wait_for_t = typename wait_for<T>::type;

/// What a T in a select() comes to.
template <class T>
using selected_t = typename wait_for<T>::result_type;

template <class T>
inline constexpr bool is_operation = !waitable<T>;

template <class T>
inline constexpr bool is_timer = std::is_same_v<wait_for_t<T>, timer_case::wait_type>;

/// Holds several locks, each once. Always taken in the same order, so that selections don't block each other for ever.
/// Locks is an array or a vector of pointers, null among them perhaps.
template <class Locks>
class locks_held
{
public:
    explicit locks_held(Locks locks) noexcept : locks_(std::move(locks))
    {
        std::sort(locks_.begin(), locks_.end(), std::less<>());
        end_ = std::unique(locks_.begin(), locks_.end());
        for (auto lock = locks_.begin(); lock != end_; ++lock)
            if (*lock)
                (*lock)->lock();
    }

    ~locks_held()
    {
        for (auto lock = locks_.begin(); lock != end_; ++lock)
            if (*lock)
                (*lock)->unlock();
    }

    locks_held(const locks_held&) = delete;
    locks_held& operator=(const locks_held&) = delete;

private:
    Locks locks_;
    typename Locks::iterator end_;
};

template <std::size_t Index, class T>
struct select_leaf
{
    select_leaf(T& what, selection& of) : wait_(what, of, Index) {}

    wait_for_t<T> wait_;
};

/// The waits of a selection, and what is done with all of them. T is an rvalue's type, or an lvalue reference.
template <class Indices, class... T>
class select_waits_at;

template <std::size_t... Index, class... T>
class select_waits_at<std::index_sequence<Index...>, T...> : select_leaf<Index, T>...
{
    static_assert(sizeof...(T) < index_in(selection_timed_out), "more than a decision can name: use one_of()");

public:
    using results_type = std::tuple<selected_t<T>...>;

    explicit select_waits_at(selection& of, T&... what) : select_leaf<Index, T>(what, of)..., of_(of) {}

    /// Decides the selection by what can be had at once; else, if that is wanted, arms all. True: decided. Throws what
    /// trying throws, and then nothing has been taken.
    bool try_now(bool or_arm)
    {
        bool done = false;
        {
            const locks_held held(locks());
            const std::size_t first = first_to_try(sizeof...(T));
            const auto decided = [&](auto attempt)
            {
                for (std::size_t i = 0; i != sizeof...(T); ++i)
                {
                    const std::size_t index = first + i < sizeof...(T) ? first + i : first + i - sizeof...(T);
                    if (((Index == index && attempt(leaf<Index>()) && claim(index, leaf<Index>())) || ...))
                        return true;
                }
                return false;
            };
            done = decided([](auto& wait) { return wait.try_now(); });
            if (!done && or_arm)
                done = decided([](auto& wait) { return wait.arm(); });
        }
        (leaf<Index>().settle(), ...);
        return done;
    }

    /// Starts the operations, one after the other, as long as nothing has ended the selection. Returns why one cannot
    /// be part of it. Throws what starting one throws.
    boost::system::error_code start_operations()
    {
        boost::system::error_code refused;
        const auto start = [&](std::size_t index, auto& wait)
        {
            if constexpr (
                requires { wait.start(); } || requires { wait.start(failed_); })
                if (!refused && of_.decision() == selection::undecided)
                {
                    failed_ = index;
                    if constexpr (requires { wait.start(failed_); })
                        refused = wait.start(failed_);
                    else
                        refused = wait.start();
                }
        };
        (start(Index, leaf<Index>()), ...);
        if (!refused)
            failed_ = none_selected;
        return refused;
    }

    /// The earliest of the timers, by its index; none_selected: there is none, or none that ever expires.
    std::size_t first_timer(sync_clock::time_point& when) const noexcept
    {
        std::size_t first = none_selected;
        when = no_deadline;
        const auto look = [&](std::size_t index, const auto& wait)
        {
            if constexpr (requires { wait.when(); })
                if (wait.when() < when)
                {
                    when = wait.when();
                    first = index;
                }
        };
        (look(Index, static_cast<const select_leaf<Index, T>&>(*this).wait_), ...);
        return first;
    }

    /// Leaves all; operations are asked to end. The selection has been decided.
    void disarm() noexcept { (leaf<Index>().disarm(), ...); }

    /// The index of what has ended the selection, when all operations are over: the decision's; or, if that was none of
    /// these, or the operation that could not be started, the first operation's that has completed all the same.
    std::size_t chosen() const noexcept
    {
        if (const std::size_t decision = of_.decision(); index_in(decision) < sizeof...(T) && decision != failed_)
            return index_in(decision);
        std::size_t chosen = none_selected;
        const auto look = [&](std::size_t index, const auto& wait)
        {
            if constexpr (requires { wait.has_completed(); })
                if (chosen == none_selected && wait.has_completed())
                    chosen = index;
        };
        (look(Index, static_cast<const select_leaf<Index, T>&>(*this).wait_), ...);
        return chosen;
    }

    results_type take(std::size_t chosen) { return results_type(leaf<Index>().take(Index == chosen)...); }

private:
    template <std::size_t I>
    auto& leaf() noexcept
    {
        return static_cast<select_leaf<I, std::tuple_element_t<I, std::tuple<T...>>>&>(*this).wait_;
    }

    auto locks()
    {
        if constexpr ((list_of_waits<wait_for_t<T>> || ...))
        {
            std::vector<light_mutex*> all;
            const auto add = [&](auto& wait)
            {
                if constexpr (requires { wait.add_locks(all); })
                    wait.add_locks(all);
                else
                    all.push_back(wait.lock());
            };
            (add(leaf<Index>()), ...);
            return all;
        }
        else
            return std::array<light_mutex*, sizeof...(T)>{leaf<Index>().lock()...};
    }

    template <class Wait>
    bool claim(std::size_t index, const Wait& taken) noexcept
    {
        if constexpr (list_of_waits<Wait>)
            return of_.claim(decision_of(index, taken.place()));
        else
            return of_.claim(index);
    }

    selection& of_;
    std::size_t failed_ = none_selected; // the operation that could not be started, as a decision; its handler's end is
                                         // no result
};

template <class... T>
using select_waits = select_waits_at<std::index_sequence_for<T...>, T...>;

} // namespace detail

} // namespace zsync
