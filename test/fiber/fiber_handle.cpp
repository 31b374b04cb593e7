// SPDX-License-Identifier: BSL-1.0
#include <zsync/fiber/fiber.hpp>

#include <zsync/core/cancel_protection.hpp>
#include <zsync/core/use_await.hpp>
#include <zsync/fiber/spawn.hpp>

#include "fiber/running.hpp"
#include "support/on_fiber.hpp"

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace asio = boost::asio;
namespace this_fiber = zsync::this_fiber;
using namespace std::chrono_literals;
using asio::error::operation_aborted;
using boost::system::error_code;
using boost::system::system_error;
using test::expect_error;
using test::run_on_fiber;
using zsync::fiber;
using zsync::fiber_context;

BOOST_AUTO_TEST_SUITE(fiber_handle)

BOOST_AUTO_TEST_CASE(join_waits_for_the_function)
{
    run_on_fiber(
        [](fiber_context& ctx)
        {
            bool done = false;
            fiber one(ctx,
                      [&, only = std::make_unique<int>(1)]
                      {
                          this_fiber::yield();
                          done = *only == 1;
                      });
            BOOST_TEST(one.joinable());
            BOOST_TEST(!one.is_done());
            one.join();
            BOOST_TEST(done);
            BOOST_TEST(!one.joinable());
        });
}

BOOST_AUTO_TEST_CASE(join_throws_what_the_function_has_thrown)
{
    run_on_fiber(
        [](fiber_context& ctx)
        {
            fiber failing(ctx, []() -> int { throw std::runtime_error("mine"); });
            BOOST_CHECK_THROW(failing.join(), std::runtime_error);
            BOOST_TEST(!failing.joinable());

            error_code ec;
            fiber told(ctx, [] { throw system_error(asio::error::eof); });
            told.join(ec);
            BOOST_TEST(ec == asio::error::eof);
            fiber other(ctx, [] { throw std::runtime_error("mine"); });
            BOOST_CHECK_THROW(other.join(ec), std::runtime_error);
            fiber well(ctx, [] {});
            well.join(ec);
            BOOST_TEST(!ec);
        });
}

BOOST_AUTO_TEST_CASE(join_returns_what_the_function_has_returned)
{
    run_on_fiber(
        [](fiber_context& ctx)
        {
            zsync::basic_fiber number(ctx, [] { return 42; });
            static_assert(std::is_same_v<decltype(number), zsync::basic_fiber<int>>);
            BOOST_TEST(number.join() == 42);
            BOOST_TEST(!number.joinable());

            zsync::basic_fiber owned(ctx, {.name = "owner"}, [] { return std::make_unique<int>(7); });
            BOOST_TEST(*owned.join() == 7);

            int there = 0;
            zsync::basic_fiber reference(ctx, [&]() -> int& { return there; });
            BOOST_TEST(&reference.join() == &there);

            zsync::basic_fiber<int> failing(ctx, []() -> int { throw std::runtime_error("mine"); });
            BOOST_CHECK_THROW(failing.join(), std::runtime_error);

            // What nobody asks for is dropped.
            const auto counted = std::make_shared<int>(0);
            zsync::basic_fiber(ctx, [counted] { return counted; }).detach();
            {
                const zsync::basic_fiber<std::shared_ptr<int>> ends(ctx, [counted] { return counted; });
                this_fiber::yield();
            }
            this_fiber::yield();
            BOOST_TEST(counted.use_count() == 1);
        });
}

BOOST_AUTO_TEST_CASE(try_join_returns_a_code_where_join_throws_one)
{
    run_on_fiber(
        [](fiber_context& ctx)
        {
            BOOST_TEST(zsync::basic_fiber(ctx, [] { return 42; }).try_join().value() == 42);
            BOOST_TEST(fiber(ctx, [] {}).try_join().has_value());
            zsync::basic_fiber<int> failing(ctx, []() -> int { throw system_error(asio::error::eof); });
            BOOST_TEST(failing.try_join().error() == asio::error::eof);
            fiber other(ctx, [] { throw std::runtime_error("mine"); });
            BOOST_CHECK_THROW(other.try_join(), std::runtime_error);
        });
}

BOOST_AUTO_TEST_CASE(the_cancellation_of_what_runs_can_be_read)
{
    BOOST_TEST(!this_fiber::cancellation().requested); // the thread's
    run_on_fiber(
        [](fiber_context& ctx)
        {
            fiber one(ctx,
                      []
                      {
                          this_fiber::cancellation_state now = this_fiber::cancellation();
                          BOOST_TEST((!now.requested && !now.due && !now.deferred && !now.reason));
                          {
                              const zsync::cancel_protection protect;
                              this_fiber::yield(); // asked meanwhile
                              now = this_fiber::cancellation();
                              BOOST_TEST((now.requested && !now.due && now.deferred));
                          }
                          now = this_fiber::cancellation();
                          BOOST_TEST((now.requested && now.due && !now.deferred));
                          BOOST_TEST(now.reason == asio::error::timed_out);
                          expect_error(operation_aborted, [] { zsync::check_cancel(); });
                          now = this_fiber::cancellation();
                          BOOST_TEST((now.requested && !now.due));
                          zsync::recancel();
                          BOOST_TEST(this_fiber::cancellation().due);
                      });
            this_fiber::yield();
            one.request_cancel(asio::error::timed_out);
            one.join();
        });
}

