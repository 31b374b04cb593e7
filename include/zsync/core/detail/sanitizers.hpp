// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>

// What the sanitizers have to be told by code that manages stacks. ZSYNC_HAS_ASAN and ZSYNC_HAS_TSAN are 0 or 1: GCC
// says it with macros, Clang with __has_feature. Their interface headers come along, for whoever switches stacks.

#if defined(__has_feature)
#    if __has_feature(address_sanitizer)
#        define ZSYNC_HAS_ASAN 1
#    endif
#    if __has_feature(thread_sanitizer)
#        define ZSYNC_HAS_TSAN 1
#    endif
#endif
#if !defined(ZSYNC_HAS_ASAN) && defined(__SANITIZE_ADDRESS__)
#    define ZSYNC_HAS_ASAN 1
#endif
#if !defined(ZSYNC_HAS_TSAN) && defined(__SANITIZE_THREAD__)
#    define ZSYNC_HAS_TSAN 1
#endif
#ifndef ZSYNC_HAS_ASAN
#    define ZSYNC_HAS_ASAN 0
#endif
#ifndef ZSYNC_HAS_TSAN
#    define ZSYNC_HAS_TSAN 0
#endif

#if ZSYNC_HAS_ASAN
#    include <sanitizer/asan_interface.h>
#    include <sanitizer/common_interface_defs.h>
#endif
#if ZSYNC_HAS_TSAN
#    include <sanitizer/tsan_interface.h>
#endif

/// For a function that reads what the sanitizers think nobody may, or runs where they know of no stack.
#define ZSYNC_NO_SANITIZE __attribute__((no_sanitize("address", "thread", "undefined")))

namespace zsync::detail
{

/// Makes AddressSanitizer report every access to this memory; nothing in other builds. `memory` and `bytes` are
/// multiples of 8. Never blocks. Any thread.
inline void poison_memory([[maybe_unused]] const void* memory, [[maybe_unused]] std::size_t bytes) noexcept
{
#if ZSYNC_HAS_ASAN
    __asan_poison_memory_region(memory, bytes);
#endif
}

/// Lets this memory be used again, whatever frames that were never left have marked in it; nothing in other builds.
/// Never blocks. Any thread.
inline void unpoison_memory([[maybe_unused]] const void* memory, [[maybe_unused]] std::size_t bytes) noexcept
{
#if ZSYNC_HAS_ASAN
    __asan_unpoison_memory_region(memory, bytes);
#endif
}

} // namespace zsync::detail
