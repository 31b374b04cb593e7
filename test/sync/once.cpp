// SPDX-License-Identifier: BSL-1.0
#include <zsync/sync/once.hpp>

#include <zsync/core/use_await.hpp>
#include <zsync/sync/event.hpp>

#include "sync/wait_cases.hpp"

#include <atomic>
#include <memory>
#include <stdexcept>
#include <vector>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using boost::system::error_code;

namespace
{

error_code code_of(const std::exception_ptr& failure)
{
    try
    {
        if (failure)
            std::rethrow_exception(failure);
    }
    catch (const boost::system::system_error& e)
    {
        return e.code();
    }
    return {};
}

} // namespace

BOOST_AUTO_TEST_SUITE(sync_once)

BOOST_AUTO_TEST_CASE(it_is_called_once_and_with_its_arguments)
{
    zsync::once_flag flag;
    int sum = 0;
    const auto add = [&](int a, std::unique_ptr<int> b) { sum += a + *b; };
    zsync::call_once(flag, add, 1, std::make_unique<int>(2));
    zsync::call_once(flag, add, 1, std::make_unique<int>(2));
    BOOST_TEST(sum == 3);
}

BOOST_AUTO_TEST_CASE(a_call_that_throws_lets_the_next_try)
{
    zsync::once_flag flag;
    int calls = 0;
    const auto fail = [&]
    {
        ++calls;
        throw std::runtime_error("");
    };
    BOOST_CHECK_THROW(zsync::call_once(flag, fail), std::runtime_error);
    BOOST_CHECK_THROW(zsync::call_once(flag, fail), std::runtime_error);
    zsync::call_once(flag, [&] { ++calls; });
    zsync::call_once(flag, fail);
    BOOST_TEST(calls == 3);
}

BOOST_AUTO_TEST_CASE(others_wait_for_the_call_and_take_it_over_in_order)
{
    zsync::once_flag flag;
    zsync::fiber_context ctx;
    std::vector<int> order;
    const auto attempt = [&](int number, bool fails)
    {
        order.push_back(number);
        asio::post(ctx, zsync::use_await);
        if (fails)
            throw std::runtime_error("");
    };
    int failed = 0;
    std::optional<bool> handler_failed;
    asio::post(ctx,
               [&]
               {
                   BOOST_CHECK_THROW(zsync::call_once(flag, attempt, 0, true), std::runtime_error);
                   ++failed;
               });
    asio::post(ctx,
               [&]
               {
                   BOOST_CHECK_THROW(zsync::call_once(flag, attempt, 1, true), std::runtime_error);
                   ++failed;
               });
    asio::post(ctx,
               [&]
               {
                   zsync::async_call_once(
                       flag, [&] { attempt(2, false); },
                       asio::bind_executor(ctx, [&](std::exception_ptr e) { handler_failed = e != nullptr; }));
               });
    asio::post(ctx, [&] { zsync::call_once(flag, attempt, 3, true); });
    test::run_all(ctx);
    BOOST_TEST(order == (std::vector{0, 1, 2}), boost::test_tools::per_element());
    BOOST_TEST(failed == 2);
    BOOST_TEST((handler_failed && !*handler_failed));
}

BOOST_AUTO_TEST_CASE(a_handler_is_told_what_its_call_has_thrown)
{
    zsync::once_flag flag;
    asio::io_context ctx;
    int told = 0;
    const auto fail = [] { throw std::runtime_error(""); };
    zsync::async_call_once(flag, fail, asio::bind_executor(ctx, [&](std::exception_ptr e) { told += e != nullptr; }));
    BOOST_TEST(told == 0);
    test::run_all(ctx);
    BOOST_TEST(told == 1);
    zsync::call_once(flag, [] {});
    zsync::async_call_once(flag, fail, asio::bind_executor(ctx, [&](std::exception_ptr e) { told += e == nullptr; }));
    test::run_all(ctx);
    BOOST_TEST(told == 2);
}

BOOST_AUTO_TEST_CASE(a_wait_for_the_call_can_be_cancelled)
{
    zsync::once_flag flag;
    zsync::fiber_context ctx;
    zsync::event go;
    zsync::agent* waiting = nullptr;
    asio::cancellation_signal signal;
    error_code before;
    error_code during;
    error_code of_handler;
    int calls = 0;
    asio::post(ctx, [&] { zsync::call_once(flag, [&] { go.wait(), ++calls; }); });
    const auto error_of = [&](auto&& function)
    {
        try
        {
            function();
        }
        catch (...)
        {
            return code_of(std::current_exception());
        }
        return error_code();
    };
    asio::post(ctx,
               [&]
               {
                   zsync::agent::current().cancellation().request();
                   before = error_of([&] { zsync::call_once(flag, [&] { ++calls; }); });
               });
    asio::post(ctx,
               [&]
               {
                   waiting = &zsync::agent::current();
                   during = error_of([&] { zsync::call_once(flag, [&] { ++calls; }); });
               });
    asio::post(ctx,
               [&]
               {
                   zsync::async_call_once(
                       flag, [&] { ++calls; },
                       asio::bind_cancellation_slot(signal.slot(), asio::bind_executor(ctx, [&](std::exception_ptr e)
                                                                                       { of_handler = code_of(e); })));
               });
    asio::post(ctx,
               [&]
               {
                   waiting->cancellation().request();
                   signal.emit(asio::cancellation_type::terminal);
                   go.set();
               });
    test::run_all(ctx);
    BOOST_TEST(before == test::aborted);
    BOOST_TEST(during == test::aborted);
    BOOST_TEST(of_handler == test::aborted);
    BOOST_TEST(calls == 1);
}

BOOST_AUTO_TEST_CASE(threads_and_fibers_see_what_the_one_call_has_done)
{
    for (int round = 0; round < 100; ++round)
    {
        zsync::once_flag flag;
        int made = 0; // without further synchronization
        std::atomic<int> right{0};
        std::atomic<int> attempts{0};
        const auto use = [&]
        {
            for (bool called = false; !called;)
            {
                try
                {
                    zsync::call_once(flag,
                                     [&]
                                     {
                                         if (++attempts < 3)
                                             throw 0;
                                         ++made;
                                     });
                    called = true;
                }
                catch (int)
                {
                }
            }
            right += made == 1;
        };
        std::vector<std::thread> threads;
        for (int t = 0; t < 2; ++t)
            threads.emplace_back(use);
        threads.emplace_back(
            [&]
            {
                test::other_fibers ctx;
                for (int f = 0; f < 3; ++f)
                    asio::post(ctx, use);
                ctx.run();
            });
        for (auto& each : threads)
            each.join();
        BOOST_TEST(right == 5);
        BOOST_TEST(attempts == 3);
    }
}

BOOST_AUTO_TEST_SUITE_END()
