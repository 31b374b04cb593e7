// SPDX-License-Identifier: BSL-1.0
#include <zsync/core/system_call.hpp>

#include "call.hpp"

#include <algorithm>
#include <climits>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <termios.h>

namespace zsync
{

namespace
{

using detail::call;
using detail::call_through_signals;
using detail::is_read;
using detail::is_vectored;
using detail::transfer;

bool finish(operation& op, int result) noexcept
{
    op.result = result;
    return true;
}

int pending_error(int descriptor) noexcept
{
    int error = 0;
    socklen_t size = sizeof error;
    return ::getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &size) < 0 ? errno : error;
}

bool is_connected(int descriptor) noexcept
{
    sockaddr_storage peer;
    socklen_t size = sizeof peer;
    return ::getpeername(descriptor, reinterpret_cast<sockaddr*>(&peer), &size) == 0;
}

bool has_socket_option(int descriptor, int option, int expected) noexcept
{
    int value = 0;
    socklen_t size = sizeof value;
    return ::getsockopt(descriptor, SOL_SOCKET, option, &value, &size) == 0 && value == expected;
}

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
    const int events = detail::events_now(op.descriptor, is_read(op) ? POLLIN : POLLOUT);
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

// MSG_WAITALL without waiting: `result` counts what has come so far.
bool attempt_receive_all(operation& op) noexcept
{
    operation rest = op;
    do
    {
        rest.address = static_cast<char*>(op.address) + op.result;
        rest.length = op.length - static_cast<std::uint32_t>(op.result);
        const int answer = call_through_signals(rest, MSG_DONTWAIT);
        if (answer == -EAGAIN)
            return false;
        if (answer <= 0)
            return finish(op, op.result > 0 ? op.result : answer);
        op.result += answer;
    } while (static_cast<std::uint32_t>(op.result) < op.length &&
             has_socket_option(op.descriptor, SO_TYPE, SOCK_STREAM));
    return true;
}

bool attempt_accept(operation& op) noexcept
{
    const int events = detail::events_now(op.descriptor, POLLIN);
    if (events < 0)
        return finish(op, events);
    // What does not listen is never ready, and refuses at once.
    if (events == 0 && has_socket_option(op.descriptor, SO_ACCEPTCONN, 1))
        return false;
    const int result = call_through_signals(op);
    return result != -EAGAIN && finish(op, result);
}

bool attempt_connect(operation& op) noexcept
{
    const bool again = op.connecting;
    if (again)
    {
        const int events = detail::events_now(op.descriptor, POLLOUT);
        if (events <= 0)
            return events < 0 && finish(op, events);
        op.connecting = false;
        const int error = pending_error(op.descriptor);
        if (error || is_connected(op.descriptor))
            return finish(op, -error);
        // Somebody has disconnected it: from the start.
    }

    const int flags = ::fcntl(op.descriptor, F_GETFL);
    struct stat file;
    const bool blocks =
        flags >= 0 && !(flags & O_NONBLOCK) && ::fstat(op.descriptor, &file) == 0 && S_ISSOCK(file.st_mode);
    if (blocks)
        ::fcntl(op.descriptor, F_SETFL, flags | O_NONBLOCK);
    const int result = call(op);
    if (blocks)
        ::fcntl(op.descriptor, F_SETFL, flags);
    op.connecting = result == -EINPROGRESS || result == -EINTR || (again && result == -EALREADY);
    return !op.connecting && finish(op, result);
}

// Blocks until one of the events, or POLLERR or POLLHUP, holds, and returns those that do, or a negated errno.
int wait_for(int descriptor, std::uint32_t events) noexcept
{
    if (descriptor < 0) // poll(2) skips these
        return -EBADF;
    pollfd one{descriptor, static_cast<short>(events), 0};
    int result;
    do
        result = ::poll(&one, 1, -1);
    while (result < 0 && errno == EINTR);
    if (result < 0)
        return -errno;
    return one.revents & POLLNVAL ? -EBADF : one.revents;
}

} // namespace

bool try_transfer(operation& op) noexcept
{
    if (op.ready_first)
        return false;
    switch (op.code)
    {
    case opcode::receive:
    case opcode::receive_message:
    case opcode::send:
    case opcode::send_message:
        return (op.flags & (MSG_OOB | MSG_WAITALL)) == 0 && detail::attempt(op, true);
    case opcode::read:
    case opcode::write:
    case opcode::readv:
    case opcode::writev:
    {
        operation attempted = op;
        attempted.flags |= RWF_NOWAIT;
        const int result = call_through_signals(attempted);
        return result != -EAGAIN && result != -EOPNOTSUPP && result != -ENOSYS && finish(op, result);
    }
    default:
        return false;
    }
}

