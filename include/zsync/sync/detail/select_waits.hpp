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

namespace zsync
{

/// What can stand in a select(): a waitable (`channel.receiving()`, `event.waiting()`, `after(5ms)`), or an operation
/// that can be called with a completion token (`timer.async_wait(asio::deferred)`, `io.read(peer, data)`).
template <class T>
concept selectable = waitable<T> || detail::deferred_operation<T>;

/// In place of an index: none of what was waited for has ended the wait.
inline constexpr std::size_t none_selected = std::numeric_limits<std::size_t>::max();

namespace detail
{

/// Why a selection has ended otherwise, as its decision.
inline constexpr std::size_t selection_aborted = selection::undecided - 1;
inline constexpr std::size_t selection_timed_out = selection::undecided - 2;

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
template <std::size_t Count>
class locks_held
{
public:
    explicit locks_held(std::array<light_mutex*, Count> locks) noexcept : locks_(locks)
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
    std::array<light_mutex*, Count> locks_;
    typename std::array<light_mutex*, Count>::iterator end_;
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
public:
    using results_type = std::tuple<selected_t<T>...>;

    explicit select_waits_at(selection& of, T&... what) : select_leaf<Index, T>(what, of)..., of_(of) {}

    /// Decides the selection by what can be had at once; else, if that is wanted, arms all. True: decided. Throws what
    /// trying throws, and then nothing has been taken.
    bool try_now(bool or_arm)
    {
        bool done = false;
        {
            const locks_held<sizeof...(T)> held({leaf<Index>().lock()...});
            const std::size_t first = first_to_try(sizeof...(T));
            const auto decided = [&](auto attempt)
            {
                for (std::size_t i = 0; i != sizeof...(T); ++i)
                {
                    const std::size_t index = first + i < sizeof...(T) ? first + i : first + i - sizeof...(T);
                    if (((Index == index && attempt(leaf<Index>())) || ...))
                    {
                        of_.claim(index);
                        return true;
                    }
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
            if constexpr (requires { wait.start(); })
                if (!refused && of_.decision() == selection::undecided)
                {
                    failed_ = index;
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

    /// What has ended the selection, when all operations are over: the decision; or, if that was none of these, or the
    /// operation that could not be started, the first operation that has completed all the same.
    std::size_t chosen() const noexcept
    {
        std::size_t chosen = of_.decision();
        if (chosen < sizeof...(T) && chosen != failed_)
            return chosen;
        chosen = none_selected;
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

    selection& of_;
    std::size_t failed_ = none_selected; // the operation that could not be started; its handler's end is no result
};

template <class... T>
using select_waits = select_waits_at<std::index_sequence_for<T...>, T...>;

} // namespace detail

} // namespace zsync
