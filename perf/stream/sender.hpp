// SPDX-License-Identifier: BSL-1.0
#pragma once

// Who sends what the cells of this suite receive: a process of its own, so that its CPU time is not theirs.

#include "harness/pinning.hpp"

#include <array>
#include <cerrno>
#include <cstdint>
#include <system_error>
#include <vector>

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace perf
{

/// A process that writes so many bytes to a socket pair, 64 KiB a call. It gets the second of the cell's CPUs, if there
/// are two, and the cell the first.
class sender
{
public:
    explicit sender(std::uint64_t bytes)
    {
        std::array<int, 2> ends{};
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0)
            throw std::system_error(errno, std::system_category(), "socketpair");
        const std::vector<int> cpus = allowed_cpus();
        child_ = fork();
        if (child_ < 0)
            throw std::system_error(errno, std::system_category(), "fork");
        if (child_ == 0)
        {
            close(ends[0]);
            if (cpus.size() > 1)
                pin_to(std::span(cpus).subspan(1, 1));
            _exit(send_all(ends[1], bytes) ? 0 : 1);
        }
        close(ends[1]);
        if (cpus.size() > 1)
            pin_to(std::span(cpus).first(1));
        socket_ = ends[0];
    }

    sender(const sender&) = delete;
    sender& operator=(const sender&) = delete;

    ~sender() { waitpid(child_, nullptr, 0); }

    /// The end to receive from: the caller's.
    int socket() const { return socket_; }

private:
    static bool send_all(int fd, std::uint64_t bytes)
    {
        std::vector<char> data(64 * 1024, 'x');
        while (bytes != 0)
        {
            const auto n = send(fd, data.data(), std::min<std::uint64_t>(bytes, data.size()), MSG_NOSIGNAL);
            if (n <= 0)
                return false;
            bytes -= static_cast<std::uint64_t>(n);
        }
        return true;
    }

    pid_t child_;
    int socket_;
};

} // namespace perf
