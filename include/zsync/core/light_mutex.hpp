// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/detail/single_threaded.hpp>

#include <atomic>

namespace zsync
{

/// A mutex for sections of some ten instructions: one atomic instruction to lock and one to unlock, both inline, as
/// long as nobody waits; none in a process of one thread. Can be built without locking, for users who promise that
/// there is one thread.
///
/// A contended lock() blocks the thread (futex(2) through std::atomic::wait). Not recursive, not fair.
class light_mutex
{
public:
    explicit light_mutex(bool locking = true) noexcept : locking_(locking) {}
    light_mutex(const light_mutex&) = delete;
    light_mutex& operator=(const light_mutex&) = delete;

    void lock() noexcept
    {
        if (!try_lock()) [[unlikely]]
            lock_contended();
    }

    bool try_lock() noexcept
    {
        if (!locking_)
            return true;
        int expected = free;
        if (!detail::single_threaded())
            return state_.compare_exchange_strong(expected, held, std::memory_order_acquire);
        // The same without an atomic instruction: whatever thread is started meanwhile finds the state as it is.
        if (state_.load(std::memory_order_relaxed) != free)
            return false;
        state_.store(held, std::memory_order_relaxed);
        return true;
    }

    void unlock() noexcept
    {
        if (!locking_)
            return;
        if (detail::single_threaded())
            state_.store(free, std::memory_order_relaxed);
        else if (state_.exchange(free, std::memory_order_release) == contended) [[unlikely]]
            notify();
    }

private:
    static constexpr int free = 0;
    static constexpr int held = 1;
    static constexpr int contended = 2; // held, and somebody may be waiting

    // Whoever has waited takes the lock as contended, because others may be waiting still: one superfluous notify at
    // most, and never a lost one.
    [[gnu::noinline, gnu::cold]] void lock_contended() noexcept
    {
        for (int spins = 0; spins < 100; ++spins)
        {
            if (try_lock())
                return;
            if (state_.load(std::memory_order_relaxed) == contended)
                break;
        }
        while (state_.exchange(contended, std::memory_order_acquire) != free)
            state_.wait(contended, std::memory_order_relaxed);
    }

    [[gnu::noinline, gnu::cold]] void notify() noexcept { state_.notify_one(); }

    // Written by whoever locks and unlocks; acquire at the one pairs with release at the other.
    std::atomic<int> state_{free};
    const bool locking_;
};

} // namespace zsync
