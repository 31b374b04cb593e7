// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/descriptor.hpp>
#include <zsync/core/engine.hpp>

#include <boost/asio/execution_context.hpp>

namespace zsync
{

/// Returns the engine that performs the operations of a context's handles: the one place that chooses.
///
/// A context of ours has its own: that of its loop; a uring_context's ring. Another has the ring that attach() has
/// given it. Any other (io_context, thread_pool, a uring_context without a ring) is given an epoll engine, as a
/// service, at the first call: its turns are taken on the context's own threads, when Asio's reactor says so. Asio
/// starts a thread of its own for a context that is neither Asio's nor ours. Never blocks; any thread; takes the
/// context's lock. The engine lives as long as the context.
///
/// Whatever is started must keep the context's run functions from returning by work of its own (executors that track
/// it); the engine counts none. The `sink` that completion functions are handed is not to be used: each context has its
/// own meaning for it. They may be called on any thread that runs the context, and post from there.
///
/// @throws boost::system::system_error, std::bad_alloc if there is no engine to be had.
engine& engine_for(boost::asio::execution_context& context);

/// The same with all that a handle keeps of its context.
io_place place_of(boost::asio::execution_context& context);

/// Makes buffers for the receives of a context's handles, beside those that the context has: see buffer_view. Null
/// where its engine does not receive into such. Never blocks. Any thread. @throws std::bad_alloc
buffer_pool_ptr make_buffers(boost::asio::execution_context& context, const buffer_options& options);

/// Tries the sends and writes that were started on a descriptor and that the kernel has not seen: to be called before
/// what has to come after them, such as shutdown(2). Does not block, but for a file's storage. Any thread.
void try_sends(engine& io, int descriptor) noexcept;

} // namespace zsync
