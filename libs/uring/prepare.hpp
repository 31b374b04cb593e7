// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/direct_name.hpp>
#include <zsync/core/operation.hpp>

#include <liburing.h>

#include <bit>
#include <cstdint>

namespace zsync::detail
{

class ring;

/// Completions that concern no record: those of cancel requests.
inline constexpr std::uint64_t no_operation = ~std::uint64_t{0};

constexpr std::uint64_t to_user_data(operation_id id) noexcept
{
    return std::bit_cast<std::uint64_t>(id);
}

constexpr operation_id from_user_data(std::uint64_t data) noexcept
{
    return std::bit_cast<operation_id>(data);
}

/// Fills a submission entry with what the record asks for now: the wait for readiness, or the operation proper.
///
/// @param poll_first spares a receive the first attempt, where it is known to find nothing (Linux 5.19). False for all
///        else.
/// @param on the ring it is for: what it can be asked for.
void prepare(io_uring_sqe& sqe, const operation& op, bool poll_first, const ring& on) noexcept;

/// Says whether an operation is what nearly all are: a receive or a send, to be made at once.
inline bool is_plain_transfer(const operation& op) noexcept
{
    return (op.code == opcode::receive || op.code == opcode::send) && op.awaited == 0;
}

/// Lets an entry name a place of the ring's own table.
inline void name_place(io_uring_sqe& sqe, int name) noexcept
{
    sqe.fd = static_cast<int>(direct_place(name));
    sqe.flags |= IOSQE_FIXED_FILE;
}

/// The same as prepare() for such a one.
inline void prepare_transfer(io_uring_sqe& sqe, const operation& op, bool poll_first) noexcept
{
    const bool receives = op.code == opcode::receive;
    sqe = {};
    sqe.opcode = receives ? IORING_OP_RECV : IORING_OP_SEND;
    if (poll_first)
        sqe.ioprio = IORING_RECVSEND_POLL_FIRST;
    sqe.fd = op.descriptor;
    if (is_direct(op.descriptor)) [[unlikely]]
        name_place(sqe, op.descriptor);
    sqe.addr = reinterpret_cast<std::uintptr_t>(op.address);
    sqe.len = op.length;
    sqe.msg_flags = op.flags;
    sqe.user_data = to_user_data(op.id);
}

/// Fills a submission entry with a request to cancel what was submitted as `id`.
void prepare_cancel(io_uring_sqe& sqe, operation_id id, bool skip_success) noexcept;

/// Fills a submission entry with a request to close what stands in a place of the ring's table. It completes with no
/// operation.
void prepare_close(io_uring_sqe& sqe, std::uint32_t place) noexcept;

/// Says whether a descriptor can be waited for: whether epoll takes it, which is all that knows. Never blocks.
bool can_be_watched(int descriptor) noexcept;

/// Says whether an operation is one that no ring has: several datagrams. It is a wait for readiness, and a system call.
constexpr bool is_batch(const operation& op) noexcept
{
    return op.code == opcode::send_messages || op.code == opcode::receive_messages;
}

/// Makes that system call, without waiting. Returns false if the descriptor is not ready, else the result is in the
/// record.
bool perform_batch(operation& op) noexcept;

/// The poll(2) events after which an operation that found its descriptor not ready can succeed; 0 if it never waits.
std::uint32_t readiness_of(const operation& op) noexcept;

} // namespace zsync::detail
