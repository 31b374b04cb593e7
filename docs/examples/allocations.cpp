// SPDX-License-Identifier: BSL-1.0

// Replaces operator new by one that counts, so that a program can show what it allocates.

#include "allocations.hpp"

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace
{

std::atomic<std::uint64_t> count; // written by all threads; only its value matters

void* allocate(std::size_t bytes, std::size_t alignment = 0) noexcept
{
    count.fetch_add(1, std::memory_order_relaxed);
    bytes = bytes ? bytes : 1;
    return alignment ? std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment)
                     : std::malloc(bytes);
}

void* require(void* memory)
{
    if (!memory)
        throw std::bad_alloc();
    return memory;
}

} // namespace

std::uint64_t allocations() noexcept
{
    return count.load(std::memory_order_relaxed);
}

// The standard library's other forms would call these. A sanitizer's would not, so that all are here.
void* operator new(std::size_t bytes)
{
    return require(allocate(bytes));
}

void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept
{
    return allocate(bytes);
}

void* operator new(std::size_t bytes, std::align_val_t alignment)
{
    return require(allocate(bytes, static_cast<std::size_t>(alignment)));
}

void* operator new(std::size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept
{
    return allocate(bytes, static_cast<std::size_t>(alignment));
}

void* operator new[](std::size_t bytes)
{
    return require(allocate(bytes));
}

void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept
{
    return allocate(bytes);
}

void operator delete[](void* memory) noexcept
{
    std::free(memory);
}

void operator delete[](void* memory, std::size_t) noexcept
{
    std::free(memory);
}

void operator delete(void* memory) noexcept
{
    std::free(memory);
}

void operator delete(void* memory, std::size_t) noexcept
{
    std::free(memory);
}

void operator delete(void* memory, std::align_val_t) noexcept
{
    std::free(memory);
}

void operator delete(void* memory, std::size_t, std::align_val_t) noexcept
{
    std::free(memory);
}
