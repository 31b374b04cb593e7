// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cerrno>
#include <string_view>
#include <system_error>
#include <utility>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

namespace test
{

/// Owns a file descriptor.
class descriptor
{
public:
    descriptor() noexcept = default;
    explicit descriptor(int fd) : fd_(fd)
    {
        if (fd < 0)
            throw std::system_error(errno, std::system_category(), "descriptor");
    }
    descriptor(descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    descriptor& operator=(descriptor&& other) noexcept
    {
        if (this != &other)
        {
            reset();
            fd_ = std::exchange(other.fd_, -1);
        }
        return *this;
    }
    ~descriptor() { reset(); }

    int get() const noexcept { return fd_; }
    int release() noexcept { return std::exchange(fd_, -1); }
    void reset() noexcept
    {
        if (fd_ >= 0)
            ::close(std::exchange(fd_, -1));
    }

private:
    int fd_ = -1;
};

/// Two ends of something. Of a pipe, `first` is the one to read from.
struct two_ends
{
    descriptor first;
    descriptor second;
};

inline two_ends make_socket_pair(int flags = 0, int type = SOCK_STREAM)
{
    int ends[2] = {-1, -1};
    if (::socketpair(AF_UNIX, type | SOCK_CLOEXEC | flags, 0, ends) != 0)
        throw std::system_error(errno, std::system_category(), "socketpair");
    return {descriptor(ends[0]), descriptor(ends[1])};
}

inline two_ends make_pipe(int flags = 0)
{
    int ends[2] = {-1, -1};
    if (::pipe2(ends, O_CLOEXEC | flags) != 0)
        throw std::system_error(errno, std::system_category(), "pipe2");
    return {descriptor(ends[0]), descriptor(ends[1])};
}

/// A file in memory.
inline descriptor make_file(std::string_view content = {})
{
    descriptor file(::memfd_create("test", MFD_CLOEXEC));
    if (::pwrite(file.get(), content.data(), content.size(), 0) != static_cast<ssize_t>(content.size()))
        throw std::system_error(errno, std::system_category(), "pwrite");
    return file;
}

inline descriptor make_tcp_socket(int flags = 0)
{
    return descriptor(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0));
}

/// A TCP socket that listens on a free port of 127.0.0.1, and its address.
struct loopback_listener
{
    descriptor socket = make_tcp_socket();
    sockaddr_in address{};

    explicit loopback_listener(int backlog = SOMAXCONN)
    {
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        if (::bind(socket.get(), name(), size) != 0 || ::listen(socket.get(), backlog) != 0 ||
            ::getsockname(socket.get(), name(), &size) != 0)
            throw std::system_error(errno, std::system_category(), "listener");
    }

    sockaddr* name() noexcept { return reinterpret_cast<sockaddr*>(&address); }

    /// Returns a socket that is connected to it, or is just being so if `flags` say SOCK_NONBLOCK.
    descriptor connect(int flags = 0)
    {
        descriptor peer = make_tcp_socket(flags);
        if (::connect(peer.get(), name(), sizeof address) != 0 && errno != EINPROGRESS)
            throw std::system_error(errno, std::system_category(), "connect");
        return peer;
    }
};

} // namespace test