std::uint32_t awaited_events(const operation& op) noexcept
{
    switch (op.code)
    {
    case opcode::poll:
        return op.flags;
    case opcode::receive:
    case opcode::receive_message:
    case opcode::receive_messages:
        return op.flags & MSG_OOB ? POLLPRI : POLLIN;
    case opcode::accept:
        return POLLIN;
    case opcode::send:
    case opcode::send_message:
    case opcode::send_messages:
        return POLLOUT;
    case opcode::connect:
        return op.connecting ? POLLOUT : 0;
    // A caller that asked not to wait is told so.
    case opcode::read:
    case opcode::readv:
        return op.flags & RWF_NOWAIT ? 0 : POLLIN;
    case opcode::write:
    case opcode::writev:
        return op.flags & RWF_NOWAIT ? 0 : POLLOUT;
    case opcode::nop:
    case opcode::open:
    case opcode::sync:
    case opcode::send_zero_copy:
    case opcode::send_message_zero_copy:
    case opcode::accept_many:
    case opcode::receive_many:
    case opcode::receive_message_many:
    case opcode::accept_direct:
    case opcode::shutdown:
    case opcode::install:
        break;
    }
    return 0;
}

bool try_perform(operation& op) noexcept
{
    if (op.ready_first && !op.connecting)
    {
        const int events = detail::events_now(op.descriptor, op.ready_first);
        if (events <= 0)
            return events < 0 && finish(op, events);
    }
    return detail::attempt(op, false);
}

namespace detail
{

int events_now(int descriptor, std::uint32_t events) noexcept
{
    if (descriptor < 0) // poll(2) skips these
        return -EBADF;
    pollfd one{descriptor, static_cast<short>(events), 0};
    int result;
    do
        result = ::poll(&one, 1, 0);
    while (result < 0 && errno == EINTR);
    if (result < 0)
        return -errno;
    return one.revents & POLLNVAL ? -EBADF : one.revents;
}

bool attempt(operation& op, bool known_pollable) noexcept
{
    switch (op.code)
    {
    case opcode::read:
    case opcode::write:
    case opcode::readv:
    case opcode::writev:
        return attempt_transfer(op, known_pollable);
    case opcode::receive:
        if ((op.flags & (MSG_WAITALL | MSG_PEEK | MSG_OOB)) == MSG_WAITALL)
            return attempt_receive_all(op);
        [[fallthrough]];
    case opcode::send:
    case opcode::receive_message:
    case opcode::send_message:
    case opcode::receive_messages:
    case opcode::send_messages:
    {
        const int result = call_through_signals(op, MSG_DONTWAIT);
        return result != -EAGAIN && finish(op, result);
    }
    case opcode::accept:
        return attempt_accept(op);
    case opcode::connect:
        return attempt_connect(op);
    case opcode::poll:
    {
        const int events = events_now(op.descriptor, op.flags);
        return events != 0 && finish(op, events);
    }
    case opcode::nop:
    case opcode::open:
    case opcode::sync:
    case opcode::send_zero_copy:
    case opcode::send_message_zero_copy:
    case opcode::accept_many:
    case opcode::receive_many:
    case opcode::receive_message_many:
    case opcode::accept_direct:
    case opcode::shutdown:
    case opcode::install:
        break;
    }
    return finish(op, call_through_signals(op));
}

void perform_any(operation& op) noexcept
{
    if (op.ready_first)
    {
        const int events = wait_for(op.descriptor, op.ready_first);
        if (events < 0)
        {
            op.result = events;
            return;
        }
    }
    if (op.code == opcode::poll)
    {
        op.result = wait_for(op.descriptor, op.flags);
        return;
    }

    op.result = call(op);
    if (op.code == opcode::connect && (op.result == -EINTR || op.result == -EINPROGRESS))
    {
        // It goes on by itself, and to ask again would be an error.
        const int events = wait_for(op.descriptor, POLLOUT);
        op.result = events < 0 ? events : -pending_error(op.descriptor);
        return;
    }
    while (op.result == -EINTR || (op.result == -EAGAIN && op.code != opcode::connect && awaited_events(op)))
    {
        if (op.result == -EAGAIN)
        {
            const int events = wait_for(op.descriptor, awaited_events(op));
            if (events < 0)
            {
                op.result = events;
                return;
            }
        }
        op.result = call(op);
    }
}

} // namespace detail

} // namespace zsync
