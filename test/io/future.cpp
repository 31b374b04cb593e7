// SPDX-License-Identifier: BSL-1.0
#include <zsync/io/future.hpp>

#include <zsync/core/cancel_protection.hpp>
#include <zsync/core/detail/sanitizers.hpp>
#include <zsync/fiber/fiber_context.hpp>
#include <zsync/fiber/this_fiber.hpp>
#include <zsync/io/async.hpp>

#include "cells.hpp"
#include "docs/examples/allocations.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/system/errc.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <latch>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using boost::asio::error::operation_aborted;
using boost::system::error_code;
using boost::system::system_error;
using io_test::cell;
using io_test::each_cell;
using io_test::run_in;
using zsync::future;
using zsync::io;

namespace
{

// ThreadSanitizer knows 8128 fibers at most.
constexpr int width = ZSYNC_HAS_TSAN ? 2'000 : 10'000;

/// Expects that a function throws system_error with the code.
template <class Function>
void expect_error(error_code code, Function function)
{
    BOOST_CHECK_EXCEPTION(function(), system_error, [&](const system_error& e) { return e.code() == code; });
}

void sleep_for_ever(io where)
{
    where.sleep(24h).await();
}

} // namespace

BOOST_AUTO_TEST_SUITE(io_future)

BOOST_DATA_TEST_CASE(results_of_all_kinds_arrive_as_often_as_asked_for, each_cell, where)
{
    run_in(where,
           [](io io)
           {
               auto number = io.async([] { return 42; });
               BOOST_TEST(number.await() == 42);
               BOOST_TEST(number.cancel() == 42);
               BOOST_TEST(number.await() == 42);
               BOOST_TEST(number.try_await().value() == 42);

               auto nothing = io.async([](zsync::io) {});
               nothing.await();
               nothing.await();

               int target = 1;
               future<int&> reference = io.async([&]() -> int& { return target; });
               BOOST_TEST(&reference.await() == &target);

               auto pointer = io.async([] { return std::make_unique<int>(7); });
               BOOST_TEST(*pointer.await() == 7);
               const std::unique_ptr<int> taken = std::move(pointer).await();
               BOOST_TEST(*taken == 7);
           });
}

BOOST_DATA_TEST_CASE(exceptions_are_rethrown_each_time, each_cell, where)
{
    run_in(where,
           [](io io)
           {
               auto failing = io.async([]() -> int { throw std::runtime_error("mine"); });
               BOOST_CHECK_THROW(failing.await(), std::runtime_error);
               BOOST_CHECK_THROW(failing.cancel(), std::runtime_error);
               BOOST_CHECK_THROW(failing.try_await(), std::runtime_error);

               auto refused = io.async([]() -> int { throw system_error(boost::asio::error::eof); });
               error_code ec;
               BOOST_TEST(refused.await(ec) == 0);
               BOOST_TEST((ec == boost::asio::error::eof));
               BOOST_TEST((refused.try_await().error() == boost::asio::error::eof));
           });
}

BOOST_DATA_TEST_CASE(concurrent_makes_progress_or_says_that_it_cannot, each_cell, where)
{
    run_in(where,
           [&](io io)
           {
               bool ran = false;
               const auto work = [&] { ran = true; };
               if (where.is_green())
               {
                   io.concurrent(work).await();
                   BOOST_TEST(ran);
                   return;
               }
               expect_error(zsync::error::concurrency_unavailable, [&] { std::ignore = io.concurrent(work); });
               error_code ec;
               BOOST_TEST(!zsync::concurrent(io, work, ec).valid());
               BOOST_TEST((ec == zsync::error::concurrency_unavailable));
               BOOST_TEST(!ran);
           });
}

BOOST_DATA_TEST_CASE(children_inherit_the_deadline_of_the_io, each_cell, where)
{
    run_in(where,
           [](io io)
           {
               auto child = io.with_deadline(1ms).async(sleep_for_ever);
               expect_error(zsync::error::timed_out, [&] { child.await(); });
           });
}

BOOST_DATA_TEST_CASE(a_moved_future_keeps_its_function, each_cell, where)
{
    run_in(where,
           [](io io)
           {
               auto first = io.async([] { return 1; });
               auto second = std::move(first);
               BOOST_TEST(!first.valid());
               const error_code invalid = make_error_code(boost::system::errc::invalid_argument);
               expect_error(invalid, [&] { first.await(); });
               expect_error(invalid, [&] { first.cancel(); });
               expect_error(invalid, [&] { std::move(first)(boost::asio::detached); });
               BOOST_TEST((first.try_await().error() == invalid));
               error_code ec;
               first.await(ec);
               BOOST_TEST((ec == invalid));
               BOOST_TEST(second.await() == 1);
               second = io.async([] { return 2; });
               BOOST_TEST(second.await() == 2);
               future<int> none;
               BOOST_TEST(!none.valid());
               none = std::move(second);
               BOOST_TEST(none.await() == 2);
           });
}

