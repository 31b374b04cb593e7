// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/operation.hpp>
#include <zsync/platform/memory_pressure.hpp>

#include <string>

namespace zsync::detail
{

class fiber_loop;

/// Has a loop give its free stacks back when the system says that memory is short. Its wait is no work: run() does not
/// stay for it. On the loop's thread; must not go before the loop's engine has been shut down.
class pressure_watch final : private operation
{
public:
    /// Begins to wait, if there is anything to wait for.
    explicit pressure_watch(fiber_loop& loop);
    pressure_watch(const pressure_watch&) = delete;
    pressure_watch& operator=(const pressure_watch&) = delete;

    const std::string& source() const noexcept { return pressure_.source(); }

private:
    void wait() noexcept;
    void told() noexcept;

    fiber_loop& loop_;
    memory_pressure pressure_;
};

} // namespace zsync::detail
