// SPDX-License-Identifier: BSL-1.0
#include "retry.hpp"

#include "prepare.hpp"

#include <cerrno>

#include <poll.h>
#include <sys/socket.h>

namespace zsync::detail
{

namespace
{

bool finish(operation& op, int result) noexcept
{
    op.result = result;
    return true;
}

bool wait_first(operation& op, std::uint32_t events) noexcept
{
    op.ready_first = events;
    op.awaiting_ready = true;
    return false;
}

int pending_error(int descriptor) noexcept
{
    int error = 0;
    socklen_t size = sizeof error;
    return ::getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &size) < 0 ? errno : error;
}

} // namespace

bool is_final(operation& op, int result) noexcept
{
    const bool given_up = result == -ECANCELED || result == -EINTR || result == -EAGAIN;
    if (op.cancel_requested)
    {
        // A wait that came first has moved nothing: its success is not the operation's.
        const bool waited = op.awaiting_ready && result >= 0;
        return finish(op, given_up || waited ? -ECANCELED : result);
    }

    if (op.awaiting_ready)
    {
        if (result == -ECANCELED || result == -EINTR)
            return false;
        if (result < 0)
            return finish(op, result);
        if (op.connecting)
            return finish(op, -pending_error(op.descriptor));
        op.awaiting_ready = false;
        return false;
    }

    if (!given_up)
        return finish(op, result);
    if (op.code == opcode::connect)
    {
        op.connecting = true;
        return wait_first(op, POLLOUT);
    }
    if (result == -EAGAIN)
    {
        const std::uint32_t events = readiness_of(op);
        return events ? wait_first(op, events) : finish(op, result);
    }
    return false;
}

} // namespace zsync::detail
