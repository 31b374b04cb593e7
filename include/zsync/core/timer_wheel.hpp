// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <ratio>
#include <type_traits>

namespace zsync
{

/// A place in a circular list; part of `timer_node`, and the head of each list of timers.
struct timer_link
{
    timer_link* next;
    timer_link* prev;
};

/// A node of a timer_wheel, for an operation to derive from: it lives where the operation lives. 32 bytes.
///
/// Neither copies nor moves. Must be unlinked when destroyed: that is asserted, not done.
class timer_node : timer_link
{
public:
    timer_node() noexcept = default;
    timer_node(const timer_node&) = delete;
    timer_node& operator=(const timer_node&) = delete;

    ~timer_node() { assert(!linked()); }

    /// Tells whether the timer stands in a wheel or in a list of due timers.
    [[nodiscard]] bool linked() const noexcept { return place() != 0; }

    /// Returns the deadline last given; meaningful once the timer has been inserted.
    [[nodiscard]] std::chrono::steady_clock::time_point deadline() const noexcept { return deadline_; }

private:
    friend class timer_list;
    friend class timer_wheel;

    static constexpr std::uint64_t place_mask = 0xffff;

    // 0: unlinked, due: in a timer_list, else 1 + the index of a chain
    unsigned place() const noexcept { return static_cast<unsigned>(order_and_place_ & place_mask); }
    void set_place(std::uint64_t place) noexcept { order_and_place_ = order() | place; }

    // Of insertion; a multiple of 2^16, compared modulo 2^64.
    std::uint64_t order() const noexcept { return order_and_place_ & ~place_mask; }

    std::chrono::steady_clock::time_point deadline_{};
    std::uint64_t order_and_place_ = 0;
};

/// Holds due timers, taken out of a wheel, until the engine delivers them. Each can still be cancelled until popped.
/// Must be empty when destroyed. Shared objects are not thread-safe: the lock that guards the wheel guards this too.
class timer_list
{
public:
    timer_list() noexcept = default;
    timer_list(const timer_list&) = delete;
    timer_list& operator=(const timer_list&) = delete;

    ~timer_list() { assert(empty()); }

    [[nodiscard]] bool empty() const noexcept { return head_.next == &head_; }

    /// Unlinks and returns the first timer, nullptr if there is none. Never blocks.
    timer_node* pop_front() noexcept
    {
        if (empty())
            return nullptr;
        auto* first = static_cast<timer_node*>(head_.next);
        head_.next = first->next;
        first->next->prev = &head_;
        first->set_place(0);
        return first;
    }

private:
    friend class timer_wheel;

    timer_link head_{&head_, &head_};
};

/// Keeps timers by deadline: insert, cancel and re-arm in constant time, no allocation.
///
/// A hierarchical wheel: 9 levels of 64 slots, a slot of level 0 being one tick of 2^10 ns and one of level n + 1 being
/// all of level n. That spans every time_point, so nothing overflows. A timer stands on the level of the highest digit
/// in which its tick differs from the current one; so each level's slots lie ahead of the current digit, never around
/// it, and all of level n is due before any of level n + 1. Bitmaps find the next slot in two instructions: after
/// idling, `expire` costs a few steps for each timer, nothing for each tick.
///
/// The timers of a slot above level 0 stand in four chains, which are walked side by side when the slot is spread over
/// finer ones: with a million timers each step waits for memory, and so several wait together.
///
/// Ticks only sort; what is due is decided, and ordered, by the deadline itself, to the nanosecond.
///
/// No function blocks. Shared objects are not thread-safe: the engine that owns the wheel locks. 38 KiB, of
/// which it touches what slots in use need.
class timer_wheel
{
public:
    using clock = std::chrono::steady_clock;

    /// As many as there are.
    static constexpr std::size_t no_limit = ~std::size_t{0};

    /// Makes an empty wheel. Give it the time of its making; deadlines before `start` work all the same.
    explicit timer_wheel(clock::time_point start) noexcept : start_(start) {}

    timer_wheel(const timer_wheel&) = delete;
    timer_wheel& operator=(const timer_wheel&) = delete;

    ~timer_wheel() { assert(empty()); }

    /// Adds an unlinked timer. One whose deadline has passed is due at the next expire, never within this call.
    void insert(timer_node& t, clock::time_point deadline) noexcept
    {
        assert(!t.linked());
        t.deadline_ = deadline;
        ++size_;
        link(t, next_order());
    }

