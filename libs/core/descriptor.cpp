// SPDX-License-Identifier: BSL-1.0
#include <zsync/core/descriptor.hpp>

#include <zsync/core/detail/from_errno.hpp>

#include <boost/assert.hpp>

#include <new>

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace zsync
{

namespace
{

using detail::from_errno;

descriptor_kind kind_of(int descriptor, const struct stat& file) noexcept
{
    if (S_ISREG(file.st_mode) || S_ISDIR(file.st_mode) || S_ISBLK(file.st_mode))
        return descriptor_kind::file;
    if (!S_ISSOCK(file.st_mode))
        return descriptor_kind::pipe;
    int family = 0;
    socklen_t size = sizeof family;
    if (::getsockopt(descriptor, SOL_SOCKET, SO_DOMAIN, &family, &size) == 0 && family == AF_UNIX)
        return descriptor_kind::local_socket;
    return descriptor_kind::inet_socket;
}

} // namespace

descriptor_ptr descriptor_core::make(const io_place& where, int descriptor, descriptor_origin origin,
                                     boost::system::error_code& ec) noexcept
{
    struct stat file;
    if (::fstat(descriptor, &file) < 0)
    {
        ec = from_errno(errno);
        return nullptr;
    }
    auto* const core = new (std::nothrow) descriptor_core(where, descriptor, kind_of(descriptor, file), origin);
    if (!core)
    {
        ec = from_errno(ENOMEM);
        return nullptr;
    }
    descriptor_ptr made(core);
    // A borrowed number may be in use by other handles, too.
    ec = origin == descriptor_origin::borrowed ? boost::system::error_code() : where.io->attach_descriptor(descriptor);
    if (ec)
    {
        core->closed_ = true;
        return nullptr;
    }
    return made;
}

descriptor_ptr descriptor_core::make_direct(const io_place& where, std::uint32_t place, descriptor_kind kind) noexcept
{
    const int name = direct_name(place);
    auto* const core = new (std::nothrow) descriptor_core(where, name, kind, descriptor_origin::opened);
    if (!core)
        where.io->detach_descriptor(name);
    return descriptor_ptr(core);
}

descriptor_core::~descriptor_core()
{
    close();
}

// Returns the descriptor that nothing in flight names any more, or -1.
int descriptor_core::detach() noexcept
{
    if (closed_.exchange(true))
        return -1;
    if (origin_ == descriptor_origin::borrowed)
        io().cancel_descriptor(descriptor_);
    else
        io().detach_descriptor(descriptor_);
    return std::exchange(descriptor_, -1);
}

boost::system::error_code descriptor_core::close() noexcept
{
    const int descriptor = detach();
    // After EINTR, too, Linux has closed it. The engine has closed what has no number.
    if (descriptor < 0 || origin_ == descriptor_origin::borrowed || ::close(descriptor) == 0 || errno == EINTR)
        return {};
    return from_errno(errno);
}

int descriptor_core::release() noexcept
{
    return detach();
}

void descriptor_core::when_idle(idle_waiter& waiter) noexcept
{
    BOOST_ASSERT(!is_open());
    waiter.next = waiters_.load(std::memory_order_relaxed);
    while (!waiters_.compare_exchange_weak(waiter.next, &waiter))
    {
    }
    ended();
}

void descriptor_core::ended() noexcept
{
    if (!idle())
        return;
    const descriptor_ptr self(this); // a waiter may let the last other reference go
    for (idle_waiter* waiter = waiters_.exchange(nullptr); waiter;)
    {
        idle_waiter& current = *waiter;
        waiter = waiter->next;
        current.idle(current);
    }
}

} // namespace zsync
