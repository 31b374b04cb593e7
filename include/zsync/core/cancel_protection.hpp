// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/agent.hpp>
#include <zsync/core/error.hpp>

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>

namespace zsync
{

// A request to cancel what is running is delivered once, as operation_aborted, at its next cancellation point: I/O,
// sleep, awaiting a child, and whatever else waits. These are for the task itself; none of them blocks.

/// A cancellation point that waits for nothing, for tasks that compute. Stores operation_aborted if a request is due,
/// which is then delivered; error::timed_out if the deadline of a deadline_scope has passed; or success.
inline void check_cancel(boost::system::error_code& ec)
{
    ec = {};
    task_cancellation& cancellation = agent::current().cancellation();
    if (cancellation.take()) [[unlikely]]
        ec = boost::asio::error::operation_aborted;
    else if (cancellation.deadline_passed()) [[unlikely]]
        ec = error::timed_out;
}

/// The same, but throws it. @throws boost::system::system_error
inline void check_cancel()
{
    boost::system::error_code ec;
    check_cancel(ec);
    if (ec) [[unlikely]]
        throw boost::system::system_error(ec, "check_cancel");
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
