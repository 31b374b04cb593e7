// SPDX-License-Identifier: BSL-1.0

// zsync's timer wheel by itself.

#include "timer/workload.hpp"

#include <zsync/core/timer_wheel.hpp>

#include <memory>

namespace
{

class wheel_keeper
{
public:
    wheel_keeper(const perf::cell_arguments&, std::size_t size)
        : wheel_(perf::steady::now()), timers_(std::make_unique<zsync::timer_node[]>(size))
    {
    }

    void insert(std::size_t i, perf::steady::time_point deadline) { wheel_.insert(timers_[i], deadline); }
    void cancel(std::size_t i) { wheel_.cancel(timers_[i]); }
    void rearm(std::size_t i, perf::steady::time_point deadline) { wheel_.rearm(timers_[i], deadline); }
    void settle() {}

private:
    zsync::timer_wheel wheel_;
    std::unique_ptr<zsync::timer_node[]> timers_;
};

} // namespace

int main(int argc, char** argv)
{
    return perf::cell_main(argc, argv, perf::measure_timers<wheel_keeper>);
}
