// SPDX-License-Identifier: BSL-1.0
#include <zsync/core/detail/recycling_allocator.hpp>

#include <zsync/core/detail/sanitizers.hpp>

#include <bit>
#include <new>
#include <utility>

namespace zsync::detail
{

namespace
{

constexpr std::size_t smallest = 64; // bytes of the first class; each next one is twice as large
constexpr std::size_t classes = 5;
constexpr std::size_t largest = smallest << (classes - 1);
constexpr unsigned most_kept = 1024; // blocks of a class: some batches of a full completion queue

// A sanitizer is to see each use after the free.
constexpr bool recycles = !ZSYNC_HAS_ASAN;

struct free_block
{
    free_block* next;
};

struct free_list
{
    free_block* first;
    unsigned count;
};

// Trivial, so that it can be used by what other thread-local objects free in their destructors.
constinit thread_local free_list cache[classes] = {};
constinit thread_local bool ended = false;

struct at_thread_exit
{
    bool armed = false;

    ~at_thread_exit()
    {
        ended = true;
        for (free_list& each : cache)
        {
            while (each.first)
                ::operator delete(std::exchange(each.first, each.first->next));
            each.count = 0;
        }
    }
};

thread_local at_thread_exit cleanup;

std::size_t class_of(std::size_t bytes) noexcept
{
    return bytes <= smallest ? 0 : static_cast<std::size_t>(std::bit_width((bytes - 1) / smallest));
}

// Takes a block into a list that is empty, or does not, because the list is full or the thread ends. A function of its
// own, so that the others need not save a register for the calls in it.
[[gnu::noinline]] void deallocate_at_the_edge(free_list& list, void* block) noexcept
{
    if (list.count == most_kept || ended)
        return ::operator delete(block);
    cleanup.armed = true; // and so made, once, to be destroyed at the thread's end
    list.first = new (block) free_block{nullptr};
    list.count = 1;
}

} // namespace

void* allocate_recycled(std::size_t bytes)
{
    if (!recycles || bytes > largest)
        return ::operator new(bytes);
    const std::size_t number = class_of(bytes);
    free_list& list = cache[number];
    if (!list.first)
        return ::operator new(smallest << number);
    --list.count;
    return std::exchange(list.first, list.first->next);
}

void deallocate_recycled(void* block, std::size_t bytes) noexcept
{
    if (!recycles || bytes > largest)
        return ::operator delete(block);
    free_list& list = cache[class_of(bytes)];
    if (list.count == 0 || list.count == most_kept) [[unlikely]]
        return deallocate_at_the_edge(list, block);
    list.first = new (block) free_block{list.first};
    ++list.count;
}

} // namespace zsync::detail
