// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/assert.hpp>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <type_traits>
#include <utility>

namespace zsync::detail
{

/// A queue in one block of memory that doubles when it is full, up to a limit, and is kept. Not thread-safe.
template <class T>
class ring_buffer
{
    static_assert(std::is_nothrow_move_constructible_v<T>);

public:
    explicit ring_buffer(std::size_t limit) noexcept : limit_(limit) {}
    ring_buffer(const ring_buffer&) = delete;
    ring_buffer& operator=(const ring_buffer&) = delete;

    ~ring_buffer()
    {
        while (!empty())
            pop();
        if (items_)
            std::allocator<T>().deallocate(items_, room_);
    }

    std::size_t size() const noexcept { return size_; }
    bool empty() const noexcept { return size_ == 0; }
    bool full() const noexcept { return size_ == limit_; }

    /// Counted from the oldest. Requires that there is one.
    const T& operator[](std::size_t index) const noexcept
    {
        BOOST_ASSERT(index < size_);
        return *place(index);
    }

    /// Requires that it is not full. @throws std::bad_alloc, and then the item is as it was.
    void push(T&& item)
    {
        if (size_ == room_)
            grow();
        std::construct_at(place(size_), std::move(item));
        ++size_;
    }

    /// Requires that it is not empty.
    T pop() noexcept
    {
        T* const first = items_ + first_;
        T item(std::move(*first));
        std::destroy_at(first);
        first_ = first_ + 1 == room_ ? 0 : first_ + 1;
        --size_;
        return item;
    }

private:
    T* place(std::size_t index) const noexcept
    {
        const std::size_t to_end = room_ - first_;
        return items_ + (index < to_end ? first_ + index : index - to_end);
    }

    void grow()
    {
        const std::size_t room =
            room_ == 0 ? std::min<std::size_t>(limit_, least_room) : room_ + std::min(room_, limit_ - room_);
        T* const items = std::allocator<T>().allocate(room);
        for (std::size_t i = 0; i < size_; ++i)
        {
            std::construct_at(items + i, std::move(*place(i)));
            std::destroy_at(place(i));
        }
        if (items_)
            std::allocator<T>().deallocate(items_, room_);
        items_ = items;
        room_ = room;
        first_ = 0;
    }

    static constexpr std::size_t least_room = 16; // chosen

    const std::size_t limit_;
    T* items_ = nullptr;
    std::size_t room_ = 0;
    std::size_t first_ = 0;
    std::size_t size_ = 0;
};

} // namespace zsync::detail
