// SPDX-License-Identifier: BSL-1.0
#include <zsync/io/task_set.hpp>

#include <zsync/core/cancel_protection.hpp>
#include <zsync/core/deadline_scope.hpp>
#include <zsync/fiber/this_fiber.hpp>
#include <zsync/io/run.hpp>

#include "cells.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>

using namespace std::chrono_literals;
using boost::asio::error::operation_aborted;
using boost::system::error_code;
using boost::system::system_error;
using io_test::each_cell;
using io_test::run_in;
using zsync::io;
using zsync::task_set;

namespace
{

std::string what(const std::exception_ptr& failure)
{
    try
    {
        std::rethrow_exception(failure);
    }
    catch (const std::exception& e)
    {
        return e.what();
    }
}

} // namespace

BOOST_AUTO_TEST_SUITE(io_task_set)

BOOST_DATA_TEST_CASE(every_task_runs_with_its_arguments, each_cell, where)
{
    run_in(where,
           [](io io)
           {
               int sum = 0;
               task_set set(io);
               for (int i = 1; i <= 100; ++i)
                   set.async([&](zsync::io, std::unique_ptr<int> value) { sum += *value; }, std::make_unique<int>(i));
               set.async([&](int value) { sum += value; }, 1000);
               set.join();
               BOOST_TEST(sum == 6050);
               BOOST_TEST(set.size() == 0u);
           });
}

BOOST_DATA_TEST_CASE(an_error_stays_with_its_task, each_cell, where)
{
    run_in(where,
           [](io io)
           {
               std::string errors;
               int others = 0;
               task_set set(io, {.on_error = [&](const std::exception_ptr& e) { errors += what(e); }});
               set.async([&] { ++others; });
               set.async([] { throw std::runtime_error("mine"); });
               set.async([&] { ++others; });
               set.join();
               BOOST_TEST(errors == "mine");
               BOOST_TEST(others == 2);
           });
}

BOOST_DATA_TEST_CASE(the_limit_is_kept, each_cell, where)
{
    run_in(where,
           [](io io)
           {
               int running = 0;
               int most = 0;
               int ended = 0;
               task_set set(io, {.limit = 3});
               for (int i = 0; i < 20; ++i)
                   set.async(
                       [&](zsync::io inner)
                       {
                           most = std::max(most, ++running);
                           inner.sleep(1ms).await();
                           --running;
                           ++ended;
                       });
               set.join();
               BOOST_TEST(ended == 20);
               BOOST_TEST(most == (io.model() == zsync::model::blocking ? 1 : 3));
           });
}

BOOST_DATA_TEST_CASE(waiting_for_room_can_be_cancelled, each_cell, where)
{
    if (where.is_green())
        run_in(where,
               [](io io)
               {
                   auto owner = io.async(
                       [](zsync::io inner)
                       {
                           task_set set(inner, {.limit = 1});
                           bool started = false;
                           set.async([](zsync::io innermost) { innermost.sleep(24h).await(); });
                           BOOST_CHECK_EXCEPTION(set.async([&] { started = true; }), system_error,
                                                 [](const system_error& e) { return e.code() == operation_aborted; });
                           BOOST_TEST(set.size() == 1u);
                           set.cancel();
                           BOOST_TEST(!started);
                       });
                   zsync::this_fiber::yield();
                   owner.cancel();
               });
}

BOOST_DATA_TEST_CASE(the_destructor_cancels_and_joins_without_reporting_it, each_cell, where)
{
    if (where.is_green())
        run_in(where,
               [](io io)
               {
                   int ended = 0;
                   int errors = 0;
                   {
                       task_set set(io, {.on_error = [&](const std::exception_ptr&) { ++errors; }});
                       for (int i = 0; i < 10; ++i)
                           set.async(
                               [&](zsync::io inner)
                               {
                                   struct at_exit
                                   {
                                       int& count;
                                       ~at_exit() { ++count; }
                                   } const count{ended};
                                   inner.sleep(24h).await();
                               });
                       zsync::this_fiber::yield();
                   }
                   BOOST_TEST(ended == 10);
                   BOOST_TEST(errors == 0);
               });
}

BOOST_DATA_TEST_CASE(joining_forwards_a_request, each_cell, where)
{
    if (where.is_green())
        run_in(where,
               [](io io)
               {
                   auto owner = io.async(
                       [](zsync::io inner)
                       {
                           task_set set(inner);
                           for (int i = 0; i < 3; ++i)
                               set.async([](zsync::io innermost) { innermost.sleep(24h).await(); });
                           error_code ec;
                           try
                           {
                               set.join();
                           }
                           catch (const system_error& e)
                           {
                               ec = e.code();
                           }
                           BOOST_TEST((ec == operation_aborted));
                           BOOST_TEST(set.size() == 0u);
                           zsync::check_cancel(); // it has been delivered
                       });
                   zsync::this_fiber::yield();
                   owner.cancel();
               });
}

