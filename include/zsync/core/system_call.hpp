// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/operation.hpp>

#include <cerrno>
#include <cstdint>

#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

namespace zsync
{

namespace detail
{

// Whatever perform() does not do inline.
void perform_any(operation& op) noexcept;

// One attempt, as try_perform(), but without `ready_first`; `known_pollable` spares asking what kind of file it is.
bool attempt(operation& op, bool known_pollable) noexcept;

// Returns those of the poll(2) events, and of POLLERR and POLLHUP, that hold now, or -EBADF.
int events_now(int descriptor, std::uint32_t events) noexcept;

} // namespace detail

/// Performs an operation by its system call, here and now, and leaves the answer in `op.result`.
///
/// Blocks the thread until there is an answer, on descriptors that do not block, too: they are waited for with
/// poll(2). A signal does not end it. Cannot be cancelled; on_complete is not called, and the engine's members of the
/// record are neither read nor written. Distinct records: safe.
inline void perform(operation& op) noexcept
{
    ssize_t result = -1;
    if (op.ready_first == 0) [[likely]]
    {
        const bool plain = op.flags == 0 && op.offset == operation::current_position;
        if (op.code == opcode::receive)
            result = ::recv(op.descriptor, op.address, op.length, static_cast<int>(op.flags));
        else if (op.code == opcode::send)
            result = ::send(op.descriptor, op.address, op.length, static_cast<int>(op.flags));
        else if (op.code == opcode::read && plain)
            result = ::read(op.descriptor, op.address, op.length);
        else if (op.code == opcode::write && plain)
            result = ::write(op.descriptor, op.address, op.length);
        else
            return detail::perform_any(op);
        if (result >= 0) [[likely]]
        {
            op.result = static_cast<std::int32_t>(result); // the kernel moves less than 2 GiB at once
            return;
        }
        if (errno != EINTR && errno != EAGAIN)
        {
            op.result = -errno;
            return;
        }
    }
    detail::perform_any(op);
}

/// Attempts an operation without blocking. Returns true with the answer in `op.result`, or false if it would block:
/// then wait for awaited_events() and call again with the same record. Before the first attempt, `op.result` has to be
/// 0 and `op.connecting` false; between attempts they are this function's. No descriptor has O_NONBLOCK set for it.
///
/// Files, directories and block devices are always ready: for these, and for `open` and `sync`, it takes as long as the
/// storage does. A write that can do so without blocking moves a part only, as on a descriptor that does not block.
/// A receive with MSG_WAITALL collects over several attempts; bytes that `op.result` counts have been taken.
///
/// What the kernel has no call for that never blocks is asked of poll(2) first: accepts, and reads and writes of files
/// that do not know RWF_NOWAIT (FIFOs, terminals; pipes before Linux 6.5). These may still block if somebody else, with
/// another descriptor for the same file, takes what poll saw in between: give listeners that are shared with other
/// processes O_NONBLOCK. Such writes move at most PIPE_BUF bytes (FIFOs), or 256 (terminals), each.
///
/// A connect makes its socket non-blocking while connect(2) is called, and only then: a socket that is not yet
/// connected belongs to the program that opened it. A local socket whose listener has no room gives -EAGAIN.
bool try_perform(operation& op) noexcept;

/// Attempts a transfer by a call that never blocks, whoever else uses the file. Returns true with the answer in
/// `op.result`, or false if it would block or there is no such call: the record is then as it was. Not for files, of
/// which such a call moves what is in memory.
bool try_transfer(operation& op) noexcept;

/// Returns the poll(2) events without which an operation cannot go on, or 0 if there is nothing to wait for.
std::uint32_t awaited_events(const operation& op) noexcept;

} // namespace zsync
