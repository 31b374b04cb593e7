// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "harness/context.hpp"

namespace perf
{

/// Counts the messages of all pairs: `warm_up` before its clocks start, then `count`, then it stops the context.
class progress
{
public:
    progress(context& ctx, const cell_arguments& arguments)
        : ctx_(ctx),
          remaining_(arguments.number("warm_up", 10'000) + arguments.number("count", 10'000)),
          count_(arguments.number("count", 10'000))
    {
    }

    void message_received()
    {
        if (--remaining_ == count_)
        {
            cpu_ = cpu_ns();
            wall_ = wall_ns();
        }
        else if (remaining_ == 0)
        {
            cpu_ = cpu_ns() - cpu_;
            wall_ = wall_ns() - wall_;
            ctx_.stop();
        }
    }

    /// Adds what a message has cost.
    void describe(cell_line& line) const
    {
        const auto count = static_cast<double>(count_);
        line.add("cpu_ns", cpu_ / count).add("wall_ns", wall_ / count);
    }

private:
    context& ctx_;
    std::uint64_t remaining_;
    std::uint64_t count_;
    double cpu_ = 0;
    double wall_ = 0;
};

} // namespace perf