BOOST_AUTO_TEST_CASE(a_request_ends_it_before_it_begins_and_while_it_waits)
{
    run_on_fiber(
        [](fiber_context& ctx)
        {
            for (const bool begun : {false, true})
            {
                bool reached = false;
                fiber one(ctx,
                          [&]
                          {
                              reached = true;
                              this_fiber::sleep_for(24h);
                          });
                if (begun)
                    this_fiber::yield();
                BOOST_TEST(reached == begun);
                one.request_cancel();
                one.request_cancel(); // once is enough
                expect_error(operation_aborted, [&] { one.join(); });
                BOOST_TEST(reached);
            }
        });
}

BOOST_AUTO_TEST_CASE(the_destructor_and_assignment_cancel_and_join)
{
    run_on_fiber(
        [](fiber_context& ctx)
        {
            int ended = 0;
            const auto sleep = [&]
            {
                struct at_exit
                {
                    int& count;
                    ~at_exit() { ++count; }
                } const mine{ended};
                this_fiber::sleep_for(24h);
            };
            {
                const fiber one(ctx, sleep);
                this_fiber::yield();
            }
            BOOST_TEST(ended == 1);
            fiber one(ctx, sleep);
            this_fiber::yield();
            one = fiber(ctx, sleep);
            BOOST_TEST(ended == 2);
            this_fiber::yield();
            fiber taken = std::move(one);
            BOOST_TEST(!one.joinable());
            BOOST_TEST(taken.joinable());
            taken.swap(one);
            one = fiber();
            BOOST_TEST(ended == 3);
        });
}

BOOST_AUTO_TEST_CASE(detached_it_goes_on)
{
    bool ended = false;
    run_on_fiber(
        [&](fiber_context& ctx)
        {
            fiber one(ctx,
                      [&]
                      {
                          this_fiber::sleep_for(1ms);
                          ended = true;
                          throw std::runtime_error("nobody hears this");
                      });
            one.detach();
            BOOST_TEST(!one.joinable());
            fiber done(ctx, [] {});
            while (!done.is_done())
                this_fiber::yield();
            done.detach();
            fiber().detach();
        });
    BOOST_TEST(ended);
}

BOOST_AUTO_TEST_CASE(joining_forwards_a_request_and_waits_all_the_same)
{
    run_on_fiber(
        [](fiber_context& ctx)
        {
            bool tidied = false;
            error_code inner;
            error_code after;
            fiber outer(ctx,
                        [&]
                        {
                            fiber child(ctx,
                                        [&]
                                        {
                                            this_fiber::sleep_for(24h, inner);
                                            this_fiber::sleep_for(1ms);
                                            tidied = true;
                                            throw system_error(inner);
                                        });
                            expect_error(operation_aborted, [&] { child.join(); });
                            this_fiber::sleep_for(1ms, after); // delivered already
                        });
            this_fiber::yield();
            this_fiber::yield();
            outer.request_cancel();
            outer.join();
            BOOST_TEST(tidied);
            BOOST_TEST(inner == operation_aborted);
            BOOST_TEST(!after);
        });
}

BOOST_AUTO_TEST_CASE(a_fiber_cannot_join_itself)
{
    run_on_fiber(
        [](fiber_context& ctx)
        {
            fiber one;
            one = fiber(ctx,
                        [&]
                        {
                            this_fiber::yield();
                            expect_error(make_error_code(boost::system::errc::resource_deadlock_would_occur),
                                         [&] { one.join(); });
                        });
            one.join();
        });
}

BOOST_AUTO_TEST_CASE(a_handle_without_a_fiber_refuses_to_join)
{
    const error_code invalid = make_error_code(boost::system::errc::invalid_argument);
    fiber none;
    expect_error(invalid, [&] { none.join(); });
    error_code ec;
    none.join(ec);
    BOOST_TEST(ec == invalid);
    zsync::basic_fiber<int> nothing;
    BOOST_TEST(nothing.try_join().error() == invalid);

    run_on_fiber(
        [&](fiber_context& ctx)
        {
            fiber one(ctx, [] {});
            const fiber other = std::move(one);
            expect_error(invalid, [&] { one.join(); });
        });
}

