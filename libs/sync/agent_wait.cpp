// SPDX-License-Identifier: BSL-1.0
#include <zsync/sync/detail/agent_wait.hpp>

#include <zsync/core/error.hpp>

#include <boost/asio/error.hpp>

#include <algorithm>

namespace zsync::detail
{

using boost::asio::error::operation_aborted;

boost::system::error_code agent_wait_base::refusal(agent& self)
{
    if (const auto reason = self.may_wait()) [[unlikely]]
        return reason;
    if (self.cancellation().take()) [[unlikely]]
        return operation_aborted;
    return {};
}

boost::system::error_code agent_wait_base::wait_until(sync_clock::time_point deadline)
{
    task_cancellation& cancellation = waiter_.owner().cancellation();
    deadline = std::min(deadline, cancellation.deadline());
    cancellation.begin(*this);
    if (deadline == no_deadline)
        waiter_.wait();
    else if (!waiter_.wait_until(deadline))
    {
        if (withdraw())
            node_.result = error::timed_out;
        else
            waiter_.wait(); // somebody has taken it out, and is about to tell
    }
    cancellation.end();
    if (node_.result && node_.result == operation_aborted) [[unlikely]] // comparing error codes costs more than asking
        cancellation.take();                                            // throws where the context is being destroyed
    return node_.result;
}

bool agent_wait_base::withdraw() noexcept
{
    woken_list woken;
    const bool mine = queue_.withdraw(node_, woken);
    woken.complete();
    return mine;
}

// On the waiting agent's own thread.
void agent_wait_base::interrupt() noexcept
{
    if (!withdraw())
        return;
    node_.result = operation_aborted;
    waiter_.notify();
}

} // namespace zsync::detail
