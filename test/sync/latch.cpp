// SPDX-License-Identifier: BSL-1.0
#include <zsync/sync/latch.hpp>

#include "sync/wait_cases.hpp"

#include <algorithm>
#include <memory>
#include <vector>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using boost::system::error_code;

namespace
{

struct closed_latch final : test::awaited
{
    void wait(error_code& ec) override { latch->wait(ec), again(ec); }
    void wait_until(test::time_point deadline, error_code& ec) override
    {
        latch->try_wait_until(deadline, ec);
        again(ec);
    }
    void async_wait(asio::any_io_executor on, asio::cancellation_slot slot, test::plain_handler handler) override
    {
        latch->async_wait(test::bound(on, slot,
                                      [this, handler](error_code ec)
                                      {
                                          again(ec);
                                          handler(ec);
                                      }));
    }
    void wake() override { latch->count_down(2); }

    // Destroyed as soon as one may.
    void again(error_code ec)
    {
        if (ec)
            return;
        BOOST_TEST(latch->try_wait());
        latch = std::make_unique<zsync::latch>(2);
    }

    std::unique_ptr<zsync::latch> latch = std::make_unique<zsync::latch>(2);
};

} // namespace

BOOST_AUTO_TEST_SUITE(sync_latch)

BOOST_AUTO_TEST_CASE(every_wait_ends_as_it_should)
{
    test::wait_cases<closed_latch>();
}

BOOST_AUTO_TEST_CASE(it_opens_at_zero_and_stays_open)
{
    zsync::latch latch(3);
    latch.count_down();
    latch.count_down(0);
    BOOST_TEST(!latch.try_wait());
    BOOST_TEST(!latch.try_wait_for(1ms));
    latch.count_down(1);
    latch.arrive_and_wait();
    BOOST_TEST(latch.try_wait());
    latch.wait();
    BOOST_TEST(latch.try_wait_for(-1s));
    zsync::latch open(0);
    open.wait();
}

BOOST_AUTO_TEST_CASE(threads_and_fibers_meet_at_it)
{
    for (int round = 0; round < 100; ++round)
    {
        auto latch = std::make_unique<zsync::latch>(6);
        std::vector<int> wrote(6); // without further synchronization
        std::vector<std::thread> threads;
        for (std::size_t t = 0; t < 2; ++t)
            threads.emplace_back(
                [&, t, at = latch.get()]
                {
                    test::other_fibers ctx;
                    for (std::size_t f = 0; f < 3; ++f)
                        asio::post(ctx,
                                   [&, f]
                                   {
                                       wrote[t * 3 + f] = 1;
                                       at->count_down();
                                   });
                    ctx.run();
                });
        latch->wait();
        latch.reset();
        BOOST_TEST(std::count(wrote.begin(), wrote.end(), 1) == 6);
        for (auto& each : threads)
            each.join();
    }
}

BOOST_AUTO_TEST_SUITE_END()
