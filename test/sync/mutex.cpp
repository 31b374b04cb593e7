// SPDX-License-Identifier: BSL-1.0
#include <zsync/sync/mutex.hpp>

#include <zsync/core/detail/sanitizers.hpp>
#include <zsync/core/use_await.hpp>

#include "docs/examples/allocations.hpp"
#include "sync/wait_cases.hpp"

#include <atomic>
#include <mutex>
#include <vector>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using boost::system::error_code;

namespace
{

struct held_mutex final : test::awaited
{
    held_mutex() { mutex.lock(); }

    void wait(error_code& ec) override
    {
        mutex.lock(ec);
        locked(ec);
    }
    void wait_until(test::time_point deadline, error_code& ec) override
    {
        mutex.try_lock_until(deadline, ec);
        locked(ec);
    }
    void async_wait(asio::any_io_executor on, asio::cancellation_slot slot, test::plain_handler handler) override
    {
        mutex.async_lock(test::bound(on, slot,
                                     [this, handler](error_code ec)
                                     {
                                         locked(ec);
                                         handler(ec);
                                     }));
    }
    void wake() override { mutex.unlock(); }

    // It stays held, for the next.
    void locked(error_code ec)
    {
        if (!ec)
            BOOST_TEST(!mutex.try_lock());
    }

    zsync::mutex mutex;
};

} // namespace

BOOST_AUTO_TEST_SUITE(sync_mutex)

BOOST_AUTO_TEST_CASE(every_wait_ends_as_it_should)
{
    test::wait_cases<held_mutex>();
}

BOOST_AUTO_TEST_CASE(a_free_mutex_is_locked_in_spite_of_a_request_and_of_a_deadline_passed)
{
    std::thread(
        []
        {
            zsync::task_cancellation& cancellation = zsync::agent::current().cancellation();
            cancellation.request();
            zsync::mutex mutex;
            std::lock_guard first(mutex);
            BOOST_TEST(!mutex.try_lock());
            zsync::mutex other;
            BOOST_TEST(other.try_lock_for(-1s));
            other.unlock();
            error_code ec = test::aborted;
            other.lock(ec);
            BOOST_TEST(!ec);
            other.unlock();
            BOOST_TEST(cancellation.due());
        })
        .join();
}

BOOST_AUTO_TEST_CASE(errors_are_thrown_but_for_the_deadlines)
{
    held_mutex held;
    const std::unique_lock late(held.mutex, 1ms);
    BOOST_TEST(!late.owns_lock());
    std::thread(
        [&]
        {
            zsync::agent::current().cancellation().request();
            BOOST_CHECK_EXCEPTION(held.mutex.lock(), boost::system::system_error,
                                  [](const auto& e) { return e.code() == test::aborted; });
            zsync::agent::current().cancellation().recancel();
            BOOST_CHECK_THROW(held.mutex.try_lock_for(1h), boost::system::system_error);
            BOOST_TEST(!held.mutex.try_lock_for(1ms));
        })
        .join();
    held.mutex.unlock();
}

