// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <iosfwd>

namespace zsync
{

class fiber_context;

/// Writes what each fiber of a context is about: id and name; whether it runs, is ready, or waits, for what and how
/// long (to the precision of a turn of the loop, and of the kernel's tick); its stack; and its frames, by name.
///
/// Fibers that run posted functions and handlers are listed where these wait. Functions have names where the program is
/// not stripped, or else exports them (-rdynamic); an offset is what addr2line(1) takes.
///
/// @par Thread safety
/// On the thread that runs the context, from a fiber or a handler: never blocks. On another one while the context is
/// being run: asks the loop, and waits until it comes round, which takes as long as what runs there; where run()
/// returns before that, until the next one. Suspends a fiber, blocks a thread; not a cancellation point. While no
/// thread runs the context: at once, and none may begin to.
///
/// What is written takes the loop some microseconds a fiber; the names are found by the calling thread, in some
/// milliseconds the first time.
///
/// @throws std::bad_alloc; what the stream throws; system_error with resource_deadlock_would_occur where the caller
/// must
///         not wait, with operation_aborted if the context is destroyed meanwhile.
void dump_fibers(fiber_context& context, std::ostream& out);

} // namespace zsync
