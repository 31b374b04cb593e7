// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/light_mutex.hpp>
#include <zsync/core/waitable.hpp>

#include <boost/assert.hpp>
#include <boost/system/error_code.hpp>

#include <cstddef>
#include <mutex>
#include <utility>

namespace zsync::detail
{

/// A place in a circular list; part of wait_node, and the head of each list.
struct wait_link
{
    wait_link* next = nullptr;
    wait_link* previous = nullptr;
};

/// Somebody who waits. Lives where the waiter lives: on the waiting stack, in the handler's memory. Derived classes say
/// how its end is told (`complete`), and hold what is handed over.
class wait_node : wait_link
{
public:
    using complete_function = void (*)(wait_node& self) noexcept;

    wait_node(const wait_node&) = delete;
    wait_node& operator=(const wait_node&) = delete;

    /// How the wait has ended. Written by whoever has taken the node out, before it completes it.
    boost::system::error_code result;

protected:
    explicit wait_node(complete_function complete) noexcept : complete_(complete) {}
    ~wait_node() { BOOST_ASSERT(!next); }

    /// Makes it a part of a selection, which may have been ended by another.
    void belong_to(selection& of, std::size_t index) noexcept
    {
        selection_ = &of;
        index_ = index;
    }

private:
    friend class wait_list;
    friend class woken_list;
    friend class wait_queue;

    bool claim() noexcept { return !selection_ || selection_->claim(index_); }

    const complete_function complete_;
    selection* selection_ = nullptr; // null: this is all its waiter waits for
    std::size_t index_ = 0;
};

/// Waiters, the longest waiting first. Owns nothing; for whoever holds the lock of its wait_queue.
class wait_list
{
public:
    wait_list() noexcept = default;
    wait_list(const wait_list&) = delete;
    wait_list& operator=(const wait_list&) = delete;
    ~wait_list() { BOOST_ASSERT(empty()); } // what is waited for must outlive the wait

    bool empty() const noexcept { return head_.next == &head_; }

    wait_node* front() const noexcept { return empty() ? nullptr : static_cast<wait_node*>(head_.next); }

    void push_back(wait_node& node) noexcept
    {
        BOOST_ASSERT(!node.next);
        wait_link& link = node;
        link.previous = head_.previous;
        link.next = &head_;
        head_.previous->next = &link;
        head_.previous = &link;
    }

    /// Takes the first out whose wait has not been ended elsewhere, and so ends it; null: there is none.
    wait_node* pop_front() noexcept
    {
        while (wait_node* const first = front())
        {
            remove(*first);
            if (first->claim()) [[likely]]
                return first;
        }
        return nullptr;
    }

    /// Takes a node out of whichever list it is in; false: it is in none.
    static bool remove(wait_node& node) noexcept
    {
        wait_link& link = node;
        if (!link.next)
            return false;
        link.previous->next = link.next;
        link.next->previous = link.previous;
        link = {};
        return true;
    }

private:
    wait_link head_{&head_, &head_};
};

/// Waiters that have been taken out, and are to be told once the lock is released.
class woken_list
{
public:
    woken_list() noexcept = default;
    woken_list(const woken_list&) = delete;
    woken_list& operator=(const woken_list&) = delete;
    ~woken_list() { BOOST_ASSERT(!first_); }

    bool empty() const noexcept { return !first_; }

    /// Adds one that is in no list; or, null, none.
    void push(wait_node* node) noexcept
    {
        if (!node)
            return;
        wait_link* const link = node;
        (first_ ? last_->previous : first_) = link; // `next` stays null: it says that the node is in no list
        last_ = link;
        link->previous = nullptr;
    }

    void push_all(wait_list& from, boost::system::error_code result = {}) noexcept
    {
        while (wait_node* const node = from.pop_front())
        {
            node->result = result;
            push(node);
        }
    }

    /// Tells each, in order. A node may be gone as soon as it has been told.
    void complete() noexcept
    {
        for (wait_link* link = std::exchange(first_, nullptr); link;)
        {
            wait_node& node = static_cast<wait_node&>(*link);
            link = std::exchange(link->previous, nullptr);
            node.complete_(node);
        }
    }

private:
    wait_link* first_ = nullptr;
    wait_link* last_ = nullptr; // means something only if there is a first
};

/// Tells one that is in no list.
inline void complete(wait_node& node) noexcept
{
    woken_list one;
    one.push(&node);
    one.complete();
}

/// What can be waited for: a lock, under which derived classes keep their state and the lists of those who wait.
///
/// @par The race between a wake-up, a cancellation and a deadline
/// It is decided here, by the lock. A node stands in a list, or it does not; it is put there, once for each wait, by
/// the waiter, and taken out, under the lock, by exactly one of those who want to end the wait: whoever wakes it
/// (pop_front), or the waiter's cancellation or deadline (withdraw). Whoever has taken it out owns it: writes its
/// result, lets go of the lock, and tells it; nobody else may touch it any more. The others find it in no list and do
/// nothing. What is handed over with a wake-up (a lock, a unit, an item) changes hands under the same lock, in the same
/// section that takes the node out: so a wait that is cancelled has been given nothing, and a wait that has been given
/// something is not cancelled.
///
/// No wake-up is lost: under the lock the waiter looks whether it has to wait, and enters the list; and under the lock
/// state is changed and the list looked at.
///
/// A node of a selection stands in one of several lists. Whoever takes it out must claim the selection besides, under
/// the same lock; if that has been ended by another, the node stays out, and the next is taken. Its waiter withdraws
/// all of its nodes before it goes, which waits for each lock: so nobody finds one that is gone. A list may hold such
/// nodes, whose waits are over: not being empty does not say that somebody can be woken.
///
/// @par Lifetime
/// A node lives until it has been told. A wait_queue lives until nobody waits for it any more; a waiter that has been
/// told may destroy it at once, since nobody who tells touches it afterwards.
class wait_queue
{
public:
    wait_queue() noexcept = default;
    wait_queue(const wait_queue&) = delete;
    wait_queue& operator=(const wait_queue&) = delete;

    /// Takes a node out that is not to wait any longer. True: it was in a list and is the caller's, who is to complete
    /// `woken` too: others that may go on now. Any thread.
    bool withdraw(wait_node& node, woken_list& woken) noexcept
    {
        const std::lock_guard held(lock_);
        if (!wait_list::remove(node))
            return false;
        withdrawn(woken);
        return true;
    }

protected:
    template <class Node>
    friend class selected_wait;

    ~wait_queue() = default;

    /// Puts right what depended on the node; it may let others go on. Under the lock.
    virtual void withdrawn(woken_list&) noexcept {}

    mutable light_mutex lock_;
};

} // namespace zsync::detail
