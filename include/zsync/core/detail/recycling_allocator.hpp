// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <new>

namespace zsync::detail
{

/// Memory for what is made and freed again and again, from a cache of the calling thread. Up to 1024 bytes come from
/// it; what is longer, and what it does not have, from operator new. Aligned as operator new has it.
///
/// Asio's own cache keeps two blocks a thread, which is enough where a handler runs as soon as its operation has let go
/// of its block. A turn completes a whole batch before the first of its handlers runs: then all blocks come back at
/// once, and go out again at once.
///
/// @throws std::bad_alloc
void* allocate_recycled(std::size_t bytes);

/// Takes a block back, on any thread, of the size that was asked for. Keeps 1024 blocks of a size class; they are freed
/// when the thread ends.
void deallocate_recycled(void* block, std::size_t bytes) noexcept;

/// An allocator of such memory. All are equal.
template <class T>
class recycling_allocator
{
public:
    using value_type = T;

    recycling_allocator() = default;
    template <class Other>
    recycling_allocator(const recycling_allocator<Other>&) noexcept
    {
    }

    T* allocate(std::size_t count)
    {
        if constexpr (over_aligned)
            return static_cast<T*>(::operator new(count * sizeof(T), std::align_val_t(alignof(T))));
        else
            return static_cast<T*>(allocate_recycled(count * sizeof(T)));
    }

    void deallocate(T* block, std::size_t count) noexcept
    {
        if constexpr (over_aligned)
            ::operator delete(block, std::align_val_t(alignof(T)));
        else
            deallocate_recycled(block, count * sizeof(T));
    }

    template <class Other>
    friend bool operator==(const recycling_allocator&, const recycling_allocator<Other>&) noexcept
    {
        return true;
    }

private:
    static constexpr bool over_aligned = alignof(T) > __STDCPP_DEFAULT_NEW_ALIGNMENT__;
};

template <>
class recycling_allocator<void>
{
public:
    using value_type = void;

    recycling_allocator() = default;
    template <class Other>
    recycling_allocator(const recycling_allocator<Other>&) noexcept
    {
    }

    template <class Other>
    friend bool operator==(const recycling_allocator&, const recycling_allocator<Other>&) noexcept
    {
        return true;
    }
};

} // namespace zsync::detail
