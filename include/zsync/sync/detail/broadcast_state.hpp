// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/error.hpp>
#include <zsync/sync/detail/ring_buffer.hpp>
#include <zsync/sync/detail/wait_list.hpp>

#include <boost/assert.hpp>
#include <boost/system/error_code.hpp>

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>

namespace zsync::detail
{

/// Where somebody reads a broadcast_state.
struct broadcast_place
{
    std::uint64_t next = 0;   // the number of the item to be read next
    std::uint64_t missed = 0; // by the last to read
};

/// The newest items of those that have been sent, by their numbers, for any number of readers, each at its own place.
///
/// Nothing is handed over: whoever waits is told that there is something to read, and reads it by itself. So no wake-up
/// is lost as long as all who wait are told, under the lock, with each item and when it is closed; and whoever is told
/// finds an item, though perhaps a newer one than that which has woken it, or the end.
template <class T>
class broadcast_state final : public wait_queue
{
    static_assert(std::is_object_v<T> && std::is_copy_constructible_v<T> && std::is_nothrow_move_constructible_v<T> &&
                  std::is_nothrow_destructible_v<T>);

public:
    explicit broadcast_state(std::size_t capacity) noexcept : kept_(capacity) { BOOST_ASSERT(capacity > 0); }

    /// False: it is closed. @throws std::bad_alloc, and then the item is as it was.
    bool send(T&& item)
    {
        std::optional<T> oldest; // destroyed without the lock
        woken_list woken;
        {
            const std::lock_guard held(lock_);
            if (closed_)
                return false;
            if (kept_.full())
            {
                oldest.emplace(kept_.pop());
                ++first_;
            }
            kept_.push(std::move(item));
            woken.push_all(waiters_);
        }
        woken.complete();
        return true;
    }

    void close() noexcept
    {
        woken_list woken;
        {
            const std::lock_guard held(lock_);
            closed_ = true;
            woken.push_all(waiters_);
        }
        woken.complete();
    }

    bool is_closed() const noexcept
    {
        const std::lock_guard held(lock_);
        return closed_;
    }

    /// The number that the next item will have.
    std::uint64_t end() const noexcept
    {
        const std::lock_guard held(lock_);
        return end_locked();
    }

    /// Copies the newest. Requires that one has been sent. Throws what copying throws.
    T newest(broadcast_place& place) const
    {
        const std::lock_guard held(lock_);
        T item(kept_[kept_.size() - 1]);
        place = {end_locked(), 0};
        return item;
    }

    /// Reads. True: there is an item, or an error; false: one has to wait, and the node, if there is one, is in the
    /// list. Throws what copying throws, and then nothing has been read.
    bool read(broadcast_place& place, bool reports_lag, std::optional<T>& item, boost::system::error_code& ec,
              wait_node* waiting = nullptr)
    {
        const std::lock_guard held(lock_);
        if (place.next < first_)
        {
            place.missed = first_ - place.next;
            place.next = first_;
            if (reports_lag)
            {
                ec = error::lagged;
                return true;
            }
        }
        else
            place.missed = 0;
        if (place.next < end_locked())
        {
            item.emplace(kept_[static_cast<std::size_t>(place.next - first_)]);
            ++place.next;
        }
        else if (closed_)
            ec = error::channel_closed;
        else
        {
            if (waiting)
                waiters_.push_back(*waiting);
            return false;
        }
        return true;
    }

    /// Says whether read() would return true. With the lock held.
    bool readable(const broadcast_place& place) const noexcept { return place.next < end_locked() || closed_; }

    /// With the lock held.
    void enter(wait_node& waiting) noexcept { waiters_.push_back(waiting); }

    /// For a handler.
    void start(const broadcast_place& place, wait_node& node) noexcept
    {
        {
            const std::lock_guard held(lock_);
            if (!readable(place))
                return enter(node);
        }
        complete(node);
    }

private:
    std::uint64_t end_locked() const noexcept { return first_ + kept_.size(); }

    ring_buffer<T> kept_;
    std::uint64_t first_ = 0; // the number of the oldest that is kept
    bool closed_ = false;
    wait_list waiters_;
};

} // namespace zsync::detail
