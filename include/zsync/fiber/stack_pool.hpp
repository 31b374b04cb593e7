// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/detail/sanitizers.hpp>

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <new>
#include <optional>
#include <span>
#include <vector>

namespace zsync
{

/// Names the memory of one stack. It grows down from top(); what lies below `base` is its guard. Shared objects: not
/// safe, as any value.
struct stack_view
{
    std::byte* base = nullptr; ///< The lowest usable byte, at the start of a page; null: no stack.
    std::size_t bytes = 0;     ///< Usable bytes, whole pages.

    /// Returns the end of the memory, where a stack begins; aligned to a page.
    std::byte* top() const noexcept { return base + bytes; }

    friend bool operator==(const stack_view&, const stack_view&) = default;
};

/// Says what stands in the page below a stack.
enum class stack_guard
{
    page_table, ///< MADV_GUARD_INSTALL, since Linux 6.13: an overflow is SIGSEGV; costs neither memory nor a mapping.
    mprotect,   ///< PROT_NONE: an overflow is SIGSEGV; costs two of the mappings that the kernel allows a process.
    canary      ///< A page of zeros, looked at when the stack comes back: an overflow is seen late, or not at all.
};

struct stack_pool_options
{
    /// Usable bytes of a stack, rounded up to whole pages. Only pages that are touched take memory.
    std::size_t stack_bytes = 128 * 1024;

    /// Stacks made at once. Chosen: making 64 keeps the thread for tens of microseconds (most of it for their guards,
    /// one by one), and what each then pays for the mapping is small against its first page fault.
    std::size_t stacks_per_slab = 64;

    /// Zeroes what a fiber left in its stack, as soon as it comes back: the upper 16 KiB are overwritten, and keep
    /// their pages; those below are given back. A system call each time, and page faults for who gets deeper again.
    bool scrub = false;

    /// How many guards of this pool may be of mprotect(2). Each splits mappings in two, of which the kernel allows a
    /// process 65,530 (vm.max_map_count); the default is for half of them. Divide it among the pools of a process.
    std::size_t mprotect_budget = 16'384;

    /// The best kind of guard to be tried, for tests; those after it stand in for it as ever. None: all are tried.
    std::optional<stack_guard> force_guard{};

    /// How many free stacks keep the pages they have touched. The pages of those that lie unused longest are given
    /// back, 16 stacks at a time. Chosen: 8 MiB if each uses two pages; at most keep_warm * stack_bytes.
    std::size_t keep_warm = 1024;
};

/// Holds what a pool has counted.
struct stack_counters
{
    std::uint64_t taken = 0;         ///< Calls of take() that gave a stack.
    std::uint64_t trimmed = 0;       ///< Times that a free stack's pages were given back.
    std::size_t alive = 0;           ///< Stacks that are taken now.
    std::size_t peak = 0;            ///< The most that ever were.
    std::size_t warm = 0;            ///< Free stacks that keep their pages.
    std::size_t slabs = 0;           ///< Mappings that the stacks were cut from.
    std::size_t guards_mprotect = 0; ///< Stacks, free or not, with a guard of mprotect(2).
    std::size_t guards_missing = 0;  ///< Stacks, free or not, with nothing but a canary.

    friend bool operator==(const stack_counters&, const stack_counters&) = default;
};

/// Makes, guards and recycles the stacks of fibers.
///
/// Stacks are cut from slabs of address space that go back to the system with the pool. A stack that comes back is the
/// next to be taken, with its pages in place; taking it costs nanoseconds, a page fault each what it touches anew.
/// Thread safety: distinct objects safe, shared objects one thread at a time. A fork(2) copies it like any memory.
///
/// A guard is one page: a function with a larger frame may step over it, unless compiled with
/// -fstack-clash-protection. Under AddressSanitizer a free stack is poisoned.
class stack_pool
{
public:
    /// Maps nothing yet. Both sizes must be at least 1. Never blocks.
    explicit stack_pool(const stack_pool_options& options = {});

    /// Unmaps all stacks; every one must have come back.
    ~stack_pool();
    stack_pool(const stack_pool&) = delete;
    stack_pool& operator=(const stack_pool&) = delete;

    /// Takes a stack. What it holds is unspecified: zeros with `scrub`, else what its last user left. Never blocks
    /// except for the kernel's lock of the address space, when it makes a slab.
    ///
    /// @throws std::bad_alloc if no memory may be mapped: RLIMIT_AS, vm.max_map_count. Nothing has changed then.
    [[nodiscard]] stack_view take()
    {
        if (warm_ == 0) [[unlikely]]
            return take_cold();
        free_stack* const stack = warmest_;
        warmest_ = stack->next;
        --warm_;
        *stack = {}; // a scrubbed stack is zeros to the top
        return count_taken(reinterpret_cast<std::byte*>(stack + 1) - stack_bytes_);
    }

