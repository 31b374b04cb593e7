// SPDX-License-Identifier: BSL-1.0
// Requests, from wherever they come and to wherever they go.
#include <zsync/fiber/cancellation_scope.hpp>

#include <zsync/core/cancel_protection.hpp>
#include <zsync/core/error.hpp>
#include <zsync/core/use_await.hpp>
#include <zsync/fiber.hpp>

#include "support/child_process.hpp"
#include "support/on_fiber.hpp"

#include <boost/asio.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>

namespace asio = boost::asio;
namespace this_fiber = zsync::this_fiber;
using namespace std::chrono_literals;
using asio::cancellation_type;
using asio::error::operation_aborted;
using boost::system::error_code;
using boost::system::system_error;
using test::error_of;
using test::run_on_fiber;
using zsync::fiber;
using zsync::fiber_context;
using zsync::use_await;

namespace
{

constexpr auto never = 24h;
const error_code deadlock = make_error_code(boost::system::errc::resource_deadlock_would_occur);

/// An operation that never ends by itself, and tells what its slot was asked for: the types in `accepted` end it.
template <class Token>
auto async_never(cancellation_type& asked, cancellation_type accepted, Token&& token)
{
    return asio::async_initiate<Token, void(error_code)>(
        [&asked, accepted](auto handler)
        {
            auto kept = std::make_shared<decltype(handler)>(std::move(handler));
            asio::get_associated_cancellation_slot(*kept).assign(
                [&asked, accepted, kept](cancellation_type type)
                {
                    asked = type;
                    if ((type & accepted) != cancellation_type::none)
                    {
                        const auto alive = kept;
                        std::move (*alive)(error_code(operation_aborted));
                    }
                });
        },
        token);
}

} // namespace

BOOST_AUTO_TEST_SUITE(fiber_cancellation)

BOOST_AUTO_TEST_CASE(a_token_that_another_thread_cancels_is_a_request_with_its_reason)
{
    const zsync::cancellation_source source;
    std::atomic<bool> waits{false};
    std::thread other(
        [&]
        {
            waits.wait(false);
            source.request_cancel(zsync::error::channel_closed);
        });
    run_on_fiber(
        [&](fiber_context&)
        {
            const zsync::cancellation_scope scope(source.token());
            waits = true;
            waits.notify_one();
            BOOST_TEST((error_of([] { this_fiber::sleep_for(never); }) == operation_aborted));
            BOOST_TEST((this_fiber::cancellation().reason == zsync::error::channel_closed));
            this_fiber::sleep_for(1ms); // delivered once
        });
    other.join();
}

BOOST_AUTO_TEST_CASE(a_stop_token_given_to_a_fiber_cancels_it)
{
    std::stop_source stop;
    run_on_fiber(
        [&](fiber_context& ctx)
        {
            error_code in_flight, before, protected_one;
            fiber one(ctx, {.name = "one", .cancellation = stop.get_token()},
                      [&] { this_fiber::sleep_for(never, in_flight); });
            fiber two(ctx, {.cancellation = stop.get_token()},
                      [&]
                      {
                          {
                              const zsync::cancel_protection protect;
                              this_fiber::sleep_for(1ms, protected_one);
                          }
                          throw system_error(error_of([] { zsync::check_cancel(); }));
                      });
            this_fiber::yield();
            stop.request_stop();
            one.join();
            BOOST_TEST((in_flight == operation_aborted));
            BOOST_TEST((error_of([&] { two.join(); }) == operation_aborted));
            BOOST_TEST(!protected_one);
            fiber late(ctx, {.cancellation = stop.get_token()}, [&] { this_fiber::sleep_for(never, before); });
            late.join();
            BOOST_TEST((before == operation_aborted));
        });
}

BOOST_AUTO_TEST_CASE(a_request_after_the_scope_is_none)
{
    const zsync::cancellation_source source;
    run_on_fiber(
        [&](fiber_context&)
        {
            {
                const zsync::cancellation_scope scope(source.token());
                const zsync::cancellation_scope nothing{zsync::cancellation_token()};
            }
            source.request_cancel();
            BOOST_TEST(!this_fiber::cancellation().requested);
            this_fiber::sleep_for(1ms);
        });
}

BOOST_AUTO_TEST_CASE(a_scope_on_a_thread_is_refused)
{
    const zsync::cancellation_source source;
    BOOST_TEST((error_of([&] { const zsync::cancellation_scope scope(source.token()); }) ==
                make_error_code(boost::system::errc::operation_not_supported)));
}

