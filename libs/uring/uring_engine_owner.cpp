// SPDX-License-Identifier: BSL-1.0
// Who may enter the ring, and how one ring takes another's place. The lock is held throughout, but for waits.
#include <zsync/uring/uring_engine.hpp>

#include <zsync/core/thread_number.hpp>

#include "provided_buffers.hpp"
#include "ring.hpp"

#include <boost/system/system_error.hpp>

#include <cerrno>
#include <chrono>
#include <memory>
#include <thread>
#include <utility>

namespace zsync
{

namespace
{

[[noreturn]] void fail(boost::system::error_code error, const char* what)
{
    throw boost::system::system_error(error, what);
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

} // namespace zsync
