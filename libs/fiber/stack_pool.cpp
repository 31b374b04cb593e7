// SPDX-License-Identifier: BSL-1.0
#include <zsync/fiber/stack_pool.hpp>

#include <zsync/platform/memory.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <span>

#include <sys/mman.h>

// Available since kernel 6.13; the headers of Linux 6.1 and glibc 2.36 lack it.
#ifndef MADV_GUARD_INSTALL
#    define MADV_GUARD_INSTALL 102
#endif

namespace zsync
{
namespace
{

// Free stacks whose pages are given back at once. Chosen: a pause of some ten microseconds at most.
constexpr std::size_t trim_batch = 16;

// What scrubbing overwrites; the pages below are given back. Chosen: few fibers get deeper, and 16 KiB of zeros cost
// less than one of the page faults that the next user would have instead.
constexpr std::size_t zeroed_bytes = 16 * 1024;

std::size_t round_up(std::size_t bytes, std::size_t page)
{
    if (bytes > std::numeric_limits<std::size_t>::max() / 2)
        throw std::bad_alloc();
    return (bytes + page - 1) / page * page;
}

} // namespace

stack_pool::stack_pool(const stack_pool_options& options)
    : checks_(options.scrub),
      scrub_(options.scrub),
      best_guard_(options.force_guard.value_or(stack_guard::page_table)),
      page_(page_size()),
      stacks_per_slab_(options.stacks_per_slab),
      keep_warm_(options.keep_warm),
      mprotect_left_(options.mprotect_budget)
{
    assert(options.stack_bytes > 0 && options.stacks_per_slab > 0);
    stack_bytes_ = round_up(options.stack_bytes, page_);
    // A product that does not fit would map less than is then cut up.
    if (stacks_per_slab_ > std::numeric_limits<std::size_t>::max() / stride())
        throw std::bad_alloc();
    trim_at_ = keep_warm_ + std::min(trim_batch, std::numeric_limits<std::size_t>::max() - keep_warm_);
}

stack_pool::~stack_pool()
{
    assert(alive_ == 0);
    for (const slab& each : slabs_)
    {
        detail::unpoison_memory(each.memory, slab_bytes()); // others will be mapped here
        ::munmap(each.memory, slab_bytes());
    }
}

stack_view stack_pool::take_cold()
{
    if (cold_.empty())
        add_slab();
    std::byte* const base = cold_.back();
    cold_.pop_back();
    return count_taken(base);
}

void stack_pool::add_slab()
{
    // Before anything is mapped, whatever may throw. Doubling: reserve() alone would copy all of it each time.
    const std::size_t stacks = (slabs_.size() + 1) * stacks_per_slab_;
    if (cold_.capacity() < stacks)
        cold_.reserve(std::max(stacks, 2 * cold_.capacity()));
    if (slabs_.capacity() == slabs_.size())
        slabs_.reserve(std::max<std::size_t>(8, 2 * slabs_.size()));

    // NORESERVE: where the kernel counts promises of memory, a stack is one that is hardly ever kept. STACK means no
    // huge pages, but since kernel 6.7 only; and 2 MiB at the first touch of a stack would be the end of small ones.
    void* const memory = ::mmap(nullptr, slab_bytes(), PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (memory == MAP_FAILED)
        throw std::bad_alloc();
    ::madvise(memory, slab_bytes(), MADV_NOHUGEPAGE); // EINVAL: a kernel that has none

    const slab made = install_guards(static_cast<std::byte*>(memory));
    const auto place = std::upper_bound(slabs_.begin(), slabs_.end(), made.memory,
                                        [](const std::byte* at, const slab& each) { return at < each.memory; });
    slabs_.insert(place, made);
    for (std::size_t index = stacks_per_slab_; index-- > 0;)
        cold_.push_back(made.memory + index * stride() + page_);
}

stack_pool::slab stack_pool::install_guards(std::byte* memory) noexcept
{
    std::size_t guarded = 0;
    if (best_guard_ == stack_guard::page_table)
    {
        while (guarded < stacks_per_slab_ && ::madvise(memory + guarded * stride(), page_, MADV_GUARD_INSTALL) == 0)
            ++guarded;
        // EINVAL at the first: an older kernel, a sandbox, or memory locked by mlockall(2). Anything else, such as no
        // memory for page tables, will pass; the rest of this slab has canaries then.
        if (guarded == 0 && errno == EINVAL)
            best_guard_ = stack_guard::mprotect;
    }
    const stack_guard guard = best_guard_;
    if (guard == stack_guard::mprotect)
    {
        while (guarded < stacks_per_slab_ && mprotect_left_ > 0 &&
               ::mprotect(memory + guarded * stride(), page_, PROT_NONE) == 0)
        {
            ++guarded;
            --mprotect_left_;
        }
        guards_mprotect_ += guarded;
        // Out of budget, or of mappings: leave what few there are to the rest of the process.
        if (guarded < stacks_per_slab_)
            best_guard_ = stack_guard::canary;
    }
    guards_missing_ += stacks_per_slab_ - guarded;
    checks_ = scrub_ || guards_missing_ != 0;
    return {memory, guard, guarded};
}

stack_counters stack_pool::counters() const noexcept
{
    return {.taken = taken_,
            .trimmed = trimmed_,
            .alive = alive_,
            .peak = peak_,
            .warm = warm_,
            .slabs = slabs_.size(),
            .guards_mprotect = guards_mprotect_,
            .guards_missing = guards_missing_};
}

stack_guard stack_pool::guard_of(stack_view stack) const noexcept
{
    const auto next = std::upper_bound(slabs_.begin(), slabs_.end(), stack.base,
                                       [](const std::byte* at, const slab& each) { return at < each.memory; });
    assert(next != slabs_.begin());
    const slab& home = next[-1];
    const auto offset = static_cast<std::size_t>(stack.base - home.memory);
    assert(offset < slab_bytes() && offset % stride() == page_);
    return offset / stride() < home.guarded ? home.guard : stack_guard::canary;
}

bool stack_pool::canary_intact(stack_view stack) const noexcept
{
    if (guard_of(stack) != stack_guard::canary)
        return true;
    // Zeros, for a page that was only ever read is the kernel's one page of zeros: the canary takes no memory.
    const std::byte* const canary = stack.base - page_;
    detail::unpoison_memory(canary, page_); // a frame that overflowed marks what it takes for its own
    return canary[0] == std::byte{} && std::memcmp(canary, canary + 1, page_ - 1) == 0;
}

std::size_t stack_pool::high_water(stack_view stack) const noexcept
{
    std::array<unsigned char, 256> resident;
    for (std::size_t unused = 0; unused < stack.bytes;)
    {
        const std::size_t pages = std::min(resident.size(), (stack.bytes - unused) / page_);
        if (::mincore(stack.base + unused, pages * page_, resident.data()) != 0)
            return 0;
        for (std::size_t index = 0; index < pages; ++index, unused += page_)
            if (resident[index] & 1)
                return stack.bytes - unused;
    }
    return 0;
}

std::size_t stack_pool::high_water() const noexcept
{
    std::size_t most = deepest_;
    for (const slab& each : slabs_)
        for (std::size_t index = 0; index < stacks_per_slab_ && most < stack_bytes_; ++index)
            most = std::max(most, high_water({each.memory + index * stride() + page_, stack_bytes_}));
    return most;
}

void stack_pool::note_high_water(stack_view stack) noexcept
{
    if (deepest_ < stack_bytes_)
        deepest_ = std::max(deepest_, high_water(stack));
}

void stack_pool::check_and_scrub(stack_view stack) noexcept
{
    if (!canary_intact(stack))
    {
        std::fprintf(stderr, "zsync: the fiber stack of %zu bytes at %p overflowed; memory may be corrupt\n",
                     stack.bytes, static_cast<void*>(stack.base));
        std::abort();
    }
    if (scrub_)
    {
        note_high_water(stack);
        scrub(stack);
    }
}

void stack_pool::scrub(stack_view stack) const noexcept
{
    // Which pages were touched is not asked: mincore(2) costs more than it saves, and leaves out those swapped out.
    const std::size_t kept = stack.bytes < zeroed_bytes ? stack.bytes : zeroed_bytes / page_ * page_;
    const std::size_t given_back = stack.bytes - kept;
    // EINVAL: locked memory cannot be given back.
    const bool all = given_back != 0 && ::madvise(stack.base, given_back, MADV_DONTNEED) != 0;
    std::memset(all ? stack.base : stack.base + given_back, 0, all ? stack.bytes : kept);
}

void stack_pool::trim(std::size_t keep) noexcept
{
    std::array<std::byte*, trim_batch> bases;
    while (warm_ > keep)
    {
        const auto end = bases.begin() + static_cast<std::ptrdiff_t>(std::min(bases.size(), warm_ - keep));
        std::generate(bases.begin(), end, [this] { return take_coldest(); });
        give_pages_back({bases.begin(), end});
    }
}

std::byte* stack_pool::take_coldest() noexcept
{
    free_stack* const stack = coldest_;
    coldest_ = stack->warmer;
    --warm_;
    *stack = {}; // for locked memory, which keeps its pages
    return reinterpret_cast<std::byte*>(stack + 1) - stack_bytes_;
}

void stack_pool::give_pages_back(std::span<std::byte*> bases) noexcept
{
    trimmed_ += bases.size();
    // Those that lie side by side together, as stacks of fibers do that ended together: each call interrupts all
    // processors that run threads of this process. Guards are no pages to be given back, and a canary stays zero.
    std::sort(bases.begin(), bases.end(), std::greater<>());
    for (auto highest = bases.begin(); highest != bases.end();)
    {
        const auto next = std::adjacent_find(highest, bases.end(),
                                             [this](const std::byte* upper, const std::byte* lower)
                                             { return upper - lower != static_cast<std::ptrdiff_t>(stride()); });
        const auto lowest = next == bases.end() ? next - 1 : next;
        for (auto each = highest; each <= lowest; ++each)
            note_high_water({*each, stack_bytes_});
        // Not MADV_FREE: its pages still count as ours until memory is short, and may come back as they were.
        ::madvise(*lowest, static_cast<std::size_t>(*highest + stack_bytes_ - *lowest), MADV_DONTNEED);
        highest = lowest + 1;
    }
    cold_.insert(cold_.end(), bases.begin(), bases.end()); // the lowest is the first to be taken, as in a new slab
}

} // namespace zsync
