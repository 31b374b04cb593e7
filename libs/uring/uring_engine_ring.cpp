// SPDX-License-Identifier: BSL-1.0
// The half of uring_engine that faces the kernel: what is handed over, what comes back. The lock is held throughout,
// but for the system call in submit().
//
// Nearly every operation is a transfer that the kernel does and answers with bytes. fill() and reap() hold its way in
// one straight line; whatever is out of the ordinary about a record or an answer branches off once.
#include <zsync/uring/uring_engine.hpp>

#include <zsync/core/direct_name.hpp>

#include "prepare.hpp"
#include "retry.hpp"
#include "ring.hpp"

#include <boost/assert.hpp>

#include <cerrno>
#include <cstdint>
#include <utility>

#include <sys/socket.h>

namespace zsync
{

namespace
{

// A plain operation has done what it was asked, nothing came first, and nothing is to come.
bool is_plain_success(const operation& op, const io_uring_cqe& cqe) noexcept
{
    constexpr unsigned special = IORING_CQE_F_BUFFER | IORING_CQE_F_MORE | IORING_CQE_F_NOTIF;
    return cqe.res >= 0 && (cqe.flags & special) == 0 && op.awaited == 0 && op.code != opcode::poll &&
           !(op.multishot | op.background | op.cancel_queued);
}

} // namespace

// Returns true if there is more than the submission queue could take.
bool uring_engine::fill() noexcept
{
    if (!to_cancel_.empty() && !fill_cancels()) [[unlikely]]
        return true;
    unsigned room = queued_.empty() ? 0 : ring_->room();
    while (operation* const op = queued_.front())
    {
        if (op->code >= opcode::send_messages && !goes_to_kernel(*op)) [[unlikely]]
            continue;
        if (room == 0)
        {
            ++counters_.sq_full;
            return true;
        }
        --room;
        queued_.pop();
        io_uring_sqe& sqe = ring_->take_sqe();
        const bool poll_first =
            op->waits_when_drained && op->code == opcode::receive && records_.drained(op->descriptor);
        if (detail::is_plain_transfer(*op)) [[likely]]
            detail::prepare_transfer(sqe, *op, poll_first);
        else
            detail::prepare(sqe, *op, poll_first, *ring_);
        enter_kernel(*op);
    }
    return !leaving_.empty() && fill_closes();
}

// Says whether a queued record is one for the kernel as it is; else it has been finished.
bool uring_engine::goes_to_kernel(operation& op) noexcept
{
    if (op.multishot)
        return ready_to_receive(op);
    if (!detail::is_batch(op) || op.awaited)
        return true;
    // Under the lock, which close() takes, too: the number is that of this descriptor still.
    if (detail::perform_batch(op))
    {
        queued_.erase(op);
        finish(op, op.result);
        return false;
    }
    op.awaited = detail::readiness_of(op);
    return true;
}

int uring_engine::submit(lock& held) noexcept
{
    const unsigned count = ring_->publish();
    if (count == 0)
        return 0;
    ++counters_.ring_enters;
    ++entering_;
    held.unlock();
    const int result = ring_->submit(count);
    held.lock();
    --entering_;
    return result;
}

// A record has its result. What waited for its way goes next.
inline void uring_engine::finished(operation& op) noexcept
{
    op.where = operation::state::finished;
    finished_.push(op);
    if (operation* const next = records_.leave(op))
        enqueue(*next);
}

void uring_engine::reap() noexcept
{
    std::uint64_t completed = 0;
    counters_.completions += ring_->reap(
        [&](const io_uring_cqe& cqe)
        {
            if (cqe.user_data == detail::no_operation) [[unlikely]]
                return; // of a cancel request
            operation* const found = records_.find_given(detail::from_user_data(cqe.user_data));
            if (!found) [[unlikely]]
            {
                BOOST_ASSERT(cqe.flags & IORING_CQE_F_NOTIF); // of a zero-copy send that was refused
                return;
            }
            operation& op = *found;
            BOOST_ASSERT(op.where == operation::state::in_kernel);
            if (op.waits_when_drained && cqe.res >= 0)
                note_drained(op, cqe);
            if (!is_plain_success(op, cqe)) [[unlikely]]
                return take_special(op, cqe);
            --in_kernel_;
            ++completed;
            op.result = cqe.res;
            finished(op);
        });
    counters_.operations_completed += completed;
}

// A socket is empty after a receive unless the kernel says otherwise, and the next attempt would be in vain. Where a
// kind of socket cannot say (local ones before Linux 6.17) the guess may be wrong; that costs a detour, and changes no
// result.
void uring_engine::note_drained(const operation& op, const io_uring_cqe& cqe) noexcept
{
    const bool empty = (cqe.flags & IORING_CQE_F_SOCK_NONEMPTY) == 0 && (op.flags & MSG_PEEK) == 0;
    records_.set_drained(op.descriptor, empty && !op.awaited && ring_->knows_drained());
}

void uring_engine::let_go(operation& op) noexcept
{
    --in_kernel_;
    background_in_kernel_ -= op.background;
    if (std::exchange(op.cancel_queued, false))
        to_cancel_.erase(op);
}

// The kernel has let go of a record, with this answer: it is finished, or goes again.
void uring_engine::settle(operation& op, int result) noexcept
{
    let_go(op);
    finish_or_retry(op, result);
}

void uring_engine::finish_or_retry(operation& op, int result) noexcept
{
    // What stood in the table has gone with its ring.
    if ((result == -ENOTSOCK || result == -EBADF) && is_direct(op.descriptor))
        return finish(op, -ECONNABORTED);
    // What a zero-copy send is refused by, such as a local socket, a plain one need not be.
    if (result == -EOPNOTSUPP && (op.code == opcode::send_zero_copy || op.code == opcode::send_message_zero_copy))
    {
        op.code = op.code == opcode::send_zero_copy ? opcode::send : opcode::send_message;
        return enqueue(op);
    }
    if (detail::is_final(op, result))
    {
        finish(op, op.result);
        return;
    }
    enqueue(op);
    if (!op.background)
        ++counters_.operations_retried;
}

void uring_engine::finish(operation& op, int result) noexcept
{
    op.result = result;
    finished(op);
    if (!op.background)
    {
        ++counters_.operations_completed;
        if (result == -ECANCELED)
            ++counters_.operations_cancelled;
    }
}

} // namespace zsync
