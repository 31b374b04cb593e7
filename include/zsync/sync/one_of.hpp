// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/sync/detail/list_wait.hpp>

#include <concepts>
#include <cstddef>
#include <functional>
#include <iterator>
#include <ranges>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

namespace zsync
{

/// What a list of waitables comes to: which of them has been taken, and its result. none_selected: none has, and the
/// result is the error operation_aborted.
template <class Result>
struct one_selected
{
    std::size_t place = none_selected;
    Result result;
};

/// What a list of operations comes to: which of them has ended the select, if one has, and the results of all.
template <class Result>
struct one_completed
{
    std::size_t place = none_selected;
    std::vector<Result> results;
};

namespace detail
{

/// A list, in a selection. Storage is what one_of() was given: a vector, or a span of what is somebody else's.
template <class Storage>
class selection_list
{
public:
    using value_type = typename Storage::value_type;

    explicit selection_list(Storage&& what) noexcept : what_(std::move(what)) {}

    std::span<value_type> elements() noexcept { return what_; }

protected:
    // Operations are moved out of a list that the selection owns, and copied out of another.
    using element = std::conditional_t<std::is_same_v<Storage, std::span<value_type>>, value_type&, value_type>;

private:
    Storage what_;
};

template <class Storage>
class waitable_list : public selection_list<Storage>
{
    using typename selection_list<Storage>::element;

public:
    using selection_list<Storage>::selection_list;
    using result_type = one_selected<selected_t<element>>;
    using wait_type = waitables_wait<result_type, element>;
};

template <class Storage>
class deferred_list : public selection_list<Storage>
{
    using typename selection_list<Storage>::element;

public:
    using selection_list<Storage>::selection_list;
    using result_type = one_completed<selected_t<element>>;
    using operations_wait = detail::operations_wait<result_type, element>;
};

template <class Storage>
auto make_list(Storage&& what) noexcept
{
    using value_type = typename Storage::value_type;
    static_assert(!list_of_waits<wait_for_t<value_type>> && !operation_list<value_type>, "A list of lists.");
    if constexpr (waitable<value_type>)
    {
        static_assert(!is_timer<value_type>, "The earliest of several timers is at(the earliest point in time).");
        return waitable_list<Storage>(std::move(what));
    }
    else
    {
        return deferred_list<Storage>(std::move(what));
    }
}

} // namespace detail

/// What select() takes: a list of things of one type, whose number is known at run time, as one of its alternatives. It
/// ends the select when one of them can be had, or has completed.
///
/// @code
/// auto [which, order, stopping, late] = zsync::select(
///     zsync::one_of(shards, [](auto& shard) { return shard.orders.receiving(); }), stop.waiting(), zsync::after(1s));
/// if (which == 0 && order.result)
///     shards[order.place].serve(*order.result);
/// @endcode
///
/// Its result, of waitables, is a one_selected: the place in the list and the result of what is there. Of operations it
/// is a one_completed: the place, and the results of all, since those that have lost may have completed, too.
///
/// The list looks at its things from a random one on, so that none that can always be had starves another. Beside other
/// alternatives of the select it counts as one, however long it is. An empty list is never ready. Each select looks at
/// all of its things under all their locks: the time, and the memory that it takes meanwhile, grow with the list.
///
/// This one refers to what it is given, which must stay as it is until the select has ended: a vector, an array, a
/// span. Things that are used again, `sending(item)` among them, can be looked at afterwards.
template <std::ranges::contiguous_range Range>
    requires(std::ranges::sized_range<Range>&& std::ranges::borrowed_range<Range>&&
                 selectable<std::ranges::range_value_t<Range>> &&
             !std::is_const_v<std::remove_reference_t<std::ranges::range_reference_t<Range>>>)
auto one_of(Range&& things)
{
    using value_type = std::remove_reference_t<std::ranges::range_reference_t<Range>>;
    return detail::make_list(std::span<value_type>(things));
}

/// The same with a vector that goes with it.
template <selectable T>
auto one_of(std::vector<T>&& things)
{
    return detail::make_list(std::move(things));
}

/// The same with what a function makes of each element of a range, in their order. @throws std::bad_alloc, and what the
/// function throws.
template <std::ranges::input_range Range, class Function>
    requires selectable<std::invoke_result_t<Function&, std::ranges::range_reference_t<Range>>>
auto one_of(Range&& range, Function make)
{
    std::vector<std::decay_t<std::invoke_result_t<Function&, std::ranges::range_reference_t<Range>>>> things;
    if constexpr (std::ranges::sized_range<Range>)
        things.reserve(std::ranges::size(range));
    for (auto&& each : range)
        things.push_back(std::invoke(make, std::forward<decltype(each)>(each)));
    return detail::make_list(std::move(things));
}

} // namespace zsync
