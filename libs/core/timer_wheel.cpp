// SPDX-License-Identifier: BSL-1.0
#include <zsync/core/timer_wheel.hpp>

#include <utility>

namespace zsync
{

// Visits the occupied slots up to the tick `target`, in order of time. A slot above level 0 is spread over the levels
// below it. A timer of a level 0 slot that was re-armed for a later tick moves on to the slot of that tick. So every
// due timer is met in the slot of its own tick, and only timers of one tick need sorting.
std::size_t timer_wheel::take_due(clock::time_point now, std::uint64_t target, timer_list& due,
                                  std::size_t enough) noexcept
{
    std::size_t taken = 0;
    for (std::size_t index = first_slot(); index != no_slot; index = first_slot())
    {
        const std::uint64_t begin = first_tick(index);
        if (begin > target)
            break;
        if (taken >= enough)
        {
            target = current_;
            break;
        }
        current_ = begin;
        if (index < 64)
        {
            taken += take_slot(index, now, due);
            if (begin == target) // what is left in this slot is not due yet
                break;
        }
        else
        {
            spread_slot(index);
        }
    }
    current_ = target;
    size_ -= taken;
    return taken;
}

// All chains, and each from both ends at once: with a million timers each step waits for memory, and eight wait
// together. Ties lose their order in the chains; it is in the timers.
void timer_wheel::spread_slot(std::size_t index) noexcept
{
    struct rest
    {
        timer_link* front = nullptr; // null: nothing
        timer_link* back = nullptr;
    };
    std::array<rest, chains_a_slot> rests;
    for (std::size_t i = 0; i != chains_a_slot; ++i)
        if (used_[index] >> i & 1)
        {
            const timer_link& head = heads_[first_chain(index) + i];
            rests[i] = {head.next, head.prev};
        }
    mark_empty(index);
    for (bool more = true; more;)
    {
        more = false;
        for (rest& chain : rests)
        {
            if (!chain.front)
                continue;
            timer_link* const first = std::exchange(chain.front, chain.front->next);
            timer_link* const last = std::exchange(chain.back, chain.back->prev);
            if (first == last || chain.front == last)
                chain.front = nullptr;
            else
                more = true;
            link(static_cast<timer_node&>(*first), static_cast<timer_node&>(*first).order());
            if (first != last)
                link(static_cast<timer_node&>(*last), static_cast<timer_node&>(*last).order());
        }
    }
}

std::size_t timer_wheel::take_slot(std::size_t index, clock::time_point now, timer_list& due) noexcept
{
    timer_link* const end = &heads_[index]; // level 0: one chain
    mark_empty(index);
    timer_link batch{nullptr, nullptr}; // what is due, chained by next and ended by nullptr
    timer_link* last = &batch;
    bool sorted = true;
    for (timer_link* node = end->next; node != end;)
    {
        auto& t = static_cast<timer_node&>(*std::exchange(node, node->next));
        if (t.deadline_ > now || tick_of(t.deadline_) > current_)
        {
            link(t,
                 t.order()); // possibly into this same slot: what is left of the old chain does not go through its head
            continue;
        }
        __builtin_prefetch(&t + 1); // what derives from it: whoever pops it goes there next
        sorted = sorted && (last == &batch || precedes(*last, t));
        last->next = &t;
        last = &t;
    }
    last->next = nullptr;

    std::size_t count = 0;
    timer_link* tail = due.head_.prev;
    for (timer_link* node = sorted ? batch.next : sort(batch.next); node; node = node->next)
    {
        tail = append(node, tail);
        ++count;
    }
    tail->next = &due.head_;
    due.head_.prev = tail;
    return count;
}

void timer_wheel::take_all(timer_list& due) noexcept
{
    timer_link* tail = due.head_.prev;
    for (std::size_t index = first_slot(); index != no_slot; index = first_slot())
    {
        for (std::size_t i = 0; i != chains_a_slot; ++i)
            if (used_[index] >> i & 1)
            {
                timer_link* const end = &heads_[first_chain(index) + i];
                for (timer_link* node = end->next; node != end;)
                    tail = append(std::exchange(node, node->next), tail);
            }
        mark_empty(index);
    }
    tail->next = &due.head_;
    due.head_.prev = tail;
    size_ = 0;
}

// Links a due timer behind the last one; returns it, as the last one.
timer_link* timer_wheel::append(timer_link* node, timer_link* tail) noexcept
{
    static_cast<timer_node*>(node)->set_place(due_place);
    node->prev = tail;
    tail->next = node;
    return node;
}

bool timer_wheel::precedes(const timer_link& a, const timer_link& b) noexcept
{
    const auto& first = static_cast<const timer_node&>(a);
    const auto& second = static_cast<const timer_node&>(b);
    if (first.deadline_ != second.deadline_)
        return first.deadline_ < second.deadline_;
    // The sign of the difference: right across the wrap-around too.
    return static_cast<std::int64_t>(first.order() - second.order()) < 0;
}

timer_link* timer_wheel::merge(timer_link* a, timer_link* b) noexcept
{
    timer_link merged{nullptr, nullptr};
    timer_link* last = &merged;
    while (a && b)
    {
        timer_link*& smaller = precedes(*b, *a) ? b : a;
        last->next = smaller;
        last = smaller;
        smaller = smaller->next;
    }
    last->next = a ? a : b;
    return merged.next;
}

// Merge sort from below: runs[n] is empty or a sorted chain of 2^n timers; n is below `used`.
timer_link* timer_wheel::sort(timer_link* chain) noexcept
{
    std::array<timer_link*, 48> runs;
    std::size_t used = 0;
    while (chain)
    {
        timer_link* run = std::exchange(chain, chain->next);
        run->next = nullptr;
        std::size_t n = 0;
        for (; n != used && runs[n]; ++n)
            run = merge(std::exchange(runs[n], nullptr), run);
        if (n == used)
            ++used;
        runs[n] = run;
    }
    timer_link* sorted = nullptr;
    for (std::size_t n = 0; n != used; ++n)
        sorted = merge(runs[n], sorted);
    return sorted;
}

} // namespace zsync
