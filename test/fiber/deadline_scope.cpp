// SPDX-License-Identifier: BSL-1.0
#include <zsync/core/deadline_scope.hpp>

#include <zsync/core/cancel_protection.hpp>
#include <zsync/core/error.hpp>
#include <zsync/core/use_await.hpp>
#include <zsync/fiber.hpp>
#include <zsync/sync.hpp>

#include "fiber/running.hpp"
#include "support/on_fiber.hpp"

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <tuple>
#include <vector>

namespace asio = boost::asio;
namespace this_fiber = zsync::this_fiber;
using namespace std::chrono_literals;
using asio::error::operation_aborted;
using boost::system::error_code;
using boost::system::system_error;
using test::error_of;
using test::run_on_fiber;
using zsync::deadline_scope;
using zsync::fiber;
using zsync::fiber_context;
using zsync::use_await;
using zsync::error::timed_out;

namespace
{

constexpr auto soon = 1ms;
constexpr auto never = 24h;

} // namespace

BOOST_AUTO_TEST_SUITE(fiber_deadline_scope)

BOOST_AUTO_TEST_CASE(every_wait_ends_with_timed_out)
{
    zsync::mutex held;
    zsync::event event;
    zsync::latch latch(1);
    zsync::counting_semaphore<> units(0);
    zsync::channel<int> channel(0);
    zsync::mutex of_condition;
    zsync::condition_variable condition;
    held.lock();
    run_on_fiber(
        [&](fiber_context& ctx)
        {
            asio::steady_timer timer(ctx, never);
            const std::vector<std::function<void()>> waits = {
                [&] { held.lock(); },
                [&] { event.wait(); },
                [&] { latch.wait(); },
                [&] { units.acquire(); },
                [&] { channel.send(1); },
                [&] { channel.receive(); },
                [&] { zsync::select(channel.receiving(), event.waiting()); },
                [&]
                {
                    std::unique_lock lock(of_condition);
                    condition.wait(lock);
                },
                [&] { this_fiber::sleep_for(never); },
                [&] { timer.async_wait(use_await); },
                [&]
                {
                    fiber child(ctx, [] { this_fiber::sleep_for(never); });
                    child.join();
                },
                [&] { zsync::check_cancel(); },
            };
            for (const bool passed : {false, true})
                for (std::size_t i = 0; i < waits.size() - !passed; ++i)
                {
                    const deadline_scope scope(passed ? -1s : std::chrono::nanoseconds(soon));
                    BOOST_TEST((error_of(waits[i]) == timed_out), "wait " << i << ", passed " << passed);
                }
            BOOST_TEST((deadline_scope::current() == deadline_scope::clock::time_point::max()));
            this_fiber::sleep_for(soon); // as before
        });
    held.unlock();
}

BOOST_AUTO_TEST_CASE(what_can_be_had_at_once_is_had)
{
    run_on_fiber(
        [](fiber_context& ctx)
        {
            const deadline_scope scope(-1s);
            BOOST_TEST(deadline_scope::expired());
            zsync::mutex mutex;
            mutex.lock();
            mutex.unlock();
            zsync::channel<int> channel(1);
            channel.send(1);
            BOOST_TEST(channel.receive() == 1);
            fiber done(ctx, [] {});
            this_fiber::yield();
            done.join();
            this_fiber::sleep_for(0s);
        });
}

BOOST_AUTO_TEST_CASE(of_nested_scopes_the_earlier_deadline_counts)
{
    run_on_fiber(
        [](fiber_context&)
        {
            const auto begin = deadline_scope::clock::now();
            const deadline_scope outer(begin + 1h);
            {
                const deadline_scope later(begin + 2h);
                BOOST_TEST((deadline_scope::current() == begin + 1h));
                const deadline_scope earlier(begin + soon);
                BOOST_TEST((error_of([] { this_fiber::sleep_for(never); }) == timed_out));
                BOOST_TEST(deadline_scope::expired());
            }
            BOOST_TEST((deadline_scope::current() == begin + 1h));
            BOOST_TEST(!deadline_scope::expired());
            const deadline_scope far(std::chrono::hours::max());
            BOOST_TEST((deadline_scope::current() == begin + 1h));
        });
}

BOOST_AUTO_TEST_CASE(fibers_made_within_inherit_it_and_others_do_not)
{
    test::running<fiber_context> other;
    run_on_fiber(
        [&](fiber_context& ctx)
        {
            const auto sleep = [](error_code& to) { return [&to] { this_fiber::sleep_for(never, to); }; };
            error_code of_fiber, of_spawned, of_strand, elsewhere, spawned_elsewhere, of_grandchild, outside;
            std::optional<fiber> outer;
            std::atomic<int> begun{0};
            zsync::latch ended(1);
            outer.emplace(ctx, sleep(outside));
            {
                const deadline_scope scope(soon);
                fiber one(ctx, sleep(of_fiber));
                zsync::spawn(ctx, sleep(of_spawned), use_await);
                zsync::spawn(asio::make_strand(ctx.get_executor()), sleep(of_strand), use_await);
                fiber remote(other.context,
                             [&]
                             {
                                 ++begun;
                                 this_fiber::sleep_for(never, elsewhere);
                             });
                zsync::spawn(other.context, sleep(spawned_elsewhere), [&](std::exception_ptr) { ended.count_down(); });
                while (begun == 0)
                    this_fiber::yield();
                fiber family(ctx,
                             [&]
                             {
                                 fiber grandchild(ctx, sleep(of_grandchild));
                                 grandchild.join();
                             });
                family.join();
                remote.join();
                one.join();
            }
            ended.wait();
            for (const error_code& each :
                 {of_fiber, of_spawned, of_strand, elsewhere, spawned_elsewhere, of_grandchild})
                BOOST_TEST((each == timed_out));
            BOOST_TEST(!outer->is_done());
            outer.reset();
            BOOST_TEST((outside == operation_aborted));
        });
}

