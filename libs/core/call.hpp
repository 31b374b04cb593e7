// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/operation.hpp>

#include <sys/types.h>

namespace zsync::detail
{

inline bool is_vectored(const operation& op) noexcept
{
    return op.code == opcode::readv || op.code == opcode::writev;
}

inline bool is_read(const operation& op) noexcept
{
    return op.code == opcode::read || op.code == opcode::readv;
}

/// Calls read(2) or one of its relatives, with `flags` beside the operation's own. As they do, -1 is an error in errno.
ssize_t transfer(const operation& op, int flags) noexcept;

/// Makes the call that an operation stands for. `flags` are beside its own MSG_ flags. Returns what the call does, or a
/// negated errno.
int call(const operation& op, int flags = 0) noexcept;

/// The same, again where a signal has ended it.
int call_through_signals(const operation& op, int flags = 0) noexcept;

} // namespace zsync::detail
