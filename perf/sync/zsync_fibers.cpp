// SPDX-License-Identifier: BSL-1.0

// Two fibers of a fiber_context that meet at a lock or a channel: `count` times what= says.
//   lock      one of them locks and unlocks a mutex
//   hand-over both lock a mutex, yield while they hold it, so that the other has to wait, and unlock it
//   message   a number goes to and fro through two channels of capacity=: so many messages in all
// threads=2 starts a thread that sleeps meanwhile: in a process of one thread our lists are locked by plain
// instructions.

#include "harness/cell.hpp"

#include <zsync/fiber.hpp>
#include <zsync/sync.hpp>

#include <boost/asio/detached.hpp>

#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <thread>

namespace
{

template <class First, class Second>
void run(zsync::fiber_context& ctx, First first, Second second)
{
    zsync::spawn(ctx, first, boost::asio::detached);
    zsync::spawn(ctx, second, boost::asio::detached);
    ctx.restart();
    ctx.run();
}

void lock(zsync::fiber_context& ctx, std::uint64_t count)
{
    zsync::mutex mutex;
    const auto nothing = [] {};
    run(
        ctx,
        [&]
        {
            for (std::uint64_t n = 0; n != count; ++n)
            {
                mutex.lock();
                mutex.unlock();
            }
        },
        nothing);
}

void hand_over(zsync::fiber_context& ctx, std::uint64_t count)
{
    zsync::mutex mutex;
    const auto take = [&]
    {
        for (std::uint64_t n = 0; n < count; n += 2)
        {
            mutex.lock();
            zsync::this_fiber::yield();
            mutex.unlock();
        }
    };
    run(ctx, take, take);
}

void message(zsync::fiber_context& ctx, std::size_t capacity, std::uint64_t count)
{
    zsync::channel<std::uint64_t> there(capacity);
    zsync::channel<std::uint64_t> back(capacity);
    run(
        ctx,
        [&]
        {
            for (std::uint64_t n = 0; n < count; n += 2)
            {
                there.send(n);
                back.receive();
            }
            there.close();
        },
        [&]
        {
            for (std::uint64_t n : there)
                back.send(n);
        });
}

void measure(const perf::cell_arguments& arguments)
{
    const std::uint64_t count = arguments.number("count", 1'000'000);
    const std::string_view what = arguments.text("what", "message");
    std::jthread sleeper;
    if (arguments.number("threads", 1) > 1)
        sleeper = std::jthread(
            [](std::stop_token stop)
            {
                std::mutex mutex;
                std::unique_lock held(mutex);
                std::condition_variable_any().wait(held, stop, [] { return false; });
            });
    zsync::fiber_context ctx;
    const auto run_some = [&](std::uint64_t some)
    {
        if (what == "lock")
            lock(ctx, some);
        else if (what == "hand-over")
            hand_over(ctx, some);
        else
            message(ctx, arguments.number("capacity", 0), some);
    };
    run_some(arguments.number("warm_up", 10'000));

    const double start = perf::cpu_ns();
    run_some(count);
    perf::cell_line().add("cpu_ns", (perf::cpu_ns() - start) / static_cast<double>(count)).print();
}

} // namespace

int main(int argc, char** argv)
{
    return perf::cell_main(argc, argv, measure);
}
