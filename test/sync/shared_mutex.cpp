// SPDX-License-Identifier: BSL-1.0
#include <zsync/sync/shared_mutex.hpp>

#include <zsync/core/use_await.hpp>

#include "sync/wait_cases.hpp"

#include <atomic>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <vector>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using boost::system::error_code;

namespace
{

/// Held: who locks it keeps it so, for the next.
template <bool Shares>
struct held_shared_mutex final : test::awaited
{
    held_shared_mutex() { mutex.lock(); }

    void wait(error_code& ec) override
    {
        Shares ? mutex.lock_shared(ec) : mutex.lock(ec);
        again(ec);
    }
    void wait_until(test::time_point deadline, error_code& ec) override
    {
        Shares ? mutex.try_lock_shared_until(deadline, ec) : mutex.try_lock_until(deadline, ec);
        again(ec);
    }
    void async_wait(asio::any_io_executor on, asio::cancellation_slot slot, test::plain_handler handler) override
    {
        auto bound = test::bound(on, slot,
                                 [this, handler](error_code ec)
                                 {
                                     again(ec);
                                     handler(ec);
                                 });
        if constexpr (Shares)
            mutex.async_lock_shared(bound);
        else
            mutex.async_lock(bound);
    }
    void wake() override { mutex.unlock(); }

    void again(error_code ec)
    {
        if (ec)
            return;
        BOOST_TEST(!mutex.try_lock());
        BOOST_TEST(mutex.try_lock_shared() == Shares);
        if constexpr (Shares)
        {
            mutex.unlock_shared();
            mutex.unlock_shared();
            BOOST_TEST(mutex.try_lock());
        }
    }

    zsync::shared_mutex mutex;
};

} // namespace

BOOST_AUTO_TEST_SUITE(sync_shared_mutex)

BOOST_AUTO_TEST_CASE(every_wait_to_have_it_alone_ends_as_it_should)
{
    test::wait_cases<held_shared_mutex<false>>();
}

BOOST_AUTO_TEST_CASE(every_wait_to_share_it_ends_as_it_should)
{
    test::wait_cases<held_shared_mutex<true>>();
}

BOOST_AUTO_TEST_CASE(many_share_or_one_has_it)
{
    zsync::shared_mutex mutex;
    {
        const std::shared_lock first(mutex);
        const std::shared_lock second(mutex);
        BOOST_TEST(!mutex.try_lock());
        BOOST_TEST(!mutex.try_lock_for(1ms));
        BOOST_TEST(mutex.try_lock_shared_for(-1s));
        mutex.unlock_shared();
    }
    const std::unique_lock alone(mutex);
    BOOST_TEST(!mutex.try_lock_shared());
    BOOST_TEST(!mutex.try_lock_shared_for(1ms));
}

BOOST_AUTO_TEST_CASE(writers_and_readers_take_turns_as_they_came)
{
    zsync::shared_mutex mutex;
    zsync::fiber_context ctx;
    std::string order;
    const auto read = [&](char name)
    {
        const std::shared_lock lock(mutex);
        order += name;
        asio::post(ctx, zsync::use_await);
        order += name;
    };
    const auto write = [&](char name)
    {
        const std::unique_lock lock(mutex);
        order += name;
        asio::post(ctx, zsync::use_await);
        order += name;
    };
    asio::post(ctx, [&] { read('a'); });
    asio::post(ctx, [&] { write('W'); });
    asio::post(ctx, [&] { read('b'); }); // not with the first: a writer waits
    asio::post(ctx, [&] { read('c'); });
    asio::post(ctx, [&] { write('X'); });
    asio::post(ctx, [&] { read('d'); });
    test::run_all(ctx);
    BOOST_TEST(order == "aaWWbcbcXXdd");
}

BOOST_AUTO_TEST_CASE(when_a_waiting_writer_gives_up_the_readers_behind_it_go_on)
{
    zsync::shared_mutex mutex;
    zsync::fiber_context ctx;
    const std::shared_lock held(mutex);
    int readers = 0;
    error_code ec;
    asio::post(ctx, [&] { mutex.try_lock_until(std::chrono::steady_clock::now() + 5ms, ec); });
    for (int i = 0; i < 3; ++i)
        asio::post(ctx,
                   [&]
                   {
                       const std::shared_lock lock(mutex);
                       ++readers;
                   });
    asio::post(ctx, [&] { BOOST_TEST(readers == 0); });
    test::run_all(ctx);
    BOOST_TEST(ec == test::timed_out);
    BOOST_TEST(readers == 3);
}

BOOST_AUTO_TEST_CASE(readers_and_writers_exclude_each_other)
{
    constexpr int rounds = 2'000;
    zsync::shared_mutex mutex;
    long first = 0; // both, what the mutex protects
    long second = 0;
    std::atomic<int> readers{0};
    std::atomic<long> written{0};
    std::atomic<bool> right{true};
    const auto read = [&]
    {
        ++readers;
        if (first != second)
            right = false;
        --readers;
    };
    const auto write = [&]
    {
        if (readers != 0)
            right = false;
        ++first;
        ++second;
        ++written;
    };
    const auto use = [&](int seed)
    {
        for (int i = seed; i < seed + rounds; ++i)
        {
            switch (i % 5)
            {
            case 0:
                mutex.lock();
                write();
                mutex.unlock();
                break;
            case 1:
                if (mutex.try_lock_for(std::chrono::microseconds(i % 20)))
                {
                    write();
                    mutex.unlock();
                }
                break;
            case 2:
                if (mutex.try_lock_shared_for(std::chrono::microseconds(i % 20)))
                {
                    read();
                    mutex.unlock_shared();
                }
                break;
            default:
                mutex.lock_shared();
                read();
                mutex.unlock_shared();
            }
        }
    };
    std::vector<std::thread> threads;
    for (int t = 0; t < 2; ++t)
        threads.emplace_back(use, t);
    threads.emplace_back(
        [&]
        {
            test::other_fibers ctx;
            for (int f = 0; f < 3; ++f)
                asio::post(ctx, [&, f] { use(f); });
            asio::post(ctx,
                       [&]
                       {
                           for (int i = 0; i < 100; ++i)
                           {
                               mutex.lock_shared();
                               error_code ec;
                               asio::post(ctx, zsync::use_await[ec]);
                               mutex.unlock_shared();
                           }
                       });
            test::runs_out(ctx);
        });
    for (auto& each : threads)
        each.join();
    BOOST_TEST(right.load());
    BOOST_TEST(first == written);
    BOOST_TEST(first >= rounds);
    BOOST_TEST(mutex.try_lock());
}

BOOST_AUTO_TEST_SUITE_END()
