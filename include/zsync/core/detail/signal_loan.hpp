// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/agent.hpp>
#include <zsync/core/detail/asio.hpp>
#include <zsync/core/detail/forget_cancellation.hpp>

#include <boost/asio/cancellation_signal.hpp>

#include <utility>

namespace zsync::detail
{

/// The cancellation signal of one wait: the agent's, so that waits take turns in using the memory that an operation
/// needs in its slot. A wait inside another, of a thread that runs a loop meanwhile, has one of its own.
///
/// A composed operation of Asio's keeps in that memory a signal of its own, for the operations it is made of, whose
/// handlers take memory from Asio's cache when it begins, and give it back at its end. The cache has two blocks, and a
/// turn ends a whole batch of waits: so the agent takes one block along from one wait to the next.
class signal_loan
{
public:
    explicit signal_loan(agent& owner) noexcept : signal_loan(&owner) {}

    /// Null: nobody lends one.
    explicit signal_loan(agent* owner) noexcept
        : lender_(owner && !std::exchange(owner->signal_lent_, true) ? owner : nullptr),
          signal_(lender_ ? lender_->signal_ : own_)
    {
        if (!lender_ || !lender_->signal_block_)
            return;
        if (void** const cached = cached_signal_block(); cached && !*cached)
            *cached = std::exchange(lender_->signal_block_, nullptr);
    }

    ~signal_loan()
    {
        if (!lender_)
            return;
        forget_cancellation(signal_.slot());
        lender_->signal_lent_ = false;
        take_block();
    }

    signal_loan(const signal_loan&) = delete;
    signal_loan& operator=(const signal_loan&) = delete;

    boost::asio::cancellation_signal& signal() noexcept { return signal_; }

    /// Takes the block out of the cache again, if the operation has begun without it: the cache has to have room for
    /// what others give back meanwhile.
    void take_block() noexcept
    {
        if (!lender_ || lender_->signal_block_)
            return;
        if (void** const cached = cached_signal_block(); cached && *cached)
            lender_->signal_block_ = std::exchange(*cached, nullptr);
    }

private:
    agent* const lender_; // null: it has lent its signal already
    boost::asio::cancellation_signal own_;
    boost::asio::cancellation_signal& signal_;
};

} // namespace zsync::detail