BOOST_DATA_TEST_CASE(a_started_operation_is_a_future, each_cell, where)
{
    run_in(where,
           [](io io)
           {
               auto sleeping = io.sleep(1ms).start();
               sleeping.await();
               BOOST_TEST(sleeping.is_ready());
           });
}

BOOST_DATA_TEST_CASE(ten_thousand_nested_one_after_another, each_cell, where)
{
    run_in(where,
           [](io io)
           {
               int sum = 0;
               for (int i = 0; i < 10'000; ++i)
                   sum += io.async([](zsync::io inner) { return inner.async([] { return 1; }).await(); }).await();
               BOOST_TEST(sum == 10'000);
           });
}

BOOST_DATA_TEST_CASE(many_at_once, each_cell, where)
{
    run_in(where,
           [](io io)
           {
               std::vector<future<int>> all;
               for (int i = 0; i < width; ++i)
                   all.push_back(io.async([i] { return i; }));
               int wrong = 0;
               for (int i = 0; i < width; ++i)
                   wrong += all[i].await() != i;
               BOOST_TEST(wrong == 0);
           });
}

BOOST_DATA_TEST_CASE(async_allocates_nothing_once_warm, each_cell, where)
{
    run_in(where,
           [](io io)
           {
               const auto once = [&] { return io.async([](zsync::io inner) { inner.sleep(0s).await(); }).await(); };
               for (int i = 0; i < 100; ++i)
                   once();
               const std::uint64_t before = allocations();
               for (int i = 0; i < 100; ++i)
                   once();
               BOOST_TEST(allocations() == before);
           });
}

BOOST_DATA_TEST_CASE(a_token_gets_the_result, each_cell, where)
{
    run_in(where,
           [](io io)
           {
               BOOST_TEST(io.async([] { return 3; })(zsync::use_await) == 3);
               BOOST_CHECK_THROW(io.async([]() -> int { throw std::runtime_error("mine"); })(zsync::use_await),
                                 std::runtime_error);
           });
}

// What only concurrency can show.

BOOST_DATA_TEST_CASE(cancel_asks_joins_and_gives_the_result, each_cell, where)
{
    if (where.is_green())
        run_in(where,
               [](io io)
               {
                   auto child = io.async(sleep_for_ever);
                   expect_error(operation_aborted, [&] { child.cancel(); });
                   expect_error(operation_aborted, [&] { child.await(); });

                   auto stubborn = io.async(
                       [](zsync::io inner)
                       {
                           error_code ec;
                           inner.sleep(24h).await(ec);
                           return 5;
                       });
                   zsync::this_fiber::yield();
                   BOOST_TEST(stubborn.cancel() == 5);
               });
}

BOOST_DATA_TEST_CASE(the_destructor_cancels_and_joins, each_cell, where)
{
    if (where.is_green())
        run_in(where,
               [](io io)
               {
                   bool ended = false;
                   {
                       const auto child = io.async(
                           [&](zsync::io inner)
                           {
                               error_code ec;
                               inner.sleep(24h).await(ec);
                               BOOST_TEST((ec == operation_aborted));
                               inner.sleep(1ms).await();
                               ended = true;
                           });
                       zsync::this_fiber::yield();
                   }
                   BOOST_TEST(ended);
               });
}

BOOST_DATA_TEST_CASE(awaiting_forwards_a_request_and_waits_for_the_child, each_cell, where)
{
    if (where.is_green())
        run_in(where,
               [](io io)
               {
                   bool child_ended = false;
                   auto parent = io.async(
                       [&](zsync::io inner)
                       {
                           auto child = inner.async(
                               [&](zsync::io innermost)
                               {
                                   error_code ec;
                                   innermost.sleep(24h).await(ec);
                                   innermost.sleep(1ms).await();
                                   child_ended = true;
                                   throw system_error(ec);
                               });
                           expect_error(operation_aborted, [&] { child.await(); });
                           BOOST_TEST(child_ended);
                           zsync::check_cancel(); // it has been delivered
                           return 1;
                       });
                   zsync::this_fiber::yield();
                   zsync::this_fiber::yield();
                   BOOST_TEST(parent.cancel() == 1);
               });
}

BOOST_DATA_TEST_CASE(a_childs_completed_work_leaves_the_request_pending, each_cell, where)
{
    if (where.is_green())
        run_in(where,
               [](io io)
               {
                   auto parent = io.async(
                       [](zsync::io inner)
                       {
                           auto child = inner.async(
                               [](zsync::io innermost)
                               {
                                   error_code ec;
                                   innermost.sleep(24h).await(ec);
                                   return 9;
                               });
                           const int result = child.await();
                           expect_error(operation_aborted, [&] { inner.sleep(24h).await(); });
                           zsync::recancel();
                           expect_error(operation_aborted, [] { zsync::check_cancel(); });
                           return result;
                       });
                   zsync::this_fiber::yield();
                   zsync::this_fiber::yield();
                   BOOST_TEST(parent.cancel() == 9);
               });
}

BOOST_DATA_TEST_CASE(protection_defers_a_request, each_cell, where)
{
    if (where.is_green())
        run_in(where,
               [](io io)
               {
                   bool protected_part = false;
                   auto child = io.async(
                       [&](zsync::io inner)
                       {
                           {
                               const zsync::cancel_protection protect;
                               inner.sleep(2ms).await();
                               zsync::check_cancel();
                               protected_part = true;
                           }
                           error_code ec;
                           zsync::check_cancel(ec);
                           BOOST_TEST((ec == operation_aborted));
                       });
                   zsync::this_fiber::yield();
                   child.cancel();
                   BOOST_TEST(protected_part);
               });
}

BOOST_DATA_TEST_CASE(a_slot_cancels_what_a_token_owns, each_cell, where)
{
    if (where.is_green())
        run_in(where,
               [](io io)
               {
                   boost::asio::cancellation_signal signal;
                   auto told = io.async(sleep_for_ever)(
                       boost::asio::bind_cancellation_slot(signal.slot(), boost::asio::use_future));
                   zsync::this_fiber::yield();
                   signal.emit(boost::asio::cancellation_type::terminal);
                   while (told.wait_for(0s) != std::future_status::ready)
                       zsync::this_fiber::yield();
                   expect_error(operation_aborted, [&] { told.get(); });
               });
}

BOOST_DATA_TEST_CASE(other_threads_start_cancel_and_join, each_cell, where)
{
    if (where.is_green())
        run_in(where,
               [](io io)
               {
                   auto child = io.async(sleep_for_ever);
                   std::atomic<bool> done{false};
                   std::thread other(
                       [&]
                       {
                           child.request_cancel();
                           expect_error(operation_aborted, [&] { child.await(); });
                           auto mine = io.async([] { return 6; });
                           BOOST_TEST(mine.await() == 6);
                           {
                               const auto abandoned = io.async(sleep_for_ever);
                           }
                           done = true;
                       });
                   while (!done)
                       io.sleep(1ms).await();
                   other.join();
               });
}

BOOST_DATA_TEST_CASE(requests_of_many_threads_meet_the_end_of_the_child, each_cell, where)
{
    if (where.is_green())
        run_in(where,
               [](io io)
               {
                   for (int round = 0; round < 50; ++round)
                   {
                       auto child = io.async(sleep_for_ever);
                       std::vector<std::thread> others;
                       for (int i = 0; i < 3; ++i)
                           others.emplace_back([&] { child.request_cancel(); });
                       expect_error(operation_aborted, [&] { child.await(); });
                       for (auto& each : others)
                           each.join();
                   }
               });
}

BOOST_DATA_TEST_CASE(a_future_on_an_unwinding_fiber_joins, io_test::each_cell, where)
{
    if (!where.is_green())
        return;
    int unwound = 0;
    struct witness
    {
        int& count;
        ~witness() { ++count; }
    };
    run_in(where,
           [&](io io)
           {
               zsync::spawn(
                   zsync::loop_executor(io.get_executor()),
                   [io, &unwound]
                   {
                       const witness mine{unwound};
                       auto child = io.async(
                           [&](zsync::io inner)
                           {
                               const witness its{unwound};
                               auto grandchild = inner.async(sleep_for_ever);
                               grandchild.await();
                           });
                       io.sleep(24h).await();
                   },
                   boost::asio::detached);
               zsync::this_fiber::yield();
               zsync::this_fiber::yield();
           });
    BOOST_TEST(unwound == 2);
}

BOOST_AUTO_TEST_SUITE_END()