BOOST_AUTO_TEST_CASE(other_threads_make_cancel_and_join)
{
    test::running<fiber_context> where;
    std::thread::id ran_on;
    fiber one(where.context, [&] { ran_on = std::this_thread::get_id(); });
    one.join();
    BOOST_TEST((ran_on != std::this_thread::get_id() && ran_on != std::thread::id()));

    for (int round = 0; round < 200; ++round)
    {
        fiber waiting(where.context, [] { this_fiber::sleep_for(24h); });
        if (round % 2)
            std::this_thread::yield();
        waiting.request_cancel();
        if (round % 3 == 0)
            continue; // the destructor does the rest
        error_code ec;
        waiting.join(ec);
        BOOST_TEST(ec == operation_aborted);
    }
    fiber(where.context, [] { this_fiber::sleep_for(1ms); }).detach();
}

BOOST_AUTO_TEST_CASE(names_and_ids)
{
    BOOST_TEST(this_fiber::name() == "");
    BOOST_TEST((this_fiber::get_id() == this_fiber::id()));
    this_fiber::set_name("a thread has its own");
    BOOST_TEST(this_fiber::name() == "");
    run_on_fiber(
        [](fiber_context& ctx)
        {
            BOOST_TEST(this_fiber::name() == "");
            const this_fiber::id self = this_fiber::get_id();
            BOOST_TEST((self != this_fiber::id()));
            BOOST_TEST((self == this_fiber::get_id()));

            std::string seen;
            this_fiber::id seen_id;
            fiber named(ctx, {.name = "worker"},
                        [&]
                        {
                            this_fiber::yield();
                            seen = this_fiber::name();
                            seen_id = this_fiber::get_id();
                            this_fiber::set_name(std::string(40, 'x'));
                            BOOST_TEST(this_fiber::name() == std::string(31, 'x'));
                        });
            const this_fiber::id other = named.get_id();
            BOOST_TEST((other != self));
            named.join();
            BOOST_TEST(seen == "worker");
            BOOST_TEST((seen_id == other));
            BOOST_TEST((named.get_id() == other));

            fiber plain(ctx, [&] { seen = this_fiber::name(); });
            plain.join();
            BOOST_TEST(seen == ""); // not its predecessor's, on the same stack

            // Nor do functions that share a fiber share its name.
            this_fiber::id ids[2];
            asio::post(ctx,
                       [&]
                       {
                           this_fiber::set_name("posted");
                           ids[0] = this_fiber::get_id();
                       });
            asio::post(ctx,
                       [&]
                       {
                           seen = this_fiber::name();
                           ids[1] = this_fiber::get_id();
                       });
            while (ids[1] == this_fiber::id())
                this_fiber::yield();
            BOOST_TEST(seen == "");
            BOOST_TEST((ids[0] != ids[1]));
        });
}

BOOST_AUTO_TEST_CASE(sleeping)
{
    const auto begin = std::chrono::steady_clock::now();
    this_fiber::sleep_for(1ms); // on a thread
    this_fiber::sleep_until(begin);
    run_on_fiber(
        [&](fiber_context& ctx)
        {
            const auto start = std::chrono::steady_clock::now();
            this_fiber::sleep_until(start + 2ms);
            BOOST_TEST((std::chrono::steady_clock::now() - start >= 2ms));
            this_fiber::sleep_for(-1h);

            const auto by_the_wall = std::chrono::system_clock::now() + 2ms;
            this_fiber::sleep_until(by_the_wall);
            BOOST_TEST((std::chrono::system_clock::now() >= by_the_wall));
            error_code aborted;
            fiber cancelled(ctx, [&] { this_fiber::sleep_until(std::chrono::system_clock::now() + 24h, aborted); });
            this_fiber::yield();
            cancelled.request_cancel();
            cancelled.join();
            BOOST_TEST(aborted == operation_aborted);

            error_code ec;
            fiber protected_one(ctx,
                                [&]
                                {
                                    const zsync::cancel_protection protect;
                                    this_fiber::sleep_for(1ms, ec); // not ended by what is deferred
                                });
            protected_one.request_cancel();
            protected_one.join();
            BOOST_TEST(!ec);
        });
    BOOST_TEST((std::chrono::steady_clock::now() - begin >= 3ms));
}

BOOST_AUTO_TEST_CASE(a_handle_and_its_context_end_together)
{
    bool unwound = false;
    {
        fiber_context ctx;
        fiber one(ctx,
                  [&]
                  {
                      struct at_exit
                      {
                          bool& flag;
                          ~at_exit() { flag = true; }
                      } const mine{unwound};
                      this_fiber::sleep_for(24h);
                  });
        ctx.run_for(1ms);
        one.detach(); // what is left goes with the context
    }
    BOOST_TEST(unwound);
}

BOOST_AUTO_TEST_SUITE_END()
