// SPDX-License-Identifier: BSL-1.0
// Attempts at reads and writes: of files, pipes, terminals and sockets, each by what keeps it from blocking.
#include "attempt.hpp"
#include "call.hpp"

#include <zsync/core/system_call.hpp>

#include <algorithm>
#include <cerrno>
#include <climits>

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <termios.h>

namespace zsync::detail
{

namespace
{

// The same as read(2) or write(2) on a socket, without blocking.
int transfer_by_message(const operation& op) noexcept
{
    iovec one{op.address, op.length};
    msghdr message{};
    message.msg_iov = is_vectored(op) ? static_cast<iovec*>(op.address) : &one;
    message.msg_iovlen = is_vectored(op) ? op.length : 1;
    operation as_message = op;
    as_message.code = is_read(op) ? opcode::receive_message : opcode::send_message;
    as_message.address = &message;
    as_message.flags = 0; // RWF_ flags mean nothing to a socket
    return call_through_signals(as_message, MSG_DONTWAIT);
}

// Writes as much as fits for certain, because poll(2) has seen some room.
int write_at_most(const operation& op, std::size_t limit) noexcept
{
    iovec one{op.address, op.length};
    const iovec* pieces = &one;
    std::size_t count = 1;
    if (is_vectored(op))
    {
        pieces = static_cast<const iovec*>(op.address);
        count = op.length;
    }
    std::size_t total = 0;
    for (std::size_t index = 0; index < count && total <= limit; ++index)
        total += std::min(pieces[index].iov_len, limit + 1);
    if (total <= limit)
        return call_through_signals(op); // in one piece, as a FIFO promises for PIPE_BUF bytes

    const iovec* const first = std::find_if(pieces, pieces + count, [](const iovec& piece) { return piece.iov_len; });
    operation part = op;
    part.code = opcode::write;
    part.address = first->iov_base;
    part.length = static_cast<std::uint32_t>(std::min(first->iov_len, limit));
    return call_through_signals(part);
}

// For what does not know RWF_NOWAIT.
int transfer_if_ready(const operation& op, mode_t mode) noexcept
{
    if (S_ISSOCK(mode))
        return transfer_by_message(op);
    const int events = events_now(op.descriptor, is_read(op) ? POLLIN : POLLOUT);
    if (events <= 0)
        return events < 0 ? events : -EAGAIN;
    termios settings;
    if (is_read(op))
        return call_through_signals(op);
    if (S_ISFIFO(mode))
        return write_at_most(op, PIPE_BUF);
    // A terminal says that it has room when fewer than 256 bytes wait; how much room it does not say.
    if (S_ISCHR(mode) && ::tcgetattr(op.descriptor, &settings) == 0)
        return write_at_most(op, 256);
    return call_through_signals(op);
}

bool is_always_ready(mode_t mode) noexcept
{
    return S_ISREG(mode) || S_ISDIR(mode) || S_ISBLK(mode);
}

} // namespace

bool attempt_transfer(operation& op, bool known_pollable) noexcept
{
    if (op.flags & RWF_NOWAIT) // who asks not to wait is told so
        return finish(op, call_through_signals(op));

    // Files take RWF_NOWAIT, too, and then read what is in memory only: a short read that is not at the end.
    struct stat file;
    if (!known_pollable)
    {
        if (::fstat(op.descriptor, &file) < 0)
            return finish(op, -errno);
        if (is_always_ready(file.st_mode))
            return finish(op, call_through_signals(op));
    }

    ssize_t result;
    do
        result = transfer(op, RWF_NOWAIT);
    while (result < 0 && errno == EINTR);
    if (result >= 0)
        return finish(op, static_cast<int>(result));
    int error = errno;
    if (error == EOPNOTSUPP || error == ENOSYS)
    {
        if (known_pollable && ::fstat(op.descriptor, &file) < 0)
            return finish(op, -errno);
        const int answer = transfer_if_ready(op, file.st_mode);
        if (answer >= 0)
            return finish(op, answer);
        error = -answer;
    }
    return error != EAGAIN && finish(op, -error);
}

} // namespace zsync::detail
