// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/agent.hpp>

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>

namespace zsync
{

// A request to cancel what is running is delivered once, as operation_aborted, at its next cancellation point: I/O,
// sleep, awaiting a child, and whatever else waits. These are for the task itself; none of them blocks.

/// A cancellation point that waits for nothing, for tasks that compute.
/// @throws boost::system::system_error with operation_aborted if a request is due, which is then delivered.
inline void check_cancel()
{
    if (agent::current().cancellation().take()) [[unlikely]]
        throw boost::system::system_error(boost::asio::error::operation_aborted, "check_cancel");
}

/// The same with an error code, operation_aborted or success.
inline void check_cancel(boost::system::error_code& ec)
{
    ec = {};
    if (agent::current().cancellation().take()) [[unlikely]]
        ec = boost::asio::error::operation_aborted;
}

/// Lets a request that has been delivered be delivered again, at the next point: for who has caught it, tidied up, and
/// wants the rest of the task to end too. Does nothing if there was no request.
inline void recancel() noexcept
{
    agent::current().cancellation().recancel();
}

/// Defers requests for as long as it lives: points do not deliver them, and what waits is not interrupted by them.
/// Nests. To be destroyed by the task that made it, as a local variable is.
class [[nodiscard]] cancel_protection
{
public:
    cancel_protection() noexcept : cancellation_(agent::current().cancellation()) { cancellation_.protect(); }
    ~cancel_protection() { cancellation_.unprotect(); }

    cancel_protection(const cancel_protection&) = delete;
    cancel_protection& operator=(const cancel_protection&) = delete;

private:
    task_cancellation& cancellation_;
};

} // namespace zsync