    /// Takes a stack back; nothing may run on it or point into it any more. Aborts the process, with a message on
    /// standard error, if its guard is a canary and somebody wrote there: other memory may be corrupt too. Never
    /// blocks, but for the system calls of `scrub`, of a canary's first check and of giving pages back.
    void give_back(stack_view stack) noexcept
    {
        assert(stack.base && stack.bytes == stack_bytes_ && alive_ > 0);
        detail::unpoison_memory(stack.base, stack.bytes);
        if (checks_) [[unlikely]]
            check_and_scrub(stack);
        auto* const place = ::new (stack.top() - sizeof(free_stack)) free_stack{warmest_, nullptr};
        detail::poison_memory(stack.base, stack.bytes - sizeof(free_stack));
        (warm_ == 0 ? coldest_ : warmest_->warmer) = place;
        warmest_ = place;
        --alive_;
        if (++warm_ >= trim_at_) [[unlikely]]
            trim(keep_warm_);
    }

    /// Gives the pages of free stacks back, but of so many that came back last. Their address space stays. A system
    /// call for each 16 stacks that lie side by side, or for a stack that lies alone; before the pool has seen a stack
    /// used up, another for each, to keep high_water(). Never blocks.
    void trim(std::size_t keep = 0) noexcept;

    /// Returns the usable bytes of each stack. Never blocks.
    std::size_t stack_bytes() const noexcept { return stack_bytes_; }

    /// Returns how many stacks there are, taken or free. Never blocks.
    std::size_t size() const noexcept { return slabs_.size() * stacks_per_slab_; }

    /// Returns how often take() has given a stack. Never blocks.
    std::uint64_t taken() const noexcept { return taken_; }

    /// Returns what has been counted. Never blocks.
    stack_counters counters() const noexcept;

    /// Returns the kind of guard of a stack of this pool. Never blocks.
    stack_guard guard_of(stack_view stack) const noexcept;

    /// Says whether some stacks have nothing but a canary. Never blocks.
    bool has_canaries() const noexcept { return guards_missing_ != 0; }

    /// Says whether the page below a stack is as it was; true where the guard is no canary. An overflow that writes
    /// zeros, or steps over the page, is not seen. Never blocks, but for page faults.
    bool canary_intact(stack_view stack) const noexcept;

    /// Returns how many bytes below its top a stack has used, by all its users since its pages were last given back:
    /// whole pages, by mincore(2). Pages that were swapped out do not count. Zero if the kernel does not tell. A system
    /// call; never blocks.
    std::size_t high_water(stack_view stack) const noexcept;

    /// Returns the most that this is, or was, of any stack of the pool. A system call for each stack there is, free or
    /// not; never blocks.
    std::size_t high_water() const noexcept;

private:
    // Stands in the uppermost bytes of a free stack that keeps its pages: memory that its next user touches anyway.
    struct free_stack
    {
        free_stack* next = nullptr;   // came back before this one; indeterminate in the coldest
        free_stack* warmer = nullptr; // came back after this one; indeterminate in the warmest
    };

    struct slab
    {
        std::byte* memory;
        stack_guard guard;
        std::size_t guarded; // the first stacks, that have such a guard; canaries stand below the others
    };

    stack_view count_taken(std::byte* base) noexcept
    {
        detail::unpoison_memory(base, stack_bytes_);
        ++taken_;
        if (++alive_ > peak_)
            peak_ = alive_;
        return {base, stack_bytes_};
    }

    stack_view take_cold();
    void add_slab();
    slab install_guards(std::byte* memory) noexcept;
    void check_and_scrub(stack_view stack) noexcept;
    void scrub(stack_view stack) const noexcept;
    void note_high_water(stack_view stack) noexcept;
    std::byte* take_coldest() noexcept;
    void give_pages_back(std::span<std::byte*> bases) noexcept;

    std::size_t stride() const noexcept { return page_ + stack_bytes_; }
    std::size_t slab_bytes() const noexcept { return stride() * stacks_per_slab_; }

    // The hot fields first. Not `taken_` beside `alive_`: a compiler loads both at once then, which waits for the last
    // store of one of them.
    free_stack* warmest_ = nullptr;
    std::size_t warm_ = 0;
    std::size_t stack_bytes_;
    std::uint64_t taken_ = 0;
    std::size_t peak_ = 0;
    std::size_t alive_ = 0;
    std::size_t trim_at_;
    bool checks_; // there are canaries to check, or every stack is to be scrubbed
    bool scrub_;
    stack_guard best_guard_; // that the kernel may still have
    free_stack* coldest_ = nullptr;
    std::size_t page_;
    std::size_t stacks_per_slab_;
    std::size_t keep_warm_;
    std::size_t mprotect_left_;
    std::uint64_t trimmed_ = 0;
    std::size_t deepest_ = 0; // of stacks whose pages have been given back since
    std::size_t guards_mprotect_ = 0;
    std::size_t guards_missing_ = 0;
    std::vector<std::byte*> cold_; // free, never touched or pages given back; has room for all stacks of all slabs
    std::vector<slab> slabs_;      // by address
};

} // namespace zsync
