// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <utility>

namespace zsync
{

/// Something that a loop is to run once. It lives in its owner's memory: queueing it allocates nothing.
struct work_item
{
    /// Called once by the loop, after it has let go of the item. `invoke` is false when the loop is being destroyed:
    /// then nothing is to happen but to free what the item owns. May throw only if `invoke`.
    using run_function = void (*)(work_item& self, bool invoke);

    run_function run = nullptr;
    work_item* next = nullptr; ///< the queue's
};

/// An intrusive queue of items, first in, first out. Owns nothing. Not thread-safe.
class work_queue
{
public:
    work_queue() = default;
    work_queue(const work_queue&) = delete;
    work_queue& operator=(const work_queue&) = delete;

    bool empty() const noexcept { return !first_; }
    work_item* front() const noexcept { return first_; }

    void push(work_item& item) noexcept
    {
        item.next = nullptr;
        (first_ ? last_->next : first_) = &item;
        last_ = &item;
    }

    work_item* pop() noexcept
    {
        work_item* const item = first_;
        if (item)
            first_ = item->next;
        return item;
    }

private:
    work_item* first_ = nullptr;
    work_item* last_ = nullptr; // means something only if there is a first
};

/// Takes items from any number of threads, for one that empties it. Unbounded; never blocks.
///
/// A stack of pushed items, which the consumer takes whole: the consumer's exchange (acquire) pairs with each
/// producer's compare-exchange (release), and as items are never popped one by one, none can be mistaken for another
/// at the same address. Items of one producer come out in the order in which it pushed them.
class work_inbox
{
public:
    /// Any thread. Returns true if the inbox was empty: then, and only then, the consumer is to be woken.
    bool push(work_item& item) noexcept
    {
        work_item* head = head_.load(std::memory_order_relaxed);
        do
            item.next = head;
        while (!head_.compare_exchange_weak(head, &item, std::memory_order_release, std::memory_order_relaxed));
        return !head;
    }

    bool empty() const noexcept { return !head_.load(std::memory_order_relaxed); }

    /// The consumer: moves all items to the end of `queue`.
    void take(work_queue& queue) noexcept
    {
        if (empty())
            return;
        work_item* oldest = nullptr;
        for (work_item* item = head_.exchange(nullptr, std::memory_order_acquire); item;)
        {
            work_item* const older = std::exchange(item->next, oldest);
            oldest = std::exchange(item, older);
        }
        while (oldest)
            queue.push(*std::exchange(oldest, oldest->next));
    }

private:
    std::atomic<work_item*> head_{nullptr};
};

} // namespace zsync