BOOST_AUTO_TEST_CASE(the_longest_waiting_comes_first_whatever_it_is)
{
    held_mutex held;
    zsync::fiber_context ctx;
    std::vector<int> order;
    const auto wait = [&](int number)
    {
        const std::lock_guard lock(held.mutex);
        order.push_back(number);
    };
    asio::post(ctx, [&] { wait(0); });
    asio::post(ctx,
               [&]
               {
                   held.mutex.async_lock(asio::bind_executor(ctx,
                                                             [&](error_code)
                                                             {
                                                                 order.push_back(1);
                                                                 held.mutex.unlock();
                                                             }));
               });
    asio::post(ctx, [&] { wait(2); });
    asio::post(ctx,
               [&]
               {
                   held.mutex.async_lock(zsync::use_await);
                   order.push_back(3);
                   held.mutex.unlock();
               });
    asio::post(ctx,
               [&]
               {
                   held.mutex.unlock();
                   BOOST_TEST(!held.mutex.try_lock()); // handed over
               });
    test::run_all(ctx);
    BOOST_TEST(order == (std::vector{0, 1, 2, 3}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_wait_allocates_nothing)
{
    zsync::fiber_context ctx;
    zsync::mutex mutex;
    std::uint64_t allocated = 1;
    int turns = 0;
    for (int fiber = 0; fiber < 2; ++fiber)
        zsync::spawn(
            ctx,
            [&]
            {
                std::uint64_t before = 0;
                for (int i = 0; i < 100; ++i)
                {
                    if (i == 10)
                        before = allocations();
                    mutex.lock();
                    asio::post(ctx, zsync::use_await);
                    ++turns;
                    mutex.unlock();
                }
                allocated = allocations() - before;
            },
            asio::detached);
    test::run_all(ctx);
    BOOST_TEST(turns == 200);
    if (!ZSYNC_HAS_ASAN) // which recycles nothing, to see each use after the free: here, of what is posted
        BOOST_TEST(allocated == 0u);
}

BOOST_AUTO_TEST_CASE(fibers_threads_and_handlers_exclude_each_other)
{
    constexpr int rounds = 2'000;
    zsync::mutex mutex;
    long count = 0; // what the mutex protects
    int inside = 0;
    bool excluded = true;
    const auto section = [&]
    {
        excluded = excluded && ++inside == 1;
        ++count;
        --inside;
    };
    std::atomic<int> given_up{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 2; ++t)
        threads.emplace_back(
            [&]
            {
                for (int i = 0; i < rounds; ++i)
                {
                    if (i % 4 == 0 && !mutex.try_lock_for(std::chrono::microseconds(i % 50)))
                    {
                        ++given_up;
                        continue;
                    }
                    else if (i % 4 != 0)
                        mutex.lock();
                    section();
                    mutex.unlock();
                }
            });
    for (int t = 0; t < 2; ++t)
        threads.emplace_back(
            [&]
            {
                test::other_fibers ctx;
                const auto use = [&](int i, error_code ec)
                {
                    if (ec)
                    {
                        ++given_up;
                        return;
                    }
                    section();
                    if (i % 16 == 0)
                        asio::post(ctx, zsync::use_await[ec]); // with the mutex held
                    mutex.unlock();
                };
                for (int f = 0; f < 3; ++f)
                    asio::post(ctx,
                               [&, f]
                               {
                                   for (int i = 0; i < rounds / 4; ++i)
                                   {
                                       error_code ec;
                                       if (f == 0)
                                           mutex.try_lock_for(std::chrono::microseconds(i % 50), ec);
                                       else
                                           mutex.lock(ec);
                                       use(i, ec);
                                   }
                               });
                // One after the other, each cancelled soon.
                int left = rounds / 4;
                std::function<void()> lock_one = [&]
                {
                    auto& cancellation = zsync::agent::current().cancellation();
                    asio::post(ctx, [&] { cancellation.request(); });
                    error_code ec;
                    mutex.lock(ec);
                    use(left, ec);
                    cancellation.protect();
                    asio::post(ctx, zsync::use_await); // after the request
                    cancellation.unprotect();
                    if (--left > 0)
                        asio::post(ctx, lock_one);
                };
                asio::post(ctx, lock_one);
                test::runs_out(ctx);
            });
    threads.emplace_back(
        [&]
        {
            asio::io_context ctx;
            int left = rounds;
            asio::cancellation_signal signal;
            std::function<void(error_code)> next = [&](error_code ec)
            {
                if (!ec)
                {
                    section();
                    mutex.unlock();
                }
                else
                    ++given_up;
                if (--left == 0)
                    return;
                mutex.async_lock(asio::bind_cancellation_slot(signal.slot(), asio::bind_executor(ctx, next)));
                if (left % 8 == 0)
                    signal.emit(asio::cancellation_type::total);
            };
            mutex.async_lock(asio::bind_executor(ctx, next));
            test::runs_out(ctx);
        });
    for (auto& each : threads)
        each.join();
    BOOST_TEST(excluded);
    BOOST_TEST(count + given_up == 5 * rounds);
    BOOST_TEST(count > rounds);
    BOOST_TEST(mutex.try_lock());
}

BOOST_AUTO_TEST_SUITE_END()
