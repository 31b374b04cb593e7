// SPDX-License-Identifier: BSL-1.0

// Asio's steady_timer through its public interface. The handlers of cancelled waits are delivered off the clock.

#include "timer/workload.hpp"

#include "harness/context.hpp"

#include <boost/asio/steady_timer.hpp>

#include <deque>

namespace
{

class steady_timer_keeper
{
public:
    steady_timer_keeper(const perf::cell_arguments& arguments, std::size_t size)
        : ctx_(perf::make_context(arguments.text("mode", "default")))
    {
        for (std::size_t i = 0; i != size; ++i)
            timers_.emplace_back(*ctx_);
    }

    void insert(std::size_t i, perf::steady::time_point deadline)
    {
        timers_[i].expires_at(deadline);
        timers_[i].async_wait([](boost::system::error_code) {});
    }

    void cancel(std::size_t i) { timers_[i].cancel(); }
    void rearm(std::size_t i, perf::steady::time_point deadline) { insert(i, deadline); } // expires_at cancels
    void settle() { ctx_->poll(); }

private:
    std::unique_ptr<perf::context> ctx_;
    std::deque<boost::asio::steady_timer> timers_;
};

} // namespace

int main(int argc, char** argv)
{
    return perf::cell_main(argc, argv, perf::measure_timers<steady_timer_keeper>);
}
