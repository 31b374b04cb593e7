// SPDX-License-Identifier: BSL-1.0
// How operations end before their time: cancelled, or sent by a system call because something is to come after them.
// The lock is held throughout, but for the system call in submit().
#include <zsync/uring/uring_engine.hpp>

#include <zsync/core/direction.hpp>
#include <zsync/core/system_call.hpp>

#include "prepare.hpp"
#include "ring.hpp"

#include <utility>

namespace zsync
{

namespace
{

// What a system call does in the place of a zero-copy send.
opcode copying(opcode code) noexcept
{
    switch (code)
    {
    case opcode::send_zero_copy:
        return opcode::send;
    case opcode::send_message_zero_copy:
        return opcode::send_message;
    default:
        return code;
    }
}

} // namespace

// Returns false if the submission queue was full.
bool uring_engine::fill_cancels() noexcept
{
    while (operation* op = to_cancel_.front())
    {
        io_uring_sqe* const sqe = ring_->next_sqe();
        if (!sqe)
            return false;
        detail::prepare_cancel(*sqe, op->id, ring_->skips_success());
        to_cancel_.pop();
        op->cancel_queued = false;
    }
    return true;
}

// Returns once the kernel has read all entries filled in before the call, and the cancel requests queued before it.
void uring_engine::hand_over_cancels(lock& held) noexcept
{
    while (!to_cancel_.empty() || !ring_->all_consumed())
    {
        fill_cancels();
        const int result = submit(held);
        if (result < 0)
            reap(); // the kernel may want room for completions
        if (!detail::is_passing(result))
            return;
    }
}

void uring_engine::try_sends_on(int descriptor) noexcept
{
    bool more = true;
    records_.for_each_on(descriptor,
                         [&](operation& op)
                         {
                             if (!more || op.way != direction::out || op.cancel_requested)
                                 return;
                             if (op.where != operation::state::queued || op.awaited)
                             {
                                 more = false;
                                 return;
                             }
                             const opcode asked = op.code;
                             op.code = copying(asked);
                             more = try_perform(op);
                             op.code = asked;
                             if (!more)
                                 return;
                             queued_.erase(op);
                             finish(op, op.result);
                         });
}

bool uring_engine::cancel_all_on(int descriptor) noexcept
{
    return records_.for_each_on(descriptor, [this](operation& op) { request_cancel(op); });
}

void uring_engine::request_cancel(operation& op) noexcept
{
    if (std::exchange(op.cancel_requested, true))
        return;
    ++counters_.cancels_requested;
    if (op.where == operation::state::queued)
    {
        queued_.erase(op);
        finish(op, -ECANCELED);
    }
    else if (op.where == operation::state::held)
    {
        finish(op, -ECANCELED);
    }
    else if (op.where == operation::state::starved)
    {
        end_starvation(op);
        finish(op, -ECANCELED);
    }
    else if (!std::exchange(op.cancel_queued, true))
    {
        to_cancel_.push(op);
    }
}

} // namespace zsync