    /// Unlinks a timer from this wheel, or from a list that this wheel's expire put it into. False if it was unlinked.
    bool cancel(timer_node& t) noexcept
    {
        if (!t.linked())
            return false;
        timer_link* const before = t.prev;
        timer_link* const after = t.next;
        before->next = after;
        after->prev = before;
        if (t.place() != due_place)
        {
            --size_;
            if (before == after) // only a chain's head is its own neighbour
                mark_chain_empty(t.place() - 1u);
        }
        t.set_place(0);
        return true;
    }

    /// Gives a timer another deadline, whether it is linked or not: cancel, then insert. Returns what cancel would.
    /// A linked timer that moves to a later deadline stays where it is until its old place comes up, so that a
    /// time-out pushed ahead again and again costs two stores each time.
    bool rearm(timer_node& t, clock::time_point deadline) noexcept
    {
        const unsigned place = t.place();
        if (place != 0 && place != due_place && deadline >= t.deadline_)
        {
            t.deadline_ = deadline;
            t.order_and_place_ = next_order() | place;
            return true;
        }
        const bool was_linked = cancel(t);
        insert(t, deadline);
        return was_linked;
    }

    /// Lets `to`, which is unlinked, take the place of `from`, which then is: an object that holds a timer may move.
    /// Does nothing if `from` is unlinked.
    void move(timer_node& from, timer_node& to) noexcept
    {
        assert(!to.linked());
        if (!from.linked())
            return;
        to.next = from.next;
        to.prev = from.prev;
        to.next->prev = to.prev->next = &to;
        to.deadline_ = from.deadline_;
        to.order_and_place_ = from.order_and_place_;
        from.set_place(0);
    }

    /// Moves all timers whose deadline is not after `now` to the end of `due`, in deadline order, ties in the order of
    /// insertion (a re-arm counts as one). Returns how many. Calls nothing, so the caller is free to insert and cancel
    /// while it works the list off; what it inserts waits for the next expire. A `now` before an earlier one is fine.
    ///
    /// @param enough stops after about so many (those of one tick stay together): the rest is for the next expire.
    std::size_t expire(clock::time_point now, timer_list& due, std::size_t enough = no_limit) noexcept
    {
        const std::uint64_t target = std::max(tick_of(now), current_);
        const std::size_t index = first_slot();
        if (index != no_slot && first_tick(index) <= target)
            return take_due(now, target, due, enough);
        current_ = target;
        return 0;
    }

    /// Moves all timers to the end of `due`, in no particular order: for the end of the wheel's life.
    void take_all(timer_list& due) noexcept;

    /// Returns when expire must be called next; nothing if the wheel is empty. Never after the earliest deadline, and
    /// before it only if a timer was cancelled or re-armed. Always after the `now` of an expire without limit that came
    /// after the last insertion: a loop that waits for it makes progress.
    [[nodiscard]] std::optional<clock::time_point> next_wakeup() const noexcept
    {
        const std::size_t index = first_slot();
        if (index == no_slot)
            return std::nullopt;
        return earliest_[index];
    }

    /// Counts the timers in the wheel, not those in a list of due timers.
    [[nodiscard]] std::size_t size() const noexcept { return size_; }

    [[nodiscard]] bool empty() const noexcept { return size_ == 0; }

private:
    static_assert(std::is_same_v<clock::period, std::nano>);
    static constexpr unsigned tick_bits = 10; // 1.024 us: chosen, as kernel timers are no more exact
    static constexpr unsigned slot_bits = 6;  // one bitmap word a level
    static constexpr std::size_t level_count = (64 - tick_bits) / slot_bits;
    static constexpr std::size_t slot_count = level_count << slot_bits;
    static constexpr std::size_t no_slot = slot_count;
    static constexpr unsigned due_place = timer_node::place_mask;
    static constexpr std::size_t chains_a_slot = 4; // above level 0. Chosen, by measurement
    static constexpr std::size_t fine_slots = 64;   // level 0
    static constexpr std::size_t chain_count = fine_slots + chains_a_slot * (slot_count - fine_slots);
    static_assert(level_count * slot_bits + tick_bits == 64);
    static_assert(chain_count < due_place);

    std::uint64_t next_order() noexcept { return order_ += timer_node::place_mask + 1; }

    static std::size_t first_chain(std::size_t slot) noexcept
    {
        return slot < fine_slots ? slot : fine_slots + chains_a_slot * (slot - fine_slots);
    }

