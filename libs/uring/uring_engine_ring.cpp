// SPDX-License-Identifier: BSL-1.0
// The half of uring_engine that faces the kernel: who owns the ring, what is handed over, what comes back. The lock is
// held throughout, but for the system call in submit().
#include <zsync/uring/uring_engine.hpp>

#include <zsync/core/detail/cpu_pause.hpp>
#include <zsync/core/direct_name.hpp>
#include <zsync/core/direction.hpp>
#include <zsync/core/system_call.hpp>
#include <zsync/core/thread_number.hpp>

#include "prepare.hpp"
#include "provided_buffers.hpp"
#include "retry.hpp"
#include "ring.hpp"

#include <boost/assert.hpp>
#include <boost/system/system_error.hpp>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>

#include <sys/socket.h>

namespace zsync
{

namespace
{

[[noreturn]] void fail(boost::system::error_code error, const char* what)
{
    throw boost::system::system_error(error, what);
}

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

bool uring_engine::may_enter() const noexcept
{
    return ring_->is_here() && enabled_ && (!one_owner_ || runner_ == this_thread_number());
}

detail::ring_mode uring_engine::mode() const noexcept
{
    if (one_owner_)
        return detail::ring_mode::single;
    return cooperative_ ? detail::ring_mode::cooperative : detail::ring_mode::shared;
}

// The calling thread is about to take a turn.
void uring_engine::become_runner(lock& held)
{
    if (one_owner_)
        return become_owner();
    const std::uint64_t self = this_thread_number();
    if (std::exchange(runner_, self) == self || one_runner_ || !cooperative_ || in_kernel_ == background_in_kernel_)
        return;
    if (has_direct())
        return; // which would be lost with this ring

    // Without a second ring to be had (no descriptors left) the first one goes on: right, if late at times.
    auto fresh = std::make_unique<detail::ring>();
    if (fresh->open(entries_, detail::ring_mode::shared))
        return;
    while (entering_ != 0)
    {
        held.unlock();
        std::this_thread::yield();
        held.lock();
    }
    // What the former runner has submitted completes when it next enters the kernel: by itself, or because a clock tick
    // makes it, which is what this may wait for, once.
    quiesce();
    cooperative_ = false;
    replace_ring(std::move(fresh));
}

// Makes the calling thread the one that runs a ring with a single owner.
void uring_engine::become_owner()
{
    const std::uint64_t self = this_thread_number();
    left_ = false;
    if (enabled_ && runner_ == self)
        return;
    if (enabled_)
    {
        // The former owner has left, and taken back what was in the kernel but for the library's own polls.
        if (in_kernel_ != background_in_kernel_)
            fail({EEXIST, boost::system::system_category()},
                 "uring_engine: another thread's operations are in flight on this ring");
        renew_ring(detail::ring_mode::single);
    }
    if (const auto error = ring_->enable())
        fail(error, "io_uring_register");
    enabled_ = true;
    runner_ = self;
}

void uring_engine::renew_ring(detail::ring_mode mode)
{
    auto fresh = std::make_unique<detail::ring>();
    if (const auto error = fresh->open(entries_, mode))
        fail(error, "io_uring_setup");
    replace_ring(std::move(fresh));
}

void uring_engine::replace_ring(std::unique_ptr<detail::ring> fresh) noexcept
{
    take_back_all();
    ring_ = std::move(fresh);
    give_table();
    for (const auto& buffers : provided_)
        buffers->start_over();
    one_owner_ = ring_->is_single();
    enabled_ = !one_owner_;
}

// Settles every record as given up by the kernel, without asking it: its ring is about to go.
void uring_engine::take_back_all() noexcept
{
    records_.for_each(
        [this](operation& op)
        {
            if (op.where == operation::state::in_kernel)
                settle(op, -ECANCELED);
        });
}

// Takes every record back from the kernel: what was not finished is queued again. The kernel may miss a request that
// is just changing its state, so the rest is asked again after a while.
void uring_engine::quiesce() noexcept
{
    while (in_kernel_ != 0)
    {
        records_.for_each(
            [this](operation& op)
            {
                if (op.where == operation::state::in_kernel && !std::exchange(op.cancel_queued, true))
                    to_cancel_.push(op);
            });
        int result = 0;
        while (in_kernel_ != 0 && (result != -ETIME || !to_cancel_.empty()))
        {
            fill_cancels();
            result = ring_->submit_and_wait(ring_->publish(), std::chrono::milliseconds(10));
            reap();
            if (!detail::is_passing(result)) // somebody has closed the ring: the kernel lets go by itself
                return take_back_all();
        }
    }
}

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

// Returns true if there is more than the submission queue could take.
bool uring_engine::fill() noexcept
{
    if (!fill_cancels())
        return true;
    while (operation* op = queued_.front())
    {
        if (op->multishot && !ready_to_receive(*op)) [[unlikely]]
            continue;
        if (detail::is_batch(*op) && !op->awaited) [[unlikely]]
        {
            // Under the lock, which close() takes, too: the number is that of this descriptor still.
            if (detail::perform_batch(*op))
            {
                queued_.pop();
                finish(*op, op->result);
                continue;
            }
            op->awaited = detail::readiness_of(*op);
        }
        io_uring_sqe* const sqe = ring_->next_sqe();
        if (!sqe)
        {
            ++counters_.sq_full;
            return true;
        }
        queued_.pop();
        detail::prepare(*sqe, *op, op->waits_when_drained && records_.drained(op->descriptor), *ring_);
        enter_kernel(*op);
    }
    return !leaving_.empty() && fill_closes();
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

// Something was queued: a turn that sleeps would not see it. On a shared ring the calling thread hands it over itself;
// where one thread runs the ring, what is submitted by another would complete late (COOP_TASKRUN) or not at all.
void uring_engine::prompt(lock& held) noexcept
{
    const auto state = sleep_.load(std::memory_order_relaxed);
    if (state != sleep_state::asleep && state != sleep_state::spinning)
        return;
    if (cooperative_ || !finished_.empty() || !news_.empty())
    {
        wake();
        return;
    }
    bool more = true;
    while (more)
    {
        more = fill();
        if (submit(held) < 0)
        {
            wake(); // the turn will try again
            return;
        }
    }
}

bool uring_engine::nothing_to_deliver() const noexcept
{
    return finished_.empty() && news_.empty() && queued_.empty() && leaving_.empty() && !ring_->has_completions() &&
           !stopped_;
}

// Watches the completion queue instead of sleeping, as long as spin_for and the timeout allow; what is left of the
// timeout is the sleep's. Deferred work of the kernel ends it too: the system call that follows has it done.
void uring_engine::spin(lock& held, std::optional<std::chrono::microseconds>& timeout) noexcept
{
    const int submitted = submit(held);
    const unsigned tail = ring_->completion_tail(); // before the look: what comes after it is then seen to come
    if (submitted < 0 || !nothing_to_deliver() || ring_->must_enter())
        return;
    auto expected = sleep_state::awake;
    if (!sleep_.compare_exchange_strong(expected, sleep_state::spinning))
        return;

    using clock = std::chrono::steady_clock;
    const auto begin = clock::now();
    const auto end = begin + (timeout ? std::min(*timeout, spin_for_) : spin_for_);
    ++counters_.spins;
    ++entering_; // nobody may replace the ring
    held.unlock();
    const auto disturbed = [this, tail]
    {
        return ring_->completion_tail() != tail || ring_->must_enter() ||
               sleep_.load(std::memory_order_relaxed) != sleep_state::spinning;
    };
    bool ended = false;
    clock::time_point now = begin;
    do
    {
        for (int looks = 0; looks != 16 && !ended; ++looks)
        {
            detail::cpu_pause();
            ended = disturbed();
        }
        now = clock::now();
    } while (!ended && now < end);
    held.lock();
    --entering_;
    if (ended)
        ++counters_.spin_hits;
    if (timeout)
        *timeout -= std::min(*timeout, std::chrono::floor<std::chrono::microseconds>(now - begin));
}

void uring_engine::reap() noexcept
{
    counters_.completions += ring_->reap(
        [this](const io_uring_cqe& cqe)
        {
            if (cqe.user_data == detail::no_operation)
                return;
            operation* const op = records_.find(detail::from_user_data(cqe.user_data));
            if (!op && cqe.flags & IORING_CQE_F_NOTIF)
                return; // of a zero-copy send that was refused
            BOOST_ASSERT(op && op->where == operation::state::in_kernel);
            if (op->waits_when_drained && cqe.res >= 0)
                note_drained(*op, cqe);
            constexpr unsigned special = IORING_CQE_F_BUFFER | IORING_CQE_F_MORE | IORING_CQE_F_NOTIF;
            if (op->multishot || cqe.flags & special) [[unlikely]]
                take_special(*op, cqe);
            else
                settle(*op, cqe.res);
        });
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
    // Nearly always: it has done what it was asked, and nothing came first.
    if (result >= 0 && !op.awaited && op.code != opcode::poll) [[likely]]
    {
        finish(op, result);
        return;
    }
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
    op.where = operation::state::finished;
    records_.leave(op);
    finished_.push(op);
    if (operation* const next = records_.give_way(op))
        enqueue(*next);
    if (!op.background)
    {
        ++counters_.operations_completed;
        if (op.result == -ECANCELED)
            ++counters_.operations_cancelled;
    }
}

void uring_engine::enqueue(operation& op) noexcept
{
    op.where = operation::state::queued;
    queued_.push(op);
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
    bool any = false;
    records_.for_each_on(descriptor,
                         [&](operation& op)
                         {
                             any = true;
                             request_cancel(op);
                         });
    return any;
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

void uring_engine::enter_kernel(operation& op) noexcept
{
    op.where = operation::state::in_kernel;
    ++in_kernel_;
    background_in_kernel_ += op.background;
}

} // namespace zsync
