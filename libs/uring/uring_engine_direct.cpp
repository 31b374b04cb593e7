// SPDX-License-Identifier: BSL-1.0
// The ring's own table of files. Its places are taken and given back here, never by the kernel, which would accept a
// connection first, and close it if it then found no place. What is taken stays taken when the ring is replaced: the
// sockets are gone then, and a file that is none stands there until their owners let go.
#include <zsync/uring/uring_engine.hpp>

#include <zsync/core/direct_name.hpp>
#include <zsync/core/thread_number.hpp>

#include "prepare.hpp"
#include "ring.hpp"

#include <algorithm>
#include <cstddef>

#include <sys/resource.h>

namespace zsync
{

// With as many places as were asked for, or as RLIMIT_NOFILE allows; without one where the kernel has none.
void uring_engine::make_table(unsigned places)
{
    rlimit files{};
    ::getrlimit(RLIMIT_NOFILE, &files);
    const auto allowed = std::min<rlim_t>(files.rlim_cur, most_direct);
    const auto count = static_cast<unsigned>(std::min<rlim_t>(places, allowed));
    if (count == 0 || last_operation_ < IORING_OP_SOCKET) // 5.19
        return;
    table_.assign(count, -1);
    if (ring_->register_files(table_) < 0)
        return;
    records_.add_places(count);
    leaving_.reserve(count);
    for (unsigned place = count; place != 0;)
        free_places_.push_back(--place);
    places_ = count;
}

// The lock is held.
void uring_engine::give_table() noexcept
{
    if (places_ == 0)
        return;
    std::fill(table_.begin(), table_.end(), wake_descriptor_);
    for (const std::uint32_t place : free_places_)
        table_[place] = -1;
    if (ring_->register_files(table_) >= 0)
        return;
    places_ = 0; // connections go on as ordinary descriptors
    free_places_.clear();
    leaving_.clear();
}

int uring_engine::take_place() noexcept
{
    if (places_ == 0)
        return -1;
    const lock held(mutex_);
    if (free_places_.empty())
    {
        ++counters_.direct_full;
        return -1;
    }
    const std::uint32_t place = free_places_.back();
    free_places_.pop_back();
    return static_cast<int>(place);
}

void uring_engine::give_back_place(int place) noexcept
{
    const lock held(mutex_);
    if (places_ != 0)
        free_places_.push_back(static_cast<std::uint32_t>(place));
}

// Sends that wait to be handed over go before the end; what else is in flight is cancelled.
void uring_engine::detach_direct(int descriptor) noexcept
{
    lock held(mutex_);
    if (stopped_ || places_ == 0 || !ring_->is_here())
        return; // the table is gone
    records_.for_each_on(descriptor,
                         [this](operation& op)
                         {
                             if (op.way != direction::out || op.where != operation::state::queued || op.awaited)
                                 request_cancel(op);
                         });
    leaving_.push_back(direct_place(descriptor));
    if (!may_enter() || (cooperative_ && runner_ != this_thread_number()))
        return prompt(held);

    // At once: nobody says that another turn will come. Nothing else is handed over, for the same reason.
    bool more = true;
    while (more)
    {
        more = fill_closes();
        if (submit(held) < 0)
            return wake();
    }
    if (left_ && in_kernel_ != background_in_kernel_)
        quiesce(); // a send: the next turn may be another thread's
}

// Returns true if there is more than the submission queue could take. The lock is held.
bool uring_engine::fill_closes() noexcept
{
    while (!leaving_.empty())
    {
        const std::uint32_t place = leaving_.back();
        bool room = true;
        records_.for_each_on(direct_name(place),
                             [&](operation& op)
                             {
                                 // Of what is queued, detach_direct() has left the sends.
                                 io_uring_sqe* const sqe =
                                     room && op.where == operation::state::queued ? ring_->next_sqe() : nullptr;
                                 room = room && (sqe || op.where != operation::state::queued);
                                 if (!sqe)
                                     return;
                                 queued_.erase(op);
                                 detail::prepare(*sqe, op, false, *ring_);
                                 enter_kernel(op);
                             });
        io_uring_sqe* const sqe = room ? ring_->next_sqe() : nullptr;
        if (!sqe)
            return true;
        detail::prepare_close(*sqe, place);
        cancel_all_on(direct_name(place)); // sends that find no room
        leaving_.pop_back();
        free_places_.push_back(place);
    }
    return !fill_cancels();
}

} // namespace zsync
