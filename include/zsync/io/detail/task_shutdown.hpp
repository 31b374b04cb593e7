// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/task_cancellation.hpp>

#include <boost/asio/error.hpp>

namespace zsync::detail
{

/// Why a root is asked to end when its program is to be shut down. The tasks that it forwards the request to know it
/// by that, too; what they see of it is operation_aborted.
inline constexpr auto shutdown_reason = boost::asio::error::shut_down;

/// The task was asked to end because the program is shut down, with a deadline for the work in progress.
inline bool is_shutting_down(const task_cancellation& cancellation) noexcept
{
    return cancellation.requested() && cancellation.reason() == shutdown_reason;
}

} // namespace zsync::detail
