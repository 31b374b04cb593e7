// SPDX-License-Identifier: BSL-1.0
#include "call.hpp"

#include <zsync/core/system_call.hpp>

#include <boost/assert.hpp>

#include <cerrno>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

namespace zsync::detail
{

ssize_t transfer(const operation& op, int flags) noexcept
{
    const int all = static_cast<int>(op.flags) | flags;
    const auto offset = static_cast<off_t>(op.offset); // -1 is the descriptor's position
    if (all == 0 && !is_vectored(op))
    {
        const bool here = op.offset == operation::current_position;
        if (is_read(op))
            return here ? ::read(op.descriptor, op.address, op.length)
                        : ::pread(op.descriptor, op.address, op.length, offset);
        return here ? ::write(op.descriptor, op.address, op.length)
                    : ::pwrite(op.descriptor, op.address, op.length, offset);
    }
    const iovec one{op.address, op.length};
    const iovec* const pieces = is_vectored(op) ? static_cast<const iovec*>(op.address) : &one;
    const auto count = is_vectored(op) ? static_cast<int>(op.length) : 1;
    return is_read(op) ? ::preadv2(op.descriptor, pieces, count, offset, all)
                       : ::pwritev2(op.descriptor, pieces, count, offset, all);
}

int call(const operation& op, int flags) noexcept
{
    const int all = static_cast<int>(op.flags) | flags;
    ssize_t result = 0;
    switch (op.code)
    {
    case opcode::nop:
        break;
    case opcode::read:
    case opcode::write:
    case opcode::readv:
    case opcode::writev:
        result = transfer(op, 0);
        break;
    case opcode::receive:
        result = ::recv(op.descriptor, op.address, op.length, all);
        break;
    case opcode::send:
        result = ::send(op.descriptor, op.address, op.length, all);
        break;
    case opcode::receive_message:
        result = ::recvmsg(op.descriptor, static_cast<msghdr*>(op.address), all);
        break;
    case opcode::send_message:
        result = ::sendmsg(op.descriptor, static_cast<const msghdr*>(op.address), all);
        break;
    case opcode::send_messages:
        result = ::sendmmsg(op.descriptor, static_cast<mmsghdr*>(op.address), op.length, all);
        break;
    case opcode::receive_messages:
        // What blocks does so for the first one only.
        result = ::recvmmsg(op.descriptor, static_cast<mmsghdr*>(op.address), op.length, all | MSG_WAITFORONE, nullptr);
        break;
    case opcode::accept:
        result = ::accept4(op.descriptor, static_cast<sockaddr*>(op.address),
                           static_cast<socklen_t*>(op.address_length), all);
        break;
    case opcode::connect:
        result = ::connect(op.descriptor, static_cast<const sockaddr*>(op.address), op.length);
        break;
    case opcode::poll:
        return events_now(op.descriptor, op.flags);
    case opcode::open:
        result = ::openat(op.descriptor, static_cast<const char*>(op.address), all, op.length);
        break;
    case opcode::sync:
        result = op.flags ? ::fdatasync(op.descriptor) : ::fsync(op.descriptor);
        break;
    default:
        BOOST_ASSERT(!has_system_call(op.code));
        return -EOPNOTSUPP;
    }
    return result < 0 ? -errno : static_cast<int>(result);
}

int call_through_signals(const operation& op, int flags) noexcept
{
    int result;
    do
        result = call(op, flags);
    while (result == -EINTR);
    return result;
}

} // namespace zsync::detail
