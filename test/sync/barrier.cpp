// SPDX-License-Identifier: BSL-1.0
#include <zsync/sync/barrier.hpp>

#include "sync/wait_cases.hpp"

#include <atomic>
#include <optional>
#include <vector>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using boost::system::error_code;

namespace
{

/// The one that waits has arrived at its first try, and then waits with that arrival.
struct two_at_a_barrier final : test::awaited
{
    void wait(error_code& ec) override { wait_until(test::time_point::max(), ec); }
    void wait_until(test::time_point deadline, error_code& ec) override
    {
        if (!arrival)
            arrival.emplace(barrier.arrive());
        barrier.try_wait_until(*arrival, deadline, ec);
        if (!ec)
            arrival.reset();
    }
    // Once cancelled, the arrival of a handler still counts.
    void async_wait(asio::any_io_executor on, asio::cancellation_slot slot, test::plain_handler handler) override
    {
        if (handlers++ == 1)
            std::ignore = barrier.arrive(); // for the waker of the first phase
        barrier.async_arrive_and_wait(test::bound(on, slot, handler));
    }
    void wake() override { std::ignore = barrier.arrive(); }

    zsync::barrier<> barrier{2};
    std::optional<zsync::barrier<>::arrival_token> arrival;
    int handlers = 0;
};

} // namespace

BOOST_AUTO_TEST_SUITE(sync_barrier)

BOOST_AUTO_TEST_CASE(every_wait_ends_as_it_should)
{
    test::wait_cases<two_at_a_barrier>();
}

BOOST_AUTO_TEST_CASE(an_arrival_counts_though_its_wait_is_cancelled)
{
    zsync::barrier barrier(2);
    zsync::fiber_context ctx;
    error_code first;
    error_code second = test::aborted;
    asio::post(ctx,
               [&]
               {
                   zsync::agent::current().cancellation().request();
                   barrier.arrive_and_wait(first);
               });
    asio::post(ctx, [&] { barrier.arrive_and_wait(second); });
    test::run_all(ctx);
    BOOST_TEST(first == test::aborted);
    BOOST_TEST(!second);
}

BOOST_AUTO_TEST_CASE(whoever_drops_out_is_not_waited_for)
{
    int completed = 0;
    zsync::barrier barrier(3, [&]() noexcept { ++completed; });
    std::ignore = barrier.arrive(2);
    barrier.arrive_and_drop();
    BOOST_TEST(completed == 1);
    const auto early = barrier.arrive();
    BOOST_TEST(!barrier.try_wait_for(early, 1ms));
    barrier.arrive_and_wait();
    BOOST_TEST(barrier.try_wait_for(early, -1s));
    BOOST_TEST(completed == 2);
}

BOOST_AUTO_TEST_CASE(nobody_is_a_phase_ahead)
{
    constexpr int phases = 300;
    constexpr std::size_t all = 7;
    std::vector<int> phase(all); // each its own; the completion function reads all
    bool together = true;
    int completed = 0;
    zsync::barrier barrier(all,
                           [&]() noexcept
                           {
                               ++completed;
                               for (int each : phase)
                                   together = together && each == completed;
                           });
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < 2; ++t)
        threads.emplace_back(
            [&, t]
            {
                for (int i = 0; i < phases; ++i)
                {
                    ++phase[t];
                    barrier.arrive_and_wait();
                }
            });
    threads.emplace_back(
        [&]
        {
            test::other_fibers ctx;
            for (std::size_t f = 2; f < 6; ++f)
                asio::post(ctx,
                           [&, f]
                           {
                               for (int i = 0; i < phases; ++i)
                               {
                                   ++phase[f];
                                   barrier.arrive_and_wait();
                               }
                           });
            std::function<void(error_code)> next = [&](error_code)
            {
                if (phase[6] == phases)
                    return;
                ++phase[6];
                barrier.async_arrive_and_wait(asio::bind_executor(ctx, next));
            };
            asio::post(ctx, [&] { next({}); });
            test::runs_out(ctx);
        });
    for (auto& each : threads)
        each.join();
    BOOST_TEST(together);
    BOOST_TEST(completed == phases);
}

BOOST_AUTO_TEST_SUITE_END()