BOOST_AUTO_TEST_CASE(a_child_from_outside_is_asked_to_end_and_waited_for)
{
    run_on_fiber(
        [](fiber_context& ctx)
        {
            error_code of_child, reason;
            bool tidied = false;
            fiber child(ctx,
                        [&]
                        {
                            this_fiber::sleep_for(never, of_child);
                            reason = this_fiber::cancellation().reason;
                            this_fiber::sleep_for(soon);
                            tidied = true;
                            throw system_error(of_child);
                        });
            const deadline_scope scope(soon);
            BOOST_TEST((error_of([&] { child.join(); }) == timed_out));
            BOOST_TEST(tidied);
            BOOST_TEST((of_child == operation_aborted));
            BOOST_TEST((reason == timed_out));

            // What it has completed all the same counts.
            fiber late(ctx,
                       [&]
                       {
                           const zsync::cancel_protection protect;
                           this_fiber::sleep_for(2ms);
                       });
            BOOST_TEST(!error_of([&] { late.join(); }));
        });
}

BOOST_AUTO_TEST_CASE(an_outer_cancel_stays_cancelled_and_is_delivered_once)
{
    run_on_fiber(
        [](fiber_context& ctx)
        {
            error_code first, second, third;
            fiber one(ctx,
                      [&]
                      {
                          const deadline_scope scope(1h);
                          this_fiber::sleep_for(never, first);
                          const deadline_scope passed(-1s);
                          this_fiber::sleep_for(never, second);
                          zsync::recancel();
                          this_fiber::sleep_for(never, third);
                      });
            this_fiber::yield();
            one.request_cancel();
            one.join();
            BOOST_TEST((first == operation_aborted));
            BOOST_TEST((second == timed_out));
            BOOST_TEST((third == operation_aborted)); // both are due: the request is delivered
        });
}

BOOST_AUTO_TEST_CASE(protection_defers_it_and_has_scopes_of_its_own)
{
    run_on_fiber(
        [](fiber_context& ctx)
        {
            const deadline_scope scope(-1s);
            {
                const zsync::cancel_protection protect;
                BOOST_TEST((deadline_scope::current() == deadline_scope::clock::time_point::max()));
                this_fiber::sleep_for(soon);
                const deadline_scope inner(soon);
                BOOST_TEST((error_of([] { this_fiber::sleep_for(never); }) == timed_out));
            }
            BOOST_TEST((error_of([] { this_fiber::sleep_for(never); }) == timed_out));
            bool ended = false;
            {
                const fiber child(ctx,
                                  [&]
                                  {
                                      const zsync::cancel_protection protect;
                                      this_fiber::sleep_for(soon);
                                      ended = true;
                                  });
                this_fiber::yield();
            } // its destructor waits
            BOOST_TEST(ended);
        });
}

BOOST_AUTO_TEST_CASE(an_operation_that_has_done_something_says_so)
{
    run_on_fiber(
        [](fiber_context& ctx)
        {
            asio::readable_pipe from(ctx);
            asio::writable_pipe to(ctx);
            asio::connect_pipe(from, to);
            asio::write(to, asio::buffer("abc", 3));
            std::array<char, 8> bytes;
            const deadline_scope scope(soon);
            error_code ec;
            BOOST_TEST(asio::async_read(from, asio::buffer(bytes), use_await[ec]) == 3u);
            BOOST_TEST((ec == timed_out));
            const auto [code, count] = from.async_read_some(asio::buffer(bytes), asio::as_tuple(use_await));
            BOOST_TEST((code == timed_out));
            BOOST_TEST(count == 0u);
        });
}

BOOST_AUTO_TEST_CASE(threads_have_it_too)
{
    const deadline_scope scope(soon);
    zsync::event event;
    BOOST_TEST((error_of([&] { event.wait(); }) == timed_out));
    BOOST_TEST((error_of([] { this_fiber::sleep_for(never); }) == timed_out));

    test::running<asio::io_context> other;
    asio::steady_timer timer(other.context, never);
    BOOST_TEST((error_of([&] { timer.async_wait(use_await); }) == timed_out));

    fiber_context fibers;
    fiber one(fibers, [] { this_fiber::sleep_for(never); }); // inherits it
    std::thread runs([&] { fibers.run(); });
    BOOST_TEST((error_of([&] { one.join(); }) == timed_out));
    runs.join();
}

BOOST_AUTO_TEST_SUITE_END()
