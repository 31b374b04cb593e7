// SPDX-License-Identifier: BSL-1.0
#include "prepare.hpp"

#include "ring.hpp"

#include <zsync/core/detail/ring_syscalls.hpp>
#include <zsync/core/multishot.hpp>

#include <cerrno>

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

namespace zsync::detail
{

namespace
{

// A wake-up says what happened, and the kernel lets pass those that say nothing a poll waits for. It does not count
// POLLPRI among that (Linux 6.18): urgent data alone would never end a poll. They all say POLLRDBAND beside it.
unsigned events_to_poll(std::uint32_t events) noexcept
{
    return events & POLLPRI ? events | POLLRDBAND : events;
}

void select_buffers(io_uring_sqe& sqe, const multishot_operation& op, const ring& on) noexcept
{
    sqe.flags |= IOSQE_BUFFER_SELECT;
    sqe.buf_group = op.buffers->group();
    if (op.bundles && op.code == opcode::receive_many && on.knows_bundles())
        sqe.ioprio |= recvsend_bundle;
}

} // namespace

void prepare(io_uring_sqe& sqe, const operation& op, bool poll_first, const ring& on) noexcept
{
    io_uring_sqe* const entry = &sqe;
    const auto flags = static_cast<int>(op.flags);
    if (op.awaited)
    {
        io_uring_prep_poll_add(entry, op.descriptor, events_to_poll(op.awaited));
    }
    else
    {
        switch (op.code)
        {
        case opcode::nop:
            io_uring_prep_nop(entry);
            break;
        case opcode::read:
            io_uring_prep_read(entry, op.descriptor, op.address, op.length, op.offset);
            break;
        case opcode::write:
            io_uring_prep_write(entry, op.descriptor, op.address, op.length, op.offset);
            break;
        case opcode::readv:
            io_uring_prep_readv2(entry, op.descriptor, static_cast<const iovec*>(op.address), op.length, op.offset,
                                 flags);
            break;
        case opcode::writev:
            io_uring_prep_writev2(entry, op.descriptor, static_cast<const iovec*>(op.address), op.length, op.offset,
                                  flags);
            break;
        case opcode::receive:
        case opcode::send:
            prepare_transfer(sqe, op, poll_first);
            break;
        case opcode::receive_message:
            io_uring_prep_recvmsg(entry, op.descriptor, static_cast<msghdr*>(op.address), op.flags);
            break;
        case opcode::send_message:
            io_uring_prep_sendmsg(entry, op.descriptor, static_cast<const msghdr*>(op.address), op.flags);
            break;
        case opcode::accept:
            io_uring_prep_accept(entry, op.descriptor, static_cast<sockaddr*>(op.address),
                                 static_cast<socklen_t*>(op.address_length), flags);
            break;
        case opcode::connect:
            io_uring_prep_connect(entry, op.descriptor, static_cast<const sockaddr*>(op.address), op.length);
            break;
        case opcode::poll:
            io_uring_prep_poll_add(entry, op.descriptor, events_to_poll(op.flags));
            break;
        case opcode::open:
            io_uring_prep_openat(entry, op.descriptor, static_cast<const char*>(op.address), flags, op.length);
            break;
        case opcode::sync:
            io_uring_prep_fsync(entry, op.descriptor, op.flags ? IORING_FSYNC_DATASYNC : 0);
            break;
        case opcode::send_messages:
        case opcode::receive_messages:
            io_uring_prep_nop(entry); // no ring has these: see perform_batch()
            break;
        case opcode::send_zero_copy:
            io_uring_prep_send_zc(entry, op.descriptor, op.address, op.length, flags,
                                  on.reports_copies() ? send_report_usage : 0);
            break;
        case opcode::send_message_zero_copy:
            io_uring_prep_sendmsg_zc(entry, op.descriptor, static_cast<const msghdr*>(op.address), op.flags);
            entry->ioprio |= on.reports_copies() ? send_report_usage : 0;
            break;
        case opcode::accept_many:
            io_uring_prep_multishot_accept(entry, op.descriptor, nullptr, nullptr, flags);
            break;
        case opcode::receive_many:
            io_uring_prep_recv_multishot(entry, op.descriptor, nullptr, 0, flags);
            select_buffers(*entry, static_cast<const multishot_operation&>(op), on);
            break;
        case opcode::receive_message_many:
            io_uring_prep_recvmsg_multishot(entry, op.descriptor, static_cast<msghdr*>(op.address), op.flags);
            select_buffers(*entry, static_cast<const multishot_operation&>(op), on);
            break;
        case opcode::accept_direct:
            io_uring_prep_accept_direct(entry, op.descriptor, static_cast<sockaddr*>(op.address),
                                        static_cast<socklen_t*>(op.address_length), flags & ~SOCK_CLOEXEC,
                                        static_cast<unsigned>(op.offset));
            break;
        case opcode::shutdown:
            io_uring_prep_shutdown(entry, op.descriptor, flags);
            break;
        case opcode::install:
            io_uring_prep_rw(op_fixed_fd_install, entry, op.descriptor, nullptr, 0, 0);
            break;
        }
        if (op.code == opcode::read || op.code == opcode::write)
            entry->rw_flags = flags;
    }
    if (is_direct(op.descriptor)) [[unlikely]]
        name_place(sqe, op.descriptor);
    entry->user_data = to_user_data(op.id);
}

void prepare_cancel(io_uring_sqe& sqe, operation_id id, bool skip_success) noexcept
{
    io_uring_prep_cancel64(&sqe, to_user_data(id), 0);
    if (skip_success)
        sqe.flags |= IOSQE_CQE_SKIP_SUCCESS;
    sqe.user_data = no_operation;
}

void prepare_close(io_uring_sqe& sqe, std::uint32_t place) noexcept
{
    io_uring_prep_close_direct(&sqe, place);
    sqe.flags |= IOSQE_CQE_SKIP_SUCCESS;
    sqe.user_data = no_operation;
}

bool can_be_watched(int descriptor) noexcept
{
    const int watcher = ::epoll_create1(EPOLL_CLOEXEC);
    if (watcher < 0) // no descriptors left: a wait then ends at once, at worst
        return true;
    epoll_event event{};
    const bool refused = ::epoll_ctl(watcher, EPOLL_CTL_ADD, descriptor, &event) < 0 && errno == EPERM;
    ::close(watcher);
    return !refused;
}

bool perform_batch(operation& op) noexcept
{
    auto* const messages = static_cast<mmsghdr*>(op.address);
    const auto flags = static_cast<int>(op.flags | MSG_DONTWAIT);
    int result;
    do
    {
        result = op.code == opcode::send_messages ? ::sendmmsg(op.descriptor, messages, op.length, flags)
                                                  : ::recvmmsg(op.descriptor, messages, op.length, flags, nullptr);
    } while (result < 0 && errno == EINTR);
    op.result = result < 0 ? -errno : result;
    return op.result != -EAGAIN;
}

std::uint32_t readiness_of(const operation& op) noexcept
{
    switch (op.code)
    {
    case opcode::receive:
    case opcode::receive_message:
    case opcode::receive_messages:
    case opcode::receive_many:
    case opcode::receive_message_many:
        return op.flags & MSG_OOB ? POLLPRI : POLLIN;
    case opcode::accept:
    case opcode::accept_many:
    case opcode::accept_direct:
        return POLLIN;
    case opcode::send:
    case opcode::send_message:
    case opcode::send_messages:
    case opcode::send_zero_copy:
    case opcode::send_message_zero_copy:
        return POLLOUT;
    // A caller that asked not to wait is told so.
    case opcode::read:
    case opcode::readv:
        return op.flags & RWF_NOWAIT ? 0 : POLLIN;
    case opcode::write:
    case opcode::writev:
        return op.flags & RWF_NOWAIT ? 0 : POLLOUT;
    // Of a local socket: its listener has no room, and nothing tells when it has.
    case opcode::connect:
    case opcode::nop:
    case opcode::poll:
    case opcode::open:
    case opcode::sync:
    case opcode::shutdown:
    case opcode::install:
        break;
    }
    return 0;
}

} // namespace zsync::detail
