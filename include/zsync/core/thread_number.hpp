// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <cstdint>

namespace zsync
{

/// Returns a number that no other thread of this process has or has had, which neither std::thread::id nor gettid(2)
/// promises: a thread that starts when another has ended may well get that one's. Never 0. Never blocks.
[[gnu::noinline]] inline std::uint64_t this_thread_number() noexcept
{
    static std::atomic<std::uint64_t> given{0};
    thread_local const std::uint64_t number = given.fetch_add(1, std::memory_order_relaxed) + 1;
    return number;
}

} // namespace zsync
