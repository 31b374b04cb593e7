// SPDX-License-Identifier: BSL-1.0
#pragma once

#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#define ZSYNC_HAS_LIBC_SINGLE_THREADED 1
#else
#define ZSYNC_HAS_LIBC_SINGLE_THREADED 0
#endif

namespace zsync::detail
{

/// This process has one thread: plain loads and stores do for what is atomic otherwise, at a fifth of the time. False
/// where the C library cannot tell. Ask again each time: a thread that is started sees all that was done before.
inline bool single_threaded() noexcept
{
#if ZSYNC_HAS_LIBC_SINGLE_THREADED
    return __libc_single_threaded;
#else
    return false;
#endif
}

} // namespace zsync::detail
