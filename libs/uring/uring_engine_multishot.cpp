// SPDX-License-Identifier: BSL-1.0
// What uring_engine does for operations that have more than one completion, and for the buffers of receives. The lock
// is held throughout.
#include <zsync/uring/uring_engine.hpp>

#include "prepare.hpp"
#include "provided_buffers.hpp"
#include "retry.hpp"
#include "ring.hpp"

#include <zsync/core/detail/ring_syscalls.hpp>

#include <cerrno>
#include <utility>

namespace zsync
{

namespace
{

bool is_zero_copy(const operation& op) noexcept
{
    return op.code == opcode::send_zero_copy || op.code == opcode::send_message_zero_copy;
}

bool is_receive(const operation& op) noexcept
{
    return op.code == opcode::receive_many || op.code == opcode::receive_message_many;
}

} // namespace

buffer_pool_ptr uring_engine::make_buffers(const buffer_options& options)
{
    if (!supports(opcode::receive_many))
        return nullptr;
    lock held(mutex_);
    return make_buffers_locked(options);
}

buffer_pool_ptr uring_engine::buffers()
{
    if (!supports(opcode::receive_many))
        return nullptr;
    lock held(mutex_);
    if (!default_buffers_)
        default_buffers_ = make_buffers_locked(buffer_options_);
    return default_buffers_;
}

buffer_pool_ptr uring_engine::make_buffers_locked(const buffer_options& options)
{
    provided_.reserve(provided_.size() + 1);
    buffer_pool_ptr pool(new buffer_pool(options, *this, static_cast<std::uint16_t>(provided_.size())));
    provided_.push_back(std::make_unique<detail::provided_buffers>(pool));
    return pool;
}

// The buffers that a receive is to fill, or null if they are another engine's.
detail::provided_buffers* uring_engine::buffers_of(const multishot_operation& op) noexcept
{
    if (!op.buffers || op.buffers->group() >= provided_.size())
        return nullptr;
    detail::provided_buffers& buffers = *provided_[op.buffers->group()];
    return &buffers.pool() == op.buffers ? &buffers : nullptr;
}

// Says whether a queued record can be handed over; else it has been finished.
bool uring_engine::ready_to_receive(operation& op) noexcept
{
    if (!is_receive(op))
        return true;
    detail::provided_buffers* const buffers = buffers_of(static_cast<multishot_operation&>(op));
    const int result = buffers ? buffers->register_with(*ring_) : -EINVAL;
    if (result >= 0)
        return true;
    queued_.erase(op);
    finish(op, result);
    return false;
}

// Gives the kernel the buffers that have come back, and lets as many receives go on as there are buffers.
void uring_engine::refill() noexcept
{
    for (const auto& buffers : provided_)
    {
        unsigned available = buffers->refill();
        if (buffers->starved.empty())
            continue;
        for (; available != 0 && !buffers->starved.empty(); --available)
        {
            enqueue(*buffers->starved.pop());
            ++counters_.operations_retried;
        }
        buffers->pool().set_starved(!buffers->starved.empty());
    }
}

void uring_engine::starve(multishot_operation& op) noexcept
{
    detail::provided_buffers& buffers = *buffers_of(op);
    op.where = operation::state::starved;
    buffers.starved.push(op);
    buffers.pool().set_starved(true);
    ++counters_.buffers_dry;
}

void uring_engine::end_starvation(operation& op) noexcept
{
    buffers_of(static_cast<multishot_operation&>(op))->starved.erase(op);
}

// A completion that is not the plain success of a plain operation.
void uring_engine::take_special(operation& op, const io_uring_cqe& cqe) noexcept
{
    if (op.multishot)
        return take_one_of_many(static_cast<multishot_operation&>(op), cqe);
    if (cqe.flags & IORING_CQE_F_MORE)
    {
        op.result = cqe.res; // sent; the kernel has the memory still
        return;
    }
    if ((cqe.flags & IORING_CQE_F_NOTIF) == 0 || !is_zero_copy(op))
        return settle(op, cqe.res);
    ++counters_.zero_copy_sends;
    if (static_cast<unsigned>(cqe.res) & detail::notification_copied)
        ++counters_.zero_copy_copied;
    settle(op, op.result);
}

void uring_engine::take_one_of_many(multishot_operation& op, const io_uring_cqe& cqe) noexcept
{
    const bool accepted = op.code == opcode::accept_many;
    const bool success = !op.awaited && (accepted ? cqe.res >= 0 : cqe.res > 0);
    if (cqe.flags & IORING_CQE_F_BUFFER)
    {
        detail::provided_buffers& buffers = *buffers_of(op);
        const std::uint32_t first = cqe.flags >> IORING_CQE_BUFFER_SHIFT;
        if (success)
            buffers.take(first, static_cast<std::uint32_t>(cqe.res),
                         [&](std::uint32_t index, std::uint32_t bytes)
                         {
                             ++counters_.multishot_results;
                             op.on_result(op, static_cast<std::int32_t>(bytes), index);
                         });
        else
            buffers.take_empty(*ring_, first);
    }
    else if (success)
    {
        ++counters_.multishot_results;
        op.on_result(op, cqe.res, buffer_pool::none);
    }
    if (success)
        news_.push(op);
    if (cqe.flags & IORING_CQE_F_MORE)
        return;

    let_go(op);
    const bool dry = cqe.res == -ENOBUFS && is_receive(op);
    if (op.cancel_requested && (success || dry))
        finish(op, -ECANCELED);
    else if (success)
        enqueue(op); // the kernel had no more places for completions, or has tried often enough
    else if (dry)
        starve(op);
    else
        finish_or_retry(op, cqe.res);
}

void uring_engine::deliver_news(news_list& news, void* sink) noexcept
{
    while (multishot_operation* const op = news.pop())
        op->on_news(*op, sink);
}

} // namespace zsync
