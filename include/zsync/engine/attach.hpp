// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/engine.hpp>

#include <boost/asio/execution_context.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/system/error_code.hpp>

#include <string>

namespace zsync
{

/// Says how a context is to be given a ring.
struct attach_options
{
    /// Entries of the submission queue; the kernel rounds up to a power of two and clamps.
    unsigned ring_entries = 256;

    /// Makes attach() throw the set-up's error where no ring can be had, instead of leaving the context on epoll.
    bool require_ring = false;
};

/// Tells what attach() came to. A value.
struct attach_result
{
    engine_kind engine = engine_kind::reactor; ///< uring, or reactor where no ring can be had
    boost::system::error_code ring_error;      ///< the set-up's error where there is no ring, else none
    std::string why;                           ///< why that is so, as a sentence for people
};

/// Gives an io_context that somebody else has made a ring, as a uring_context has one from the beginning: its scheduler
/// waits in the ring from then on, stock objects are native with <zsync/drop_in.hpp> or by native_executor(), and
/// zsync's handles use the ring. Asio's concurrency hint holds as it was given to the context.
///
/// To be called before the context's first I/O object. What exists already stays on epoll, and so do stock objects of
/// a kind (tcp, udp, steady_timer...) that was used there before. A context that has a ring keeps the one it has; the
/// options then mean nothing. A ring for one thread (`one_thread`) cannot be had in this way: see uring_context.
///
/// Thread safety: no other thread may run or use the context meanwhile. Never blocks.
///
/// @throws boost::system::system_error with `require_ring`, if there is no ring.
attach_result attach(boost::asio::io_context& context, const attach_options& options = {});

/// Gives any other context, such as a boost::asio::thread_pool, a ring as a guest: zsync's handles use it, and its
/// turns are taken on the context's own threads, when Asio's reactor says that the ring has something. Stock objects
/// stay what they are. Each completion then takes a detour over the reactor, so that sockets gain little; files are
/// read and written without holding a thread up, which epoll cannot do.
///
/// To be called before the context's first handle: a context that has an engine keeps it, and attach() tells which.
/// For an io_context that was passed as an execution_context&, too. Thread safety and errors: as above.
attach_result attach(boost::asio::execution_context& context, const attach_options& options = {});

} // namespace zsync
