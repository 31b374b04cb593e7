// SPDX-License-Identifier: BSL-1.0
// Attempts without blocking. Those at reads and writes have a file of their own.
#include <zsync/core/system_call.hpp>

#include "attempt.hpp"
#include "call.hpp"

#include <cerrno>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

namespace zsync
{

namespace detail
{

namespace
{

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
    const int events = events_now(op.descriptor, POLLIN);
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
        const int events = events_now(op.descriptor, POLLOUT);
        if (events <= 0)
            return events < 0 && finish(op, events);
        op.connecting = false;
        const int error = take_error(op.descriptor);
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

} // namespace

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
    default: // never waits, or is refused
        break;
    }
    return finish(op, call_through_signals(op));
}

} // namespace detail

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
        const int result = detail::call_through_signals(attempted);
        return result != -EAGAIN && result != -EOPNOTSUPP && result != -ENOSYS && detail::finish(op, result);
    }
    default:
        return false;
    }
}

bool try_perform(operation& op) noexcept
{
    if (op.ready_first && !op.connecting)
    {
        const int events = detail::events_now(op.descriptor, op.ready_first);
        if (events <= 0)
            return events < 0 && detail::finish(op, events);
    }
    return detail::attempt(op, false);
}

} // namespace zsync
