// SPDX-License-Identifier: BSL-1.0
#include <zsync/uring/detail/drop_in_check.hpp>

#include <zsync/uring/detail/asio_foreign.hpp>
#include <zsync/uring/detail/drop_in_marker.hpp> // this object asks for the services and makes none

#include <atomic>
#include <cstdio>
#include <cstdlib>

namespace zsync::detail
{

namespace
{

// A fact about the whole process, like the definitions it is about: written by the initialisers of its objects and
// shared libraries, read by every ring. Never cleared: what a library that is gone has made may still be there.
std::atomic<bool> seen{false};

} // namespace

void note_drop_in() noexcept
{
    seen.store(true, std::memory_order_relaxed);
}

void check_drop_in(boost::asio::execution_context& context) noexcept
{
    if (!seen.load(std::memory_order_relaxed))
        return;
    const char* const foreign = foreign_object(context);
    if (!foreign)
        return;
    std::fprintf(stderr,
                 "zsync: on a context with a ring there is %s from a part of this program that was compiled without "
                 "<zsync/drop_in.hpp>, while other parts were compiled with it. Compile all of them with it (a shared "
                 "library, too), or none: see docs/drop-in.md.\n",
                 foreign);
    std::abort();
}

} // namespace zsync::detail
