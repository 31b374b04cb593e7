// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/sync/detail/select_waits.hpp>
#include <zsync/sync/detail/selected_wait.hpp>

#include <boost/system/error_code.hpp>
#include <boost/system/result.hpp>

#include <cstddef>
#include <memory>
#include <new>
#include <span>
#include <vector>

namespace zsync::detail
{

/// The waits for the things in a list, which stay where they are made. Their decisions have the list's index and their
/// places.
template <class Element>
class wait_array
{
    using wait_type = wait_for_t<Element>;
    using value_type = std::remove_reference_t<Element>;

public:
    wait_array(std::span<value_type> what, selection& of, std::size_t index)
        : room_(std::allocator<wait_type>().allocate(what.size())), capacity_(what.size())
    {
        try
        {
            for (; size_ != capacity_; ++size_)
                ::new (static_cast<void*>(room_ + size_)) wait_type(what[size_], of, decision_of(index, size_));
        }
        catch (...)
        {
            clear();
            throw;
        }
    }

    ~wait_array() { clear(); }
    wait_array(const wait_array&) = delete;
    wait_array& operator=(const wait_array&) = delete;

    wait_type& operator[](std::size_t place) noexcept { return room_[place]; }
    wait_type* begin() noexcept { return room_; }
    wait_type* end() noexcept { return room_ + size_; }
    const wait_type* begin() const noexcept { return room_; }
    const wait_type* end() const noexcept { return room_ + size_; }
    std::size_t size() const noexcept { return size_; }

private:
    void clear() noexcept
    {
        std::destroy_n(room_, size_);
        std::allocator<wait_type>().deallocate(room_, capacity_);
    }

    wait_type* const room_;
    const std::size_t capacity_;
    std::size_t size_ = 0;
};

/// A selection's wait for one of several waitables. Result is {place, result of the one}.
template <class Result, class Element>
class waitables_wait
{
public:
    template <class List>
    waitables_wait(List& what, selection& of, std::size_t index) : of_(of), waits_(what.elements(), of, index)
    {
    }

    // Not one lock, but those that follow.
    light_mutex* lock() const noexcept { return nullptr; }
    void add_locks(std::vector<light_mutex*>& to)
    {
        to.reserve(to.size() + waits_.size());
        for (auto& each : waits_)
            to.push_back(each.lock());
    }

    bool try_now()
    {
        return take_first([](auto& wait) { return wait.try_now(); });
    }
    bool arm() noexcept
    {
        return take_first([](auto& wait) noexcept { return wait.arm(); });
    }

    /// Which of them has been taken by one of these.
    std::size_t place() const noexcept { return place_; }

    void settle() noexcept
    {
        for (auto& each : waits_)
            each.settle();
    }
    void disarm() noexcept
    {
        for (auto& each : waits_)
            each.disarm();
    }

    Result take(bool chosen)
    {
        if (!chosen)
            return {none_selected, {boost::system::in_place_error, aborted_by_another()}};
        const std::size_t place = place_in(of_.decision());
        return {place, waits_[place].take(true)};
    }

private:
    // From a random one on, as a selection does: none of several that are always ready starves another.
    template <class Attempt>
    bool take_first(Attempt attempt)
    {
        const std::size_t count = waits_.size();
        const std::size_t first = first_to_try(count);
        for (std::size_t i = 0; i != count; ++i)
        {
            place_ = first + i < count ? first + i : first + i - count;
            if (attempt(waits_[place_]))
                return true;
        }
        return false;
    }

    selection& of_;
    wait_array<Element> waits_;
    std::size_t place_ = 0;
};

/// A selection's wait for one of several operations. Result is {place, results of all}.
template <class Result, class Element>
class operations_wait
{
public:
    template <class List>
    operations_wait(List& what, selection& of, std::size_t index)
        : of_(of), index_(index), waits_(what.elements(), of, index), results_(waits_.size())
    {
    }

    light_mutex* lock() const noexcept { return nullptr; }
    bool try_now() const noexcept { return false; }
    bool arm() const noexcept { return false; }
    void settle() const noexcept {}

    void disarm() noexcept
    {
        for (auto& each : waits_)
            each.disarm();
    }

    /// As select_waits' own: `failed` is the decision of the one that is being started.
    boost::system::error_code start(std::size_t& failed)
    {
        for (std::size_t place = 0; place != waits_.size() && of_.decision() == selection::undecided; ++place)
        {
            failed = failed_ = decision_of(index_, place);
            if (const auto refused = waits_[place].start())
                return refused;
        }
        failed_ = none_selected;
        return {};
    }

    bool has_completed() const noexcept { return first_completed() != waits_.size(); }

    Result take(bool chosen)
    {
        std::size_t place = none_selected;
        if (const std::size_t decision = of_.decision(); chosen)
            place = index_in(decision) == index_ && decision != failed_ ? place_in(decision) : first_completed();
        for (std::size_t each = 0; each != waits_.size(); ++each)
            results_[each] = waits_[each].take(each == place);
        return {place, std::move(results_)};
    }

private:
    std::size_t first_completed() const noexcept
    {
        std::size_t place = 0;
        for (const auto& each : waits_)
        {
            if (each.has_completed())
                break;
            ++place;
        }
        return place;
    }

    selection& of_;
    const std::size_t index_;
    wait_array<Element> waits_;
    std::vector<selected_t<Element>> results_; // their room, while nothing has completed that could be lost
    std::size_t failed_ = none_selected;
};

} // namespace zsync::detail
