// SPDX-License-Identifier: BSL-1.0
#include <zsync/sync/semaphore.hpp>

#include <zsync/core/use_await.hpp>

#include "sync/wait_cases.hpp"

#include <atomic>
#include <vector>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using boost::system::error_code;

namespace
{

struct empty_semaphore final : test::awaited
{
    ~empty_semaphore() { BOOST_TEST(!semaphore.try_acquire()); } // what was added has been taken

    void wait(error_code& ec) override { semaphore.acquire(ec); }
    void wait_until(test::time_point deadline, error_code& ec) override { semaphore.try_acquire_until(deadline, ec); }
    void async_wait(asio::any_io_executor on, asio::cancellation_slot slot, test::plain_handler handler) override
    {
        semaphore.async_acquire(test::bound(on, slot, handler));
    }
    void wake() override { semaphore.release(); }

    zsync::counting_semaphore<> semaphore{0};
};

} // namespace

BOOST_AUTO_TEST_SUITE(sync_semaphore)

BOOST_AUTO_TEST_CASE(every_wait_ends_as_it_should)
{
    test::wait_cases<empty_semaphore>();
}

BOOST_AUTO_TEST_CASE(it_counts)
{
    zsync::counting_semaphore<5> semaphore(2);
    BOOST_TEST(semaphore.max() == 5);
    semaphore.acquire();
    BOOST_TEST(semaphore.try_acquire_for(-1s)); // what is there is had, whatever the time
    BOOST_TEST(!semaphore.try_acquire());
    BOOST_TEST(!semaphore.try_acquire_for(1ms));
    semaphore.release(3);
    semaphore.acquire();
    semaphore.acquire();
    error_code ec = test::aborted;
    semaphore.acquire(ec);
    BOOST_TEST(!ec);
    BOOST_TEST(!semaphore.try_acquire());
}

BOOST_AUTO_TEST_CASE(a_release_of_many_wakes_as_many_in_order_and_keeps_the_rest)
{
    zsync::counting_semaphore<> semaphore(0);
    zsync::fiber_context ctx;
    std::vector<int> order;
    for (int i = 0; i < 3; ++i)
        asio::post(ctx,
                   [&, i]
                   {
                       semaphore.acquire();
                       order.push_back(i);
                   });
    asio::post(ctx,
               [&]
               {
                   semaphore.release(2);
                   BOOST_TEST(!semaphore.try_acquire()); // both handed over
                   asio::post(ctx,
                              [&]
                              {
                                  BOOST_TEST(order.size() == 2u);
                                  semaphore.release(3);
                              });
               });
    test::run_all(ctx);
    BOOST_TEST(order == (std::vector{0, 1, 2}), boost::test_tools::per_element());
    BOOST_TEST(semaphore.try_acquire());
    BOOST_TEST(semaphore.try_acquire());
    BOOST_TEST(!semaphore.try_acquire());
}

BOOST_AUTO_TEST_CASE(no_unit_is_lost_or_made_by_those_who_give_up)
{
    constexpr int units = 3;
    constexpr int rounds = 2'000;
    zsync::counting_semaphore<> semaphore(units);
    std::atomic<int> inside{0};
    std::atomic<bool> right{true};
    std::atomic<int> had{0};
    const auto use = [&]
    {
        if (++inside > units)
            right = false;
        ++had;
        --inside;
        semaphore.release();
    };
    std::vector<std::thread> threads;
    for (int t = 0; t < 2; ++t)
        threads.emplace_back(
            [&]
            {
                for (int i = 0; i < rounds; ++i)
                {
                    if (i % 2)
                        semaphore.acquire();
                    else if (!semaphore.try_acquire_for(std::chrono::microseconds(i % 30)))
                        continue;
                    use();
                }
            });
    for (int t = 0; t < 2; ++t)
        threads.emplace_back(
            [&]
            {
                test::other_fibers ctx;
                for (int f = 0; f < 8; ++f)
                    asio::post(ctx,
                               [&, f]
                               {
                                   auto& cancellation = zsync::agent::current().cancellation();
                                   for (int i = 0; i < rounds / 8; ++i)
                                   {
                                       if (f % 2 && i == 10)
                                           asio::post(ctx, [&] { cancellation.request(); });
                                       error_code ec;
                                       semaphore.acquire(ec);
                                       if (ec)
                                           continue;
                                       if (i % 4 == 0)
                                           asio::post(ctx, zsync::use_await[ec]);
                                       use();
                                   }
                                   // What it has posted refers to its agent.
                                   cancellation.protect();
                                   asio::post(ctx, zsync::use_await);
                               });
                test::runs_out(ctx);
            });
    for (auto& each : threads)
        each.join();
    BOOST_TEST(right.load());
    BOOST_TEST(had > rounds);
    for (int i = 0; i < units; ++i)
        BOOST_TEST(semaphore.try_acquire());
    BOOST_TEST(!semaphore.try_acquire());
}

BOOST_AUTO_TEST_SUITE_END()
