// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/io_context.hpp> // brings every macro below, with Asio's default where the user set none
#include <boost/asio/version.hpp>

// Asio's types have another layout with another version or with some of its macros, and some of them cross the border
// of the compiled library. The name of the symbol below says with which this translation unit was compiled. The library
// defines the symbol of its own configuration only, so that a mismatch is an undefined reference that names it,
// instead of a crash. Compile both with the same macros.

#if defined(BOOST_ASIO_DISABLE_THREADS)
#    define ZSYNC_ABI_THREADS no_threads
#else
#    define ZSYNC_ABI_THREADS threads
#endif

#if defined(BOOST_ASIO_ENABLE_HANDLER_TRACKING) || defined(BOOST_ASIO_CUSTOM_HANDLER_TRACKING)
#    define ZSYNC_ABI_TRACKING tracking
#else
#    define ZSYNC_ABI_TRACKING no_tracking
#endif

#if defined(BOOST_ASIO_HAS_IO_URING)
#    define ZSYNC_ABI_URING asio_uring
#else
#    define ZSYNC_ABI_URING no_asio_uring
#endif

#if defined(BOOST_ASIO_HAS_TIMERFD)
#    define ZSYNC_ABI_TIMERFD timerfd
#else
#    define ZSYNC_ABI_TIMERFD no_timerfd
#endif

#if defined(BOOST_ASIO_NO_EXCEPTIONS)
#    define ZSYNC_ABI_EXCEPTIONS no_exceptions
#else
#    define ZSYNC_ABI_EXCEPTIONS exceptions
#endif

#define ZSYNC_ABI_JOIN_(version, threads, tracking, uring, timerfd, exceptions, cache)                                 \
    zsync_built_for_asio_##version##_##threads##_##tracking##_##uring##_##timerfd##_##exceptions##_cache_##cache
#define ZSYNC_ABI_JOIN(version, threads, tracking, uring, timerfd, exceptions, cache)                                  \
    ZSYNC_ABI_JOIN_(version, threads, tracking, uring, timerfd, exceptions, cache)
#define ZSYNC_ABI_TAG                                                                                                  \
    ZSYNC_ABI_JOIN(BOOST_ASIO_VERSION, ZSYNC_ABI_THREADS, ZSYNC_ABI_TRACKING, ZSYNC_ABI_URING, ZSYNC_ABI_TIMERFD,      \
                   ZSYNC_ABI_EXCEPTIONS, BOOST_ASIO_RECYCLING_ALLOCATOR_CACHE_SIZE)

extern "C" const char ZSYNC_ABI_TAG;

namespace zsync::detail
{

// A reference that the compiler must keep, in every object that sees this header.
[[gnu::used]] static const char* const abi_tag = &ZSYNC_ABI_TAG;

} // namespace zsync::detail
