// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace zsync::detail
{

/// Tells the CPU that this is a loop that waits for memory to change: it then leaves more to its other hardware thread.
inline void cpu_pause() noexcept
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

} // namespace zsync::detail
