// SPDX-License-Identifier: BSL-1.0

// Stock steady_timers through their public interface, with all that a program pays for: memory, handlers, and their
// delivery, also of those that are cancelled. `live` waits stand all the while, deadlines in random order. A turn of
// the loop follows each 64, as in a server. Timers are visited in the order in which they were made, or with
// visit=random in another, where most of what is measured is that none of their memory is in a cache.

#include "harness/context.hpp"

#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <chrono>
#include <deque>
#include <numeric>
#include <random>
#include <thread>

namespace
{

using steady = std::chrono::steady_clock;
using boost::system::error_code;
using namespace std::chrono_literals;

class timers
{
public:
    timers(const perf::cell_arguments& arguments)
        : ctx_(perf::make_context(arguments.text("mode", "default"))),
          live_(arguments.number("live", 1'000'000)),
          count_(std::min<std::uint64_t>(arguments.number("count", 200'000), live_))
    {
        std::uniform_int_distribution<std::int64_t> seconds_60_to_600(60'000'000'000, 600'000'000'000);
        deadlines_.resize(live_ + count_);
        for (auto& deadline : deadlines_)
            deadline = start_ + std::chrono::nanoseconds(seconds_60_to_600(random_));
        for (std::size_t i = 0; i != live_ + count_; ++i)
            timers_.emplace_back(*ctx_);
        visits_.resize(count_);
        std::iota(visits_.begin(), visits_.end(), std::uint32_t{0});
        if (arguments.text("visit", "made") == "random")
            std::shuffle(visits_.begin(), visits_.end(), random_);
        for (std::size_t i = 0; i != live_; ++i)
            wait(i, deadlines_[i]);
    }

    void measure(perf::cell_line& line)
    {
        const auto insert = [&](std::size_t i) { wait(live_ + i, deadlines_[live_ + i]); };
        const auto cancel = [&](std::size_t i) { timers_[live_ + i].cancel(); };
        for (const bool counts : {false, true}) // once to warm up
        {
            const double inserted = each(insert);
            const double cancelled = each(cancel);
            const double rearmed = each([&](std::size_t i) { wait(i, deadlines_[i] += counts ? 30s : 20s); });
            if (counts)
                line.add("insert_ns", inserted).add("cancel_ns", cancelled).add("rearm_ns", rearmed);
        }
        check(aborted_, 4 * count_);

        // All due when the clock starts, over 50 ms, in random order.
        std::uniform_int_distribution<std::int64_t> in_50_ms(0, 50'000'000);
        const auto first = steady::now();
        for (std::size_t i : visits_)
            wait(live_ + i, first + std::chrono::nanoseconds(in_50_ms(random_)));
        std::this_thread::sleep_until(first + 60ms);
        const double begin = perf::cpu_ns();
        while (expired_ != count_)
            ctx_->poll();
        line.add("expire_ns", (perf::cpu_ns() - begin) / static_cast<double>(count_));
        check(aborted_, 4 * count_);
#ifndef PERF_PEER
        check(ctx_->counters().timer_waits, live_ + 5 * count_);
#endif
        perf::describe_context(line, *ctx_);
    }

private:
    void wait(std::size_t i, steady::time_point deadline)
    {
        boost::asio::steady_timer& timer = timers_[i];
        timer.expires_at(deadline);
        timer.async_wait([this](error_code error) { ++(error ? aborted_ : expired_); });
    }

    template <class Act>
    double each(Act act)
    {
        const double begin = perf::cpu_ns();
        std::size_t done = 0;
        for (std::size_t i : visits_)
        {
            act(i);
            if (++done % 64 == 0)
                ctx_->poll();
        }
        ctx_->poll();
        return (perf::cpu_ns() - begin) / static_cast<double>(count_);
    }

    static void check(std::uint64_t counted, std::uint64_t expected)
    {
        if (counted != expected)
            throw std::runtime_error("handlers or waits are missing");
    }

    std::unique_ptr<perf::context> ctx_;
    const std::uint64_t live_;
    const std::uint64_t count_;
    std::mt19937_64 random_{1};
    const steady::time_point start_ = steady::now();
    std::vector<steady::time_point> deadlines_;
    std::vector<std::uint32_t> visits_;
    std::deque<boost::asio::steady_timer> timers_;
    std::uint64_t aborted_ = 0;
    std::uint64_t expired_ = 0;
};

} // namespace

int main(int argc, char** argv)
{
    return perf::cell_main(argc, argv,
                           [](const perf::cell_arguments& arguments)
                           {
                               timers all(arguments);
                               perf::cell_line line;
                               all.measure(line);
                               line.print();
                           });
}
