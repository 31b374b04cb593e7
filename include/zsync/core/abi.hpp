// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/io_context.hpp> // brings every macro below, with Asio's default where the user set none
#include <boost/asio/version.hpp>

#if defined(BOOST_ASIO_USE_TS_EXECUTOR_AS_DEFAULT)
#    error "zsync's handles and contexts use any_io_executor: compile without BOOST_ASIO_USE_TS_EXECUTOR_AS_DEFAULT"
#endif

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

#if defined(BOOST_ASIO_HAS_EVENTFD)
#    define ZSYNC_ABI_EVENTFD eventfd
#else
#    define ZSYNC_ABI_EVENTFD no_eventfd
#endif

// By which a context finds its services. -fno-rtti sets it.
#if defined(BOOST_ASIO_NO_TYPEID)
#    define ZSYNC_ABI_TYPEID no_typeid
#else
#    define ZSYNC_ABI_TYPEID typeid
#endif

#if defined(BOOST_ASIO_NO_EXCEPTIONS)
#    define ZSYNC_ABI_EXCEPTIONS no_exceptions
#else
#    define ZSYNC_ABI_EXCEPTIONS exceptions
#endif

#define ZSYNC_ABI_JOIN_(version, threads, tracking, uring, timerfd, eventfd, typeid_, exceptions, cache)               \
    zsync_built_for_asio_##version##_##threads##_##tracking##_##uring##_##timerfd##_##eventfd##_##typeid_##_##exceptions##_cache_##cache
#define ZSYNC_ABI_JOIN(version, threads, tracking, uring, timerfd, eventfd, typeid_, exceptions, cache)                \
    ZSYNC_ABI_JOIN_(version, threads, tracking, uring, timerfd, eventfd, typeid_, exceptions, cache)
#define ZSYNC_ABI_TAG                                                                                                  \
    ZSYNC_ABI_JOIN(BOOST_ASIO_VERSION, ZSYNC_ABI_THREADS, ZSYNC_ABI_TRACKING, ZSYNC_ABI_URING, ZSYNC_ABI_TIMERFD,      \
                   ZSYNC_ABI_EVENTFD, ZSYNC_ABI_TYPEID, ZSYNC_ABI_EXCEPTIONS,                                          \
                   BOOST_ASIO_RECYCLING_ALLOCATOR_CACHE_SIZE)

extern "C" const char ZSYNC_ABI_TAG;

namespace zsync::detail
{

// A reference that the compiler must keep, in every object that sees this header.
[[gnu::used]] static const char* const abi_tag = &ZSYNC_ABI_TAG;

} // namespace zsync::detail
