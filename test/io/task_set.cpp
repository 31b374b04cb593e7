// SPDX-License-Identifier: BSL-1.0
#include <zsync/io/task_set.hpp>

#include <zsync/core/cancel_protection.hpp>
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

BOOST_AUTO_TEST_SUITE_END()
