// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/system/error_category.hpp>
#include <boost/system/error_code.hpp>

#include <type_traits>

namespace zsync
{

/// Names what can go wrong that neither Asio nor boost::system has a code for.
///
/// Everything else keeps its usual code: a cancelled operation is boost::asio::error::operation_aborted, a wait that
/// could never end is errc::resource_deadlock_would_occur, and the system's failures are its errno.
enum class error
{
    /// The function would have to make progress on its own, and the model in use runs one thing at a time. The
    /// blocking model always answers so; asking again does not help.
    concurrency_unavailable = 1,

    /// The timer of a timeout, or of a deadline set on an `io`, ended the wait. It is not ETIMEDOUT, with which the
    /// kernel reports a dead peer; both equal the condition boost::system::errc::timed_out.
    timed_out,

    /// The channel is closed: nothing can be sent any more, and what had been sent has all been received.
    channel_closed,

    /// The receiver was too slow for its broadcast_channel, and items have been dropped that it has not received. It
    /// can go on, with the oldest that is left.
    lagged,
};

/// Returns the category of zsync::error, named "zsync". Two copies of the library in one process compare equal.
/// Never blocks; safe from every thread.
[[nodiscard]] const boost::system::error_category& error_category() noexcept;

/// Makes the error_code of an enumerator. Never blocks; safe from every thread.
[[nodiscard]] inline boost::system::error_code make_error_code(error value) noexcept
{
    return {static_cast<int>(value), error_category()};
}

} // namespace zsync

template <>
struct boost::system::is_error_code_enum<zsync::error> : std::true_type
{
};
