// SPDX-License-Identifier: BSL-1.0
#include <zsync/sync/condition_variable.hpp>

#include "sync/wait_cases.hpp"

#include <algorithm>
#include <deque>
#include <mutex>
#include <vector>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using boost::system::error_code;

namespace
{

/// A count under a mutex. A wake-up that comes before the wait is found there.
struct change final : test::awaited
{
    void wait(error_code& ec) override
    {
        std::unique_lock lock(mutex);
        changed.wait(
            lock, [&] { return count > 0; }, ec);
        took(ec);
    }
    void wait_until(test::time_point deadline, error_code& ec) override
    {
        std::unique_lock lock(mutex);
        changed.wait_until(
            lock, deadline, [&] { return count > 0; }, ec);
        took(ec);
    }
    void async_wait(asio::any_io_executor on, asio::cancellation_slot slot, test::plain_handler handler) override
    {
        std::unique_lock lock(mutex);
        changed.async_wait(lock, test::bound(on, slot,
                                             [this, handler](error_code ec)
                                             {
                                                 std::unique_lock held(mutex, std::adopt_lock);
                                                 BOOST_TEST(!mutex.try_lock());
                                                 took(ec);
                                                 handler(ec);
                                             }));
        lock.release(); // it is the operation's
    }
    void wake() override
    {
        const std::lock_guard lock(mutex);
        ++count;
        changed.notify_one();
    }

    void took(error_code ec)
    {
        if (!ec)
            --count;
    }

    zsync::mutex mutex;
    zsync::condition_variable changed;
    int count = 0;
};

} // namespace

BOOST_AUTO_TEST_SUITE(sync_condition_variable)

BOOST_AUTO_TEST_CASE(every_wait_ends_as_it_should)
{
    test::wait_cases<change>();
}

BOOST_AUTO_TEST_CASE(the_mutex_is_free_during_the_wait_and_held_after_it)
{
    zsync::mutex mutex;
    zsync::condition_variable changed;
    zsync::fiber_context ctx;
    int held = 0;
    asio::post(ctx,
               [&]
               {
                   std::unique_lock lock(mutex);
                   changed.wait(lock);
                   held += !mutex.try_lock() && lock.owns_lock();
                   held += changed.wait_for(lock, 1ms) == std::cv_status::timeout;
                   held += !mutex.try_lock();
                   held += !changed.wait_for(lock, 1ms, [] { return false; });
                   held += changed.wait_for(lock, -1s, [] { return true; });
                   zsync::agent::current().cancellation().request();
                   BOOST_CHECK_EXCEPTION(changed.wait(lock), boost::system::system_error,
                                         [](const auto& e) { return e.code() == test::aborted; });
                   held += !mutex.try_lock();
               });
    asio::post(ctx,
               [&]
               {
                   held += mutex.try_lock();
                   changed.notify_one();
                   asio::post(ctx,
                              [&]
                              {
                                  BOOST_TEST(held == 1); // notified, it waits for the mutex
                                  mutex.unlock();
                              });
               });
    test::run_all(ctx);
    BOOST_TEST(held == 7);
}

BOOST_AUTO_TEST_CASE(one_wakes_the_longest_waiting_and_all_wakes_all)
{
    zsync::mutex mutex;
    zsync::condition_variable changed;
    zsync::fiber_context ctx;
    std::vector<int> order;
    for (int i = 0; i < 4; ++i)
        asio::post(ctx,
                   [&, i]
                   {
                       std::unique_lock lock(mutex);
                       changed.wait(lock);
                       order.push_back(i);
                   });
    asio::post(ctx,
               [&]
               {
                   changed.notify_one();
                   asio::post(ctx,
                              [&]
                              {
                                  BOOST_TEST(order.size() == 1u);
                                  changed.notify_all();
                              });
               });
    test::run_all(ctx);
    BOOST_TEST(order == (std::vector{0, 1, 2, 3}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_fiber_that_unwinds_in_a_wait_holds_the_mutex)
{
    zsync::mutex mutex;
    zsync::condition_variable changed;
    bool held = false;
    {
        zsync::fiber_context ctx;
        asio::post(ctx,
                   [&]
                   {
                       std::unique_lock lock(mutex);
                       struct look
                       {
                           zsync::mutex& at;
                           bool& held;
                           ~look() { held = !at.try_lock(); }
                       } const at_exit{mutex, held};
                       changed.wait(lock);
                   });
        ctx.poll();
        BOOST_TEST(mutex.try_lock());
        mutex.unlock();
    }
    BOOST_TEST(held);
    BOOST_TEST(mutex.try_lock());
}

BOOST_AUTO_TEST_CASE(a_bounded_queue_loses_and_repeats_nothing)
{
    constexpr int items = 3'000;
    zsync::mutex mutex;
    zsync::condition_variable filled;
    zsync::condition_variable emptied;
    std::deque<int> queue;
    std::vector<int> seen(2 * items);
    int taken = 0;
    const auto produce = [&](int first)
    {
        for (int i = 0; i < items; ++i)
        {
            std::unique_lock lock(mutex);
            emptied.wait(lock, [&] { return queue.size() < 4; });
            queue.push_back(first + i);
            filled.notify_one();
        }
    };
    const auto consume = [&](bool limited)
    {
        for (;;)
        {
            std::unique_lock lock(mutex);
            const auto ready = [&] { return !queue.empty() || taken == 2 * items; };
            if (limited && !filled.wait_for(lock, 20us, ready))
                continue;
            filled.wait(lock, ready);
            if (taken == 2 * items)
                return;
            ++seen[static_cast<std::size_t>(queue.front())];
            queue.pop_front();
            if (++taken == 2 * items)
                filled.notify_all();
            emptied.notify_one();
        }
    };
    std::vector<std::thread> threads;
    threads.emplace_back([&] { produce(0); });
    threads.emplace_back([&] { consume(true); });
    threads.emplace_back(
        [&]
        {
            test::other_fibers ctx;
            asio::post(ctx, [&] { produce(items); });
            asio::post(ctx, [&] { consume(false); });
            asio::post(ctx, [&] { consume(true); });
            test::runs_out(ctx);
        });
    for (auto& each : threads)
        each.join();
    BOOST_TEST(std::count(seen.begin(), seen.end(), 1) == 2 * items);
}

BOOST_AUTO_TEST_SUITE_END()
