// SPDX-License-Identifier: BSL-1.0
#include <zsync/net/socket.hpp>

#include <boost/system/system_error.hpp>

#include <cerrno>

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

namespace zsync
{

namespace
{

boost::system::error_code error_after(int result) noexcept
{
    return result < 0 ? boost::system::error_code(errno, boost::system::system_category())
                      : boost::system::error_code();
}

endpoint name_of(int descriptor, int (*ask)(int, sockaddr*, socklen_t*), boost::system::error_code& ec) noexcept
{
    endpoint name;
    *name.size_address() = static_cast<socklen_t>(endpoint::capacity());
    ec = error_after(ask(descriptor, name.data(), name.size_address()));
    return ec ? endpoint() : name;
}

} // namespace

void socket::throw_if(const boost::system::error_code& ec, const char* what)
{
    if (ec)
        throw boost::system::system_error(ec, what);
}

std::uint32_t socket::events_of(wait_type what) noexcept
{
    return what == wait_read ? POLLIN : what == wait_write ? POLLOUT : POLLPRI | POLLERR;
}

void socket::open_as(int family, int type, boost::system::error_code& ec)
{
    const io_place where = place();
    const int flags = where.io->kind() == engine_kind::blocking ? SOCK_CLOEXEC : SOCK_CLOEXEC | SOCK_NONBLOCK;
    const int descriptor = ::socket(family, type | flags, 0);
    ec = error_after(descriptor);
    if (!ec)
        adopt(descriptor, descriptor_origin::opened, ec);
}

int socket::family() const noexcept
{
    int value = AF_UNSPEC;
    socklen_t size = sizeof value;
    return ::getsockopt(native_handle(), SOL_SOCKET, SO_DOMAIN, &value, &size) < 0 ? AF_UNSPEC : value;
}

endpoint socket::local_endpoint(boost::system::error_code& ec) const noexcept
{
    return name_of(native_handle(), &::getsockname, ec);
}

endpoint socket::local_endpoint() const
{
    boost::system::error_code ec;
    const endpoint name = local_endpoint(ec);
    throw_if(ec, "local_endpoint");
    return name;
}

endpoint socket::remote_endpoint(boost::system::error_code& ec) const noexcept
{
    return name_of(native_handle(), &::getpeername, ec);
}

endpoint socket::remote_endpoint() const
{
    boost::system::error_code ec;
    const endpoint name = remote_endpoint(ec);
    throw_if(ec, "remote_endpoint");
    return name;
}

void socket::bind(const endpoint& local, boost::system::error_code& ec) noexcept
{
    ec = error_after(::bind(native_handle(), local.data(), static_cast<socklen_t>(local.size())));
}

void socket::bind(const endpoint& local)
{
    boost::system::error_code ec;
    bind(local, ec);
    throw_if(ec, "bind");
}

std::size_t socket::available(boost::system::error_code& ec) const noexcept
{
    int bytes = 0;
    ec = error_after(::ioctl(native_handle(), FIONREAD, &bytes));
    return ec ? 0 : static_cast<std::size_t>(bytes);
}

std::size_t socket::available() const
{
    boost::system::error_code ec;
    const std::size_t bytes = available(ec);
    throw_if(ec, "available");
    return bytes;
}

void socket::set_raw_option(int level, int name, const void* data, std::size_t size,
                            boost::system::error_code& ec) noexcept
{
    ec = error_after(::setsockopt(native_handle(), level, name, data, static_cast<socklen_t>(size)));
}

void socket::get_raw_option(int level, int name, void* data, std::size_t& size,
                            boost::system::error_code& ec) const noexcept
{
    auto length = static_cast<socklen_t>(size);
    ec = error_after(::getsockopt(native_handle(), level, name, data, &length));
    size = length;
}

} // namespace zsync