BOOST_DATA_TEST_CASE(a_server_echoes_to_its_clients, each_cell, where)
{
    run_in(where,
           [](io io)
           {
               constexpr int clients = 5;
               zsync::acceptor listener = io.listen({"127.0.0.1", 0});
               const zsync::endpoint here = listener.local_endpoint();
               int echoed = 0;
               std::thread world(
                   [&]
                   {
                       zsync::run_blocking(
                           [&](zsync::io out)
                           {
                               for (int i = 0; i < clients; ++i)
                               {
                                   zsync::stream peer = out.connect(here).await();
                                   std::string data(1000, static_cast<char>('a' + i));
                                   out.write(peer, std::string_view(data)).await();
                                   std::string back(1000, ' ');
                                   out.read_exactly(peer, std::span(back)).await();
                                   echoed += back == data;
                               }
                           });
                   });
               {
                   task_set sessions(io, {.limit = 10'000});
                   for (int i = 0; i < clients; ++i)
                       sessions.async(
                           [](zsync::io inner, zsync::stream peer)
                           {
                               std::array<char, 4096> data;
                               while (auto n = inner.read(peer, data).await())
                                   inner.write(peer, std::span(data).first(n)).await();
                           },
                           io.accept(listener).await());
                   sessions.join();
               }
               world.join();
               BOOST_TEST(echoed == clients);
           });
}

BOOST_DATA_TEST_CASE(a_task_cannot_wait_for_the_set_that_it_is_of, each_cell, where)
{
    if (!where.is_green()) // a task has ended when async() returns
        return;
    run_in(where,
           [](io io)
           {
               const error_code deadlock = make_error_code(boost::system::errc::resource_deadlock_would_occur);
               error_code of_join, of_cancel, of_other;
               task_set set(io);
               task_set others(io);
               set.async([&] { io.sleep(1ms).await(); });
               set.async(
                   [&]
                   {
                       const auto code_of = [](auto function)
                       {
                           try
                           {
                               function();
                           }
                           catch (const system_error& e)
                           {
                               return e.code();
                           }
                           return error_code();
                       };
                       of_join = code_of([&] { set.join(); });
                       of_cancel = code_of([&] { set.cancel(); });
                       others.async([&] { io.sleep(1ms).await(); });
                       of_other = code_of([&] { others.join(); });
                   });
               set.join();
               BOOST_TEST((of_join == deadlock));
               BOOST_TEST((of_cancel == deadlock));
               BOOST_TEST(!of_other);
           });
}

BOOST_DATA_TEST_CASE(overlapping_cancels_leave_a_set_that_can_be_used, each_cell, where)
{
    run_in(where,
           [&](io io)
           {
               task_set set(io);
               task_set cancelling(io);
               if (where.is_green())
               {
                   set.async(
                       [&]
                       {
                           error_code ec;
                           io.sleep(24h).await(ec);
                           io.sleep(1ms).await(ec);
                       });
                   cancelling.async([&] { set.cancel(); });
                   cancelling.async(
                       [&]
                       {
                           zsync::this_fiber::yield();
                           set.cancel();
                       });
                   cancelling.join();
               }
               error_code ec = operation_aborted;
               set.async([&] { io.sleep(1ms).await(ec); });
               set.join();
               BOOST_TEST(!ec);
           });
}

BOOST_DATA_TEST_CASE(room_that_is_not_used_goes_to_the_next, each_cell, where)
{
    if (!where.is_green())
        return;
    run_in(where,
           [](io io)
           {
               struct cannot_be_kept
               {
                   bool armed = false;
                   cannot_be_kept() = default;
                   cannot_be_kept(const cannot_be_kept& other) : armed(other.armed) {}
                   cannot_be_kept(cannot_be_kept&& other) : armed(other.armed)
                   {
                       if (armed)
                           throw std::runtime_error("not moved");
                   }
                   void operator()() const {}
               };
               task_set set(io, {.limit = 1});
               task_set producers(io);
               bool second = false;
               bool threw = false;
               set.async([&] { io.sleep(1ms).await(); });
               producers.async(
                   [&]
                   {
                       cannot_be_kept function;
                       function.armed = true;
                       try
                       {
                           set.async(function);
                       }
                       catch (const std::runtime_error&)
                       {
                           threw = true;
                       }
                   });
               producers.async([&] { set.async([&] { second = true; }); });
               producers.join();
               set.join();
               BOOST_TEST(threw);
               BOOST_TEST(second);
           });
}

BOOST_DATA_TEST_CASE(a_deadline_ends_its_waits, each_cell, where)
{
    if (!where.is_green())
        return;
    run_in(where,
           [](io io)
           {
               task_set set(io, {.limit = 1});
               error_code of_task;
               set.async([&] { io.sleep(24h).await(of_task); });
               const auto timed_out = [](const system_error& e) { return e.code() == zsync::error::timed_out; };
               const zsync::deadline_scope scope(1ms);
               BOOST_CHECK_EXCEPTION(set.async([] {}), system_error, timed_out);
               BOOST_CHECK_EXCEPTION(set.join(), system_error, timed_out);
               BOOST_TEST((of_task == operation_aborted));
           });
}

BOOST_AUTO_TEST_SUITE_END()
