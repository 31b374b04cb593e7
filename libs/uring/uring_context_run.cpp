// SPDX-License-Identifier: BSL-1.0
#include <zsync/uring/uring_context.hpp>

namespace zsync
{

// Alone in its file, so that Asio's scheduler has one caller here and the compiler puts what runs a handler into the
// loop around it. Beside poll() and run_one() that is a call, and a dozen registers to save, for each handler.
uring_context::count_type uring_context::run()
{
    const run_scope inside(*this);
    return boost::asio::io_context::run();
}

} // namespace zsync
