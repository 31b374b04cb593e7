// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/agent.hpp>
#include <zsync/core/detail/forget_cancellation.hpp>

#include <boost/asio/cancellation_signal.hpp>

#include <utility>

namespace zsync::detail
{

/// The cancellation signal of one wait: the agent's, so that waits take turns in using the memory that an operation
/// needs in its slot. A wait inside another, of a thread that runs a loop meanwhile, has one of its own.
class signal_loan
{
public:
    explicit signal_loan(agent& owner) noexcept
        : lender_(std::exchange(owner.signal_lent_, true) ? nullptr : &owner), signal_(lender_ ? owner.signal_ : own_)
    {
    }

    ~signal_loan()
    {
        if (!lender_)
            return;
        forget_cancellation(signal_.slot());
        lender_->signal_lent_ = false;
    }

    signal_loan(const signal_loan&) = delete;
    signal_loan& operator=(const signal_loan&) = delete;

    boost::asio::cancellation_signal& signal() noexcept { return signal_; }

private:
    agent* const lender_; // null: it has lent its signal already
    boost::asio::cancellation_signal own_;
    boost::asio::cancellation_signal& signal_;
};

} // namespace zsync::detail
