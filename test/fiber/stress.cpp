// SPDX-License-Identifier: BSL-1.0
// Several threads at once. For ThreadSanitizer and AddressSanitizer more than for what it checks.
#include <zsync/fiber/fiber_context.hpp>

#include <zsync/core/use_await.hpp>
#include <zsync/fiber/spawn.hpp>
#include <zsync/fiber/this_fiber.hpp>

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>

#include <atomic>
#include <chrono>
#include <random>
#include <thread>
#include <vector>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using zsync::fiber_context;
using zsync::use_await;

BOOST_AUTO_TEST_SUITE(fiber_stress)

BOOST_AUTO_TEST_CASE(threads_post_spawn_and_stop_while_one_runs)
{
    constexpr int threads = 3;
    constexpr int rounds = 1'500;
    fiber_context ctx;
    auto strand = asio::make_strand(ctx.get_executor());
    std::atomic<int> done{0};
    std::atomic<int> ended{0};
    int in_strand = 0;
    std::vector<std::thread> others;
    for (int t = 0; t < threads; ++t)
        others.emplace_back(
            [&, t]
            {
                std::minstd_rand random(static_cast<unsigned>(t) + 1);
                for (int i = 0; i < rounds; ++i)
                {
                    switch (random() % 6)
                    {
                    case 0:
                        asio::post(ctx, [&] { ++done; });
                        break;
                    case 1:
                        asio::post(ctx, [&] { asio::post(ctx, use_await), ++done; });
                        break;
                    case 2:
                        zsync::spawn(
                            ctx, [] { zsync::this_fiber::yield(); }, [&](std::exception_ptr) { ++done; });
                        break;
                    case 3:
                        zsync::spawn(
                            strand,
                            [&]
                            {
                                ++in_strand;
                                zsync::this_fiber::yield();
                            },
                            [&](std::exception_ptr) { ++done; });
                        break;
                    case 4:
                        zsync::spawn(
                            ctx, [] {}, use_await); // a handshake
                        ++done;
                        break;
                    default:
                        ctx.stop();
                        ++done;
                    }
                }
                ++ended;
                ctx.stop();
            });
    while (ended != threads || done != threads * rounds)
    {
        ctx.restart();
        ctx.run_for(1ms);
    }
    for (auto& each : others)
        each.join();
    BOOST_TEST(done == threads * rounds);
    BOOST_TEST(in_strand > 0);
    BOOST_TEST(ctx.fibers_alive() == 0u);
}

BOOST_AUTO_TEST_CASE(a_fiber_and_a_thread_wake_each_other)
{
    fiber_context ctx;
    std::atomic<zsync::waiter*> ball{nullptr};
    std::atomic<bool> over{false};
    long rounds = 0;
    std::thread other(
        [&]
        {
            while (!over)
                if (zsync::waiter* const waiting = ball.exchange(nullptr))
                    waiting->notify();
        });
    zsync::spawn(
        ctx,
        [&]
        {
            const auto end = std::chrono::steady_clock::now() + 1s;
            do
            {
                zsync::waiter waiting;
                ball = &waiting;
                waiting.wait();
                ++rounds;
            } while (std::chrono::steady_clock::now() < end);
            over = true;
        },
        asio::detached);
    ctx.run_for(20s);
    BOOST_TEST(ctx.stopped());
    over = true;
    other.join();
    BOOST_TEST(rounds > 100);
}

BOOST_AUTO_TEST_CASE(a_thousand_fibers_yield_in_turn)
{
    fiber_context ctx;
    int switches = 0;
    bool fair = true;
    std::vector<int> done(1'000);
    for (int& mine : done)
        zsync::spawn(
            ctx,
            [&]
            {
                for (int i = 0; i < 50; ++i)
                {
                    ++mine;
                    ++switches;
                    fair = fair && mine - done.front() <= 1 && done.front() - mine <= 1;
                    zsync::this_fiber::yield();
                }
            },
            asio::detached);
    ctx.run_for(20s);
    BOOST_TEST(ctx.stopped());
    BOOST_TEST(switches == 50'000);
    BOOST_TEST(fair);
}

BOOST_AUTO_TEST_SUITE_END()
