// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/operation.hpp>

#include <sys/socket.h>

namespace zsync
{

/// Returns the direction of a transfer whose place among the others in that direction matters: a byte stream has an
/// order, and the kernel serves what waits on one file newest first. Urgent data and transfers at a position have none.
inline direction direction_of(const operation& op) noexcept
{
    if (op.code == opcode::send) [[likely]]
        return direction::out;
    if (op.code == opcode::receive) [[likely]]
        return op.flags & MSG_OOB ? direction::none : direction::in;
    switch (op.code)
    {
    case opcode::receive:
    case opcode::receive_message:
    case opcode::receive_messages:
    case opcode::receive_many:
    case opcode::receive_message_many:
        return op.flags & MSG_OOB ? direction::none : direction::in;
    case opcode::send:
    case opcode::send_message:
    case opcode::send_messages:
    case opcode::send_zero_copy:
    case opcode::send_message_zero_copy:
        return direction::out;
    case opcode::read:
    case opcode::readv:
        return op.offset == operation::current_position ? direction::in : direction::none;
    case opcode::write:
    case opcode::writev:
        return op.offset == operation::current_position ? direction::out : direction::none;
    case opcode::nop:
    case opcode::accept:
    case opcode::accept_many:
    case opcode::connect:
    case opcode::poll:
    case opcode::open:
    case opcode::sync:
    case opcode::accept_direct:
    case opcode::shutdown:
    case opcode::install:
        break;
    }
    return direction::none;
}

} // namespace zsync
