// SPDX-License-Identifier: BSL-1.0

// Takes the place of glibc's allocation functions and counts. Not only operator new: Asio's recycling allocator, for
// one, is above aligned_alloc.

#include "allocations.hpp"

#include <atomic>
#include <cerrno>
#include <cstddef>

extern "C"
{
    void* __libc_malloc(std::size_t size) noexcept;
    void* __libc_calloc(std::size_t count, std::size_t size) noexcept;
    void* __libc_realloc(void* old, std::size_t size) noexcept;
    void* __libc_memalign(std::size_t alignment, std::size_t size) noexcept;
}

namespace
{

std::atomic<std::uint64_t> counter{0};

void count() noexcept
{
    counter.fetch_add(1, std::memory_order_relaxed);
}

} // namespace

extern "C"
{
    void* malloc(std::size_t size) noexcept
    {
        count();
        return __libc_malloc(size);
    }

    void* calloc(std::size_t number, std::size_t size) noexcept
    {
        count();
        return __libc_calloc(number, size);
    }

    void* realloc(void* old, std::size_t size) noexcept
    {
        count();
        return __libc_realloc(old, size);
    }

    void* memalign(std::size_t alignment, std::size_t size) noexcept
    {
        count();
        return __libc_memalign(alignment, size);
    }

    void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept
    {
        return memalign(alignment, size);
    }

    int posix_memalign(void** result, std::size_t alignment, std::size_t size) noexcept
    {
        *result = memalign(alignment, size);
        return *result ? 0 : ENOMEM;
    }
}

namespace perf
{

std::uint64_t allocations() noexcept
{
    return counter.load(std::memory_order_relaxed);
}

} // namespace perf
