// SPDX-License-Identifier: BSL-1.0

// `count` fibers, divided among the contexts of `threads` threads, sleep ten frames deep. When all do, each thread asks
// its own to end, and joins them: each unwinds its frames, which have destructors, by an exception of its own.

#include "harness/cell.hpp"

#include <zsync/fiber.hpp>

#include <boost/asio/detached.hpp>
#include <boost/system/error_code.hpp>

#include <atomic>
#include <barrier>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

namespace
{

using namespace std::chrono_literals;

struct counted
{
    std::uint64_t& count;
    ~counted() { ++count; }
};

[[gnu::noinline]] void enter(int depth, std::uint64_t& left)
{
    const counted here{left};
    if (depth > 1)
        enter(depth - 1, left);
    else
        zsync::this_fiber::sleep_for(24h);
}

// One thread's part. Returns how many frames were left.
std::uint64_t cancel_all(zsync::fiber_context& ctx, std::uint64_t count, std::barrier<>& together)
{
    std::uint64_t left = 0;
    zsync::spawn(
        ctx,
        [&]
        {
            std::vector<zsync::fiber> all;
            all.reserve(count);
            for (std::uint64_t n = 0; n != count; ++n)
                all.emplace_back(ctx, [&] { enter(10, left); });
            zsync::this_fiber::sleep_for(1ms); // they have begun before this one goes on
            together.arrive_and_wait();
            for (const zsync::fiber& each : all)
                each.request_cancel();
            for (zsync::fiber& each : all)
            {
                boost::system::error_code ec;
                each.join(ec);
            }
            together.arrive_and_wait();
        },
        boost::asio::detached);
    ctx.restart();
    ctx.run();
    return left;
}

void measure(const perf::cell_arguments& arguments)
{
    const std::uint64_t count = arguments.number("count", 10'000);
    const std::uint64_t threads = arguments.number("threads", 1);
    std::barrier<> together(static_cast<std::ptrdiff_t>(threads) + 1);
    std::atomic<std::uint64_t> left{0};
    std::vector<std::thread> runners;
    for (std::uint64_t n = 0; n != threads; ++n)
        runners.emplace_back(
            [&]
            {
                zsync::fiber_context ctx;
                for (int round = 0; round < 2; ++round) // the first takes the stacks, and warms the unwinder's caches
                    left += cancel_all(ctx, count / threads, together);
            });
    double wall = 0;
    double cpu = 0;
    for (int round = 0; round < 2; ++round)
    {
        together.arrive_and_wait();
        wall = perf::wall_ns();
        cpu = perf::cpu_ns();
        together.arrive_and_wait();
        wall = perf::wall_ns() - wall;
        cpu = perf::cpu_ns() - cpu;
    }
    for (std::thread& each : runners)
        each.join();
    if (left != 2 * 10 * (count / threads) * threads)
        throw std::runtime_error("not every frame was left");
    const auto fibers = static_cast<double>(count / threads * threads);
    perf::cell_line().add("wall_ns", wall / fibers).add("cpu_ns", cpu / fibers).print();
}

} // namespace

int main(int argc, char** argv)
{
    return perf::cell_main(argc, argv, measure);
}
