// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/operation.hpp>

namespace zsync::detail
{

/// Says that an attempt has come to an end, with this result.
inline bool finish(operation& op, int result) noexcept
{
    op.result = result;
    return true;
}

/// One attempt at a read or write, as attempt().
bool attempt_transfer(operation& op, bool known_pollable) noexcept;

/// Takes a socket's SO_ERROR. Returns it, or why it cannot be had: an errno, or 0.
int take_error(int descriptor) noexcept;

} // namespace zsync::detail
