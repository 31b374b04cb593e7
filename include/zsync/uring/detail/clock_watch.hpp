// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/operation.hpp>
#include <zsync/uring/uring_engine.hpp>

#include <mutex>

namespace zsync::detail
{

/// Ends an engine's turn when somebody sets the system's wall clock, by a timerfd that the kernel then makes readable
/// (TFD_TIMER_CANCEL_ON_SET, Linux 3.0): whoever waits for a point in wall time has to look again. It costs nothing
/// otherwise.
class clock_watch : operation
{
public:
    clock_watch() noexcept;
    ~clock_watch();

    /// Begins to watch, unless it does already. Any thread. @throws boost::system::system_error, std::bad_alloc
    void start(uring_engine& engine);

    /// In the child of a fork, after the engine: its timer is the parent's. @throws boost::system::system_error
    void renew(uring_engine& engine);

private:
    void changed() noexcept;

    std::mutex mutex_; // of start()
    uring_engine* engine_ = nullptr;
};

} // namespace zsync::detail
