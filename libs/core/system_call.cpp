// SPDX-License-Identifier: BSL-1.0
// What operations wait for, and their system calls with the wait.
#include <zsync/core/system_call.hpp>

#include "attempt.hpp"
#include "call.hpp"

#include <cerrno>

#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

namespace zsync
{

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
    default: // has nothing to wait for, or no call to go on with
        break;
    }
    return 0;
}

namespace detail
{

namespace
{

int poll_one(int descriptor, std::uint32_t events, int timeout) noexcept
{
    if (descriptor < 0) // poll(2) skips these
        return -EBADF;
    pollfd one{descriptor, static_cast<short>(events), 0};
    int result;
    do
        result = ::poll(&one, 1, timeout);
    while (result < 0 && errno == EINTR);
    if (result < 0)
        return -errno;
    return one.revents & POLLNVAL ? -EBADF : one.revents;
}

// Blocks until one of the events, or POLLERR or POLLHUP, holds, and returns those that do, or a negated errno.
int wait_for(int descriptor, std::uint32_t events) noexcept
{
    return poll_one(descriptor, events, -1);
}

} // namespace

int events_now(int descriptor, std::uint32_t events) noexcept
{
    return poll_one(descriptor, events, 0);
}

int take_error(int descriptor) noexcept
{
    int error = 0;
    socklen_t size = sizeof error;
    return ::getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &size) < 0 ? errno : error;
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
        op.result = events < 0 ? events : -take_error(op.descriptor);
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
