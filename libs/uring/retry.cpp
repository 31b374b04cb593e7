// SPDX-License-Identifier: BSL-1.0
#include "retry.hpp"

#include "prepare.hpp"

#include <zsync/core/direct_name.hpp>

#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

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
    op.awaited = events;
    return false;
}

int pending_error(int descriptor) noexcept
{
    int error = 0;
    socklen_t size = sizeof error;
    return ::getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &size) < 0 ? errno : error;
}

// The ring takes a wake-up's word, and those for any data speak of urgent data too: poll(2) knows.
int events_now(int descriptor, int told, std::uint32_t events) noexcept
{
    if (is_direct(descriptor))
        return told; // which poll(2) cannot be asked about
    pollfd one{descriptor, static_cast<short>(events), 0};
    return ::poll(&one, 1, 0) < 0 ? 0 : one.revents;
}

// An accept is bound by the limit of descriptors of the moment it was handed over, which may have been raised since.
bool descriptors_are_left(int descriptor) noexcept
{
    const int probe = ::fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
    return probe >= 0 && ::close(probe) == 0;
}

bool is_connected(int descriptor) noexcept
{
    sockaddr_storage peer;
    socklen_t size = sizeof peer;
    return ::getpeername(descriptor, reinterpret_cast<sockaddr*>(&peer), &size) == 0;
}

} // namespace

bool is_final(operation& op, int result) noexcept
{
    const bool given_up = result == -ECANCELED || result == -EINTR || result == -EAGAIN;
    if (op.cancel_requested)
    {
        // A wait that came first has moved nothing: its success is not the operation's.
        const bool waited = op.awaited && result >= 0;
        return finish(op, given_up || waited ? -ECANCELED : result);
    }

    const std::uint32_t polled = op.awaited ? op.awaited : op.code == opcode::poll ? op.flags : 0;
    // What a wake-up says of POLLPRI may not be true: see events_to_poll(). What the file has said itself is, and a
    // pressure file says it once.
    if (result > 0 && polled & POLLPRI && (op.awaited || result & POLLRDBAND))
    {
        result = events_now(op.descriptor, result, polled);
        if (result == 0)
            return false;
    }

    if (op.awaited)
    {
        if (result == -ECANCELED || result == -EINTR)
            return false;
        if (result < 0)
            return finish(op, result);
        if (std::exchange(op.connecting, false))
        {
            const int error = pending_error(op.descriptor);
            if (error || is_connected(op.descriptor))
                return finish(op, -error);
            // It had not begun: a local listener without room.
        }
        op.awaited = 0;
        return false;
    }

    // EINPROGRESS: kernels that do not wait for descriptors that do not block.
    if (op.code == opcode::connect && (result == -ECANCELED || result == -EINTR || result == -EINPROGRESS))
    {
        op.connecting = true;
        return wait_first(op, POLLOUT);
    }
    if ((op.code == opcode::accept || op.code == opcode::accept_many) && result == -EMFILE &&
        descriptors_are_left(op.descriptor))
        return false;
    if (!given_up)
        return finish(op, result);
    if (result == -EAGAIN)
    {
        const std::uint32_t events = readiness_of(op);
        return events ? wait_first(op, events) : finish(op, result);
    }
    return false;
}

} // namespace zsync::detail