    static std::size_t slot_of(std::size_t chain) noexcept
    {
        return chain < fine_slots ? chain : fine_slots + (chain - fine_slots) / chains_a_slot;
    }

    std::uint64_t tick_of(clock::time_point t) const noexcept
    {
        if (t <= start_)
            return 0;
        // Unsigned, since the distance of two time_points may exceed the largest duration.
        const auto since = static_cast<std::uint64_t>(t.time_since_epoch().count()) -
                           static_cast<std::uint64_t>(start_.time_since_epoch().count());
        return since >> tick_bits;
    }

    // A chain is initialised by its first timer.
    void link(timer_node& t, std::uint64_t order) noexcept
    {
        const std::uint64_t tick = std::max(tick_of(t.deadline_), current_);
        const unsigned highest = static_cast<unsigned>(std::bit_width((tick ^ current_) | 1)) - 1;
        const unsigned level = highest / slot_bits;
        const unsigned digit = static_cast<unsigned>(tick >> (level * slot_bits)) & 63;
        const std::size_t slot = (level << slot_bits) | digit;
        const std::size_t nth = level == 0 ? 0 : (order >> 16) % chains_a_slot;
        const std::size_t chain = first_chain(slot) + nth;
        const auto bit = static_cast<std::uint8_t>(1u << nth);
        timer_link& head = heads_[chain];
        if (used_[slot] & bit)
        {
            earliest_[slot] = std::min(earliest_[slot], t.deadline_);
        }
        else
        {
            head = {&head, &head};
            earliest_[slot] = used_[slot] ? std::min(earliest_[slot], t.deadline_) : t.deadline_;
            used_[slot] |= bit;
            occupied_[level] |= std::uint64_t(1) << digit;
            levels_ |= std::uint32_t(1) << level;
        }
        t.prev = head.prev;
        t.next = &head;
        t.prev->next = &t;
        head.prev = &t;
        t.order_and_place_ = order | (chain + 1);
    }

    void mark_chain_empty(std::size_t chain) noexcept
    {
        const std::size_t slot = slot_of(chain);
        used_[slot] &= static_cast<std::uint8_t>(~(1u << (chain - first_chain(slot))));
        if (!used_[slot])
            mark_empty(slot);
    }

    void mark_empty(std::size_t slot) noexcept
    {
        const std::size_t level = slot >> slot_bits;
        used_[slot] = 0;
        occupied_[level] &= ~(std::uint64_t(1) << (slot & 63));
        if (!occupied_[level])
            levels_ &= ~(std::uint32_t(1) << level);
    }

    std::size_t first_slot() const noexcept
    {
        if (!levels_)
            return no_slot;
        const auto level = static_cast<std::size_t>(std::countr_zero(levels_));
        return (level << slot_bits) + static_cast<std::size_t>(std::countr_zero(occupied_[level]));
    }

    // The first tick that an occupied slot covers.
    std::uint64_t first_tick(std::size_t index) const noexcept
    {
        const std::size_t shift = (index >> slot_bits) * slot_bits;
        const std::uint64_t above = current_ >> shift >> slot_bits << slot_bits;
        return (above | (index & 63)) << shift;
    }

    std::size_t take_due(clock::time_point now, std::uint64_t target, timer_list& due, std::size_t enough) noexcept;
    std::size_t take_slot(std::size_t index, clock::time_point now, timer_list& due) noexcept;
    void spread_slot(std::size_t index) noexcept;
    static timer_link* append(timer_link* node, timer_link* tail) noexcept;
    static bool precedes(const timer_link& a, const timer_link& b) noexcept;
    static timer_link* merge(timer_link* a, timer_link* b) noexcept;
    static timer_link* sort(timer_link* chain) noexcept;

    const clock::time_point start_;
    std::uint64_t current_ = 0; // tick up to which slots have been worked off; grows only
    std::uint64_t order_ = 0;
    std::size_t size_ = 0;
    std::uint32_t levels_ = 0;                           // a bit a level
    std::array<std::uint64_t, level_count> occupied_{};  // a bit a slot
    std::array<std::uint8_t, slot_count> used_{};        // a bit a chain
    std::array<clock::time_point, slot_count> earliest_; // of used slots: not after any deadline in them
    std::array<timer_link, chain_count> heads_;          // of used chains
};

} // namespace zsync
