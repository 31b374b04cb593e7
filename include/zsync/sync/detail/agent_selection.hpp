// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/agent.hpp>
#include <zsync/core/detail/driving_agent.hpp>
#include <zsync/core/waitable.hpp>
#include <zsync/sync/detail/agent_wait.hpp>

#include <boost/system/error_code.hpp>

#include <atomic>
#include <cstddef>
#include <exception>
#include <optional>

namespace zsync::detail
{

/// An agent's selection, on its stack. It is decided by claims; the agent itself then disarms what has lost, and waits
/// for the operations among it.
class agent_selection final : public selection, task_cancellation::wait
{
public:
    explicit agent_selection(agent& owner) noexcept : owner_(owner) {}

    void wake() noexcept override;
    agent* waiting() noexcept override { return &owner_; }
    boost::system::error_code admit(boost::asio::execution_context* context, loop* target) override;

    /// Waits, when all is armed and started, until it is decided: by `at_deadline` once that has passed, by
    /// selection_aborted if a cancellation request comes first.
    void wait_until_decided(sync_clock::time_point deadline, std::size_t at_deadline) noexcept;

    /// Waits, when all has been disarmed, until no operation is left.
    void wait_until_over() noexcept;

    /// Throws what a function has thrown that the waiting thread has run meanwhile.
    void rethrow_failure()
    {
        if (failure_) [[unlikely]]
            std::rethrow_exception(failure_);
    }

private:
    struct driver final : driving_agent
    {
        using driving_agent::driving_agent;
    };

    bool wait_for(waiter& told, sync_clock::time_point deadline);
    void interrupt() noexcept override;
    void all_over() noexcept override;
    agent& waiting_agent() noexcept { return driver_ ? static_cast<agent&>(*driver_) : owner_; }
    void keep_failure() noexcept;

    agent& owner_;
    loop* driven_ = nullptr; // the loop of operations, which runs only where somebody waits for it
    std::optional<driver> driver_;
    std::optional<waiter> decided_; // made when it is known who has to wait
    std::optional<waiter> over_;
    // Whoever has claimed takes one off, when the selection may be told; the owner, when it can be told. The second
    // to do so tells.
    std::atomic<int> to_tell_{2};
    std::exception_ptr failure_;
};

} // namespace zsync::detail