BOOST_AUTO_TEST_CASE(requests_from_a_thread_race_with_the_end_of_scopes)
{
    fiber_context ctx;
    std::atomic<bool> over{false};
    std::atomic<zsync::cancellation_source*> current{nullptr};
    std::thread other(
        [&]
        {
            while (!over)
                if (auto* const source = current.exchange(nullptr))
                {
                    source->request_cancel();
                    delete source;
                }
        });
    int delivered = 0;
    zsync::spawn(
        ctx,
        [&]
        {
            for (int round = 0; round < 2'000; ++round)
            {
                auto source = std::make_unique<zsync::cancellation_source>();
                const auto token = source->token();
                fiber one(ctx,
                          [&]
                          {
                              error_code ec;
                              const zsync::cancellation_scope scope(token);
                              delete current.exchange(source.release());
                              if (round % 2)
                                  this_fiber::sleep_for(never, ec);
                              delivered += ec == operation_aborted;
                          });
                one.join();
            }
            over = true;
        },
        asio::detached);
    ctx.run_for(60s);
    BOOST_TEST(over);
    over = true;
    other.join();
    delete current.exchange(nullptr);
    BOOST_TEST(delivered == 1'000);
}

BOOST_AUTO_TEST_CASE(a_fiber_hands_out_tokens_that_fire_on_its_cancellation)
{
    run_on_fiber(
        [](fiber_context& ctx)
        {
            zsync::cancellation_token token;
            std::stop_token stop;
            int calls = 0;
            error_code late_reason;
            fiber one(ctx,
                      [&](std::stop_token given)
                      {
                          token = this_fiber::get_cancellation_token();
                          stop = this_fiber::get_stop_token();
                          BOOST_TEST((given == stop));
                          const std::stop_callback counts(given, [&] { ++calls; });
                          const zsync::cancel_protection protect; // which tells all the same
                          this_fiber::sleep_for(2ms);
                          late_reason = this_fiber::get_cancellation_token().reason();
                      });
            this_fiber::yield();
            BOOST_TEST((token.can_be_cancelled() && !token.cancel_requested()));
            one.request_cancel(zsync::error::channel_closed);
            BOOST_TEST(token.cancel_requested());
            BOOST_TEST((token.reason() == zsync::error::channel_closed));
            BOOST_TEST(stop.stop_requested());
            BOOST_TEST(calls == 1);
            one.join();
            BOOST_TEST((late_reason == zsync::error::channel_closed));
            BOOST_TEST(token.cancel_requested()); // outlives the fiber
        });
}

BOOST_AUTO_TEST_CASE(what_a_fiber_hands_out_ends_work_on_a_thread)
{
    std::optional<std::jthread> worker;
    bool stopped = false;
    {
        fiber_context ctx;
        zsync::spawn(
            ctx,
            [&]
            {
                worker.emplace(
                    [&, stop = this_fiber::get_stop_token()](std::stop_token)
                    {
                        while (!stop.stop_requested())
                            std::this_thread::yield();
                        stopped = true;
                    });
                this_fiber::sleep_for(never);
            },
            asio::detached);
        ctx.poll();
    } // unwinding is a request, too
    worker->join();
    BOOST_TEST(stopped);
}

BOOST_AUTO_TEST_CASE(each_type_of_a_slot_is_a_request_of_the_fiber)
{
    for (const auto type : {cancellation_type::terminal, cancellation_type::partial, cancellation_type::total})
        for (const bool from_thread : {false, true})
        {
            fiber_context ctx;
            asio::cancellation_signal signal;
            error_code first, second;
            zsync::spawn(
                ctx,
                [&]
                {
                    this_fiber::sleep_for(never, first);
                    this_fiber::sleep_for(1ms, second);
                },
                asio::bind_cancellation_slot(signal.slot(), asio::detached));
            ctx.poll();
            if (from_thread)
                std::thread([&] { signal.emit(type); }).join();
            else
                signal.emit(type);
            ctx.restart();
            ctx.run_for(60s);
            BOOST_TEST((first == operation_aborted));
            BOOST_TEST(!second);
        }
}

BOOST_AUTO_TEST_CASE(a_request_is_terminal_in_the_slot_of_what_is_awaited)
{
    run_on_fiber(
        [](fiber_context& ctx)
        {
            cancellation_type asked{};
            error_code ec;
            fiber one(ctx, [&] { async_never(asked, cancellation_type::terminal, use_await[ec]); });
            this_fiber::yield();
            one.request_cancel();
            one.join();
            BOOST_TEST((ec == operation_aborted));
            BOOST_TEST((asked == cancellation_type::terminal));
        });
}

BOOST_AUTO_TEST_CASE(a_bound_slot_works_beside_requests)
{
    run_on_fiber(
        [](fiber_context& ctx)
        {
            for (const auto type : {cancellation_type::terminal, cancellation_type::partial, cancellation_type::total})
            {
                asio::cancellation_signal signal;
                cancellation_type asked{};
                error_code ec, after;
                bool requested = true;
                fiber one(ctx,
                          [&]
                          {
                              async_never(asked, type, asio::bind_cancellation_slot(signal.slot(), use_await[ec]));
                              requested = this_fiber::cancellation().requested;
                              this_fiber::sleep_for(1ms, after);
                          });
                this_fiber::yield();
                signal.emit(type);
                one.join();
                BOOST_TEST((ec == operation_aborted));
                BOOST_TEST((asked == type)); // as it was emitted
                BOOST_TEST(!requested);
                BOOST_TEST(!after);
                signal.emit(type); // to nobody
            }

            asio::cancellation_signal unused;
            cancellation_type asked{};
            std::tuple<error_code> result;
            fiber one(ctx,
                      [&]
                      {
                          result = async_never(asked, cancellation_type::terminal,
                                               asio::bind_cancellation_slot(unused.slot(), asio::as_tuple(use_await)));
                      });
            this_fiber::yield();
            one.request_cancel();
            one.join();
            BOOST_TEST((std::get<0>(result) == operation_aborted));
        });
}

BOOST_AUTO_TEST_CASE(a_wait_for_a_context_that_runs_below_is_refused)
{
    // An io_context, below the fiber's loop.
    asio::io_context outer;
    asio::steady_timer timer(outer, never);
    error_code of_fiber, bounded;
    asio::post(outer,
               [&]
               {
                   fiber_context inner;
                   zsync::spawn(
                       inner, [&] { timer.async_wait(use_await[of_fiber]); }, asio::detached);
                   inner.run();
                   // A run that returns by itself lets what is below go on.
                   zsync::spawn(
                       inner, [&] { timer.async_wait(use_await[bounded]); }, asio::detached);
                   inner.restart();
                   inner.poll();
                   timer.cancel();
                   outer.poll();
                   inner.run();
               });
    outer.run();
    BOOST_TEST((of_fiber == deadlock));
    BOOST_TEST((bounded == operation_aborted));

    // A fiber_context, below another's.
    run_on_fiber(
        [&](fiber_context& below)
        {
            error_code of_join, of_timer;
            fiber child(below, [] { this_fiber::sleep_for(never); });
            asio::steady_timer theirs(below, never);
            fiber_context inner;
            zsync::spawn(
                inner,
                [&]
                {
                    of_join = error_of([&] { child.join(); });
                    theirs.async_wait(use_await[of_timer]);
                },
                asio::detached);
            inner.run();
            BOOST_TEST((of_join == deadlock));
            BOOST_TEST((of_timer == deadlock));
            BOOST_TEST(child.joinable());
        });
}

BOOST_AUTO_TEST_CASE(fibers_start_on_the_executors_of_io_objects)
{
    fiber_context ctx;
    asio::steady_timer timer(ctx, 1ms);
    asio::any_io_executor executor = timer.get_executor();
    int done = 0;
    zsync::spawn(
        executor,
        [&]
        {
            timer.async_wait(use_await);
            ++done;
        },
        asio::detached);
    zsync::spawn(
        asio::any_io_executor(asio::prefer(executor, asio::execution::outstanding_work.tracked)), [&] { ++done; },
        asio::detached);

    int inside = 0;
    const auto exclusive = [&]
    {
        for (int i = 0; i < 10; ++i)
        {
            BOOST_TEST(inside++ == 0);
            --inside;
            this_fiber::yield();
        }
        ++done;
    };
    for (const asio::any_io_executor& strand : {asio::any_io_executor(asio::make_strand(ctx.get_executor())),
                                                asio::any_io_executor(asio::make_strand(executor))})
    {
        zsync::spawn(strand, exclusive, asio::detached);
        zsync::spawn(strand, exclusive, asio::detached);
        asio::post(strand, [&] { BOOST_TEST(inside == 0); });
    }
    ctx.run_for(60s);
    BOOST_TEST(done == 6);

    asio::io_context other;
    for (const asio::any_io_executor& none : {asio::any_io_executor(), asio::any_io_executor(other.get_executor())})
        BOOST_TEST((error_of(
                        [&]
                        {
                            zsync::spawn(
                                none, [] {}, asio::detached);
                        }) == make_error_code(boost::system::errc::operation_not_supported)));
}

BOOST_AUTO_TEST_CASE(a_result_without_a_default_comes_in_an_optional)
{
    struct number
    {
        explicit number(int v) : value(v) {}
        int value;
    };
    run_on_fiber(
        [](fiber_context& ctx)
        {
            const std::optional<number> good = zsync::spawn(
                ctx, [] { return number(7); }, use_await);
            BOOST_TEST(good.value().value == 7);
            BOOST_CHECK_THROW(zsync::spawn(
                                  ctx, []() -> number { throw std::string("none"); }, use_await),
                              std::string);
        });
}

BOOST_AUTO_TEST_SUITE_END()
