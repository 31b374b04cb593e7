// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/execution_context.hpp>

namespace zsync::detail
{

/// Tells that a part of this process was compiled with <zsync/drop_in.hpp>. Any thread; never blocks.
void note_drop_in() noexcept;

/// Ends the process, with a message on standard error, if a context with a ring holds a service of sockets, descriptors
/// or timers that only a part compiled without <zsync/drop_in.hpp> can have made there, while other parts were compiled
/// with it: such objects have two layouts in one program. Does nothing in programs without the header. Takes the context's lock.
void check_drop_in(boost::asio::execution_context& context) noexcept;

} // namespace zsync::detail
