// SPDX-License-Identifier: BSL-1.0
// How operations end before their time: cancelled, or sent at once because something is to come after them. The lock is
// held throughout, but while an attempt is awaited.
#include <zsync/reactor/reactor_engine.hpp>

#include <zsync/core/system_call.hpp>

#include <cerrno>
#include <thread>
#include <utility>

namespace zsync
{

// Returns when no attempt on a descriptor is in progress.
void reactor_engine::await_attempt_on(int descriptor, lock& held) const noexcept
{
    while (attempted_ && attempted_->descriptor == descriptor)
    {
        held.unlock();
        std::this_thread::yield();
        held.lock();
    }
}

bool reactor_engine::cancel_all_on(int descriptor) noexcept
{
    return records_.for_each_on(descriptor, [this](operation& op) { request_cancel(op); });
}

void reactor_engine::try_sends_on(int descriptor) noexcept
{
    bool more = true;
    records_.for_each_on(descriptor,
                         [&](operation& op)
                         {
                             if (!more || op.way != direction::out || op.cancel_requested)
                                 return;
                             more = op.where == operation::state::queued && !op.awaited &&
                                    detail::attempt(op, is_known_pollable(op));
                             if (!more)
                                 return;
                             queued_.erase(op);
                             finish(op, op.result);
                         });
}

void reactor_engine::request_cancel(operation& op) noexcept
{
    if (std::exchange(op.cancel_requested, true))
        return;
    ++counters_.cancels_requested;
    if (&op == attempted_) // its result decides
        return;
    if (op.where == operation::state::queued)
        queued_.erase(op);
    else if (op.where == operation::state::in_kernel)
        find_watch(op.descriptor)->waiting.erase(op);
    finish(op, op.result > 0 ? op.result : -ECANCELED); // more than 0: a part of what MSG_WAITALL collects
}

} // namespace zsync
