// SPDX-License-Identifier: BSL-1.0
// The traps of running Asio's objects and waiting code on one thread.
#include <zsync/fiber/fiber_context.hpp>

#include <zsync/core/use_await.hpp>
#include <zsync/fiber/spawn.hpp>
#include <zsync/fiber/this_fiber.hpp>

#include "fiber/both_engines.hpp"
#include "fiber/run_all.hpp"
#include "fiber/running.hpp"

#include <boost/asio.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <sys/socket.h>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using boost::system::error_code;
using test::both_engines;
using test::patience;
using test::run_all;
using test::wait_for_ever;
using zsync::engine_kind;
using zsync::fiber_context;
using zsync::use_await;

namespace
{

const error_code deadlock = make_error_code(boost::system::errc::resource_deadlock_would_occur);

/// Waits until something else has run.
void pass(fiber_context& ctx)
{
    asio::post(ctx, use_await);
}

struct count_at_exit
{
    int& count;
    ~count_at_exit() { ++count; }
};

/// Runs functions at once, wherever it is: handlers that are bound to it run below Asio's frames.
struct immediate_executor
{
    asio::execution_context* of;

    asio::execution_context& query(asio::execution::context_t) const noexcept { return *of; }
    static constexpr asio::execution::blocking_t::always_t query(asio::execution::blocking_t) noexcept { return {}; }
    bool operator==(const immediate_executor&) const noexcept = default;

    template <class Function>
    void execute(Function&& function) const
    {
        std::decay_t<Function>(std::forward<Function>(function))();
    }
};

/// How a function came to run.
enum class from
{
    posted_function,
    stock_handler
};

std::ostream& operator<<(std::ostream& out, from where)
{
    return out << (where == from::posted_function ? "posted function" : "stock handler");
}

const auto both_origins = boost::unit_test::data::make({from::posted_function, from::stock_handler});

/// Has a function run on the context, from a posted function or from the handler of a stock timer.
template <class Function>
void start(fiber_context& ctx, from where, Function function)
{
    if (where == from::posted_function)
    {
        asio::post(ctx, std::move(function));
        return;
    }
    auto timer = std::make_shared<asio::steady_timer>(ctx, 1us);
    timer->async_wait([timer, function = std::move(function)](error_code) mutable { function(); });
}

} // namespace

BOOST_AUTO_TEST_SUITE(fiber_hosting)

BOOST_DATA_TEST_CASE(what_was_posted_before_a_wait_runs_during_it, both_origins, origin)
{
    fiber_context ctx;
    bool posted = false;
    bool seen = false;
    start(ctx, origin,
          [&]
          {
              asio::steady_timer timer(ctx, asio::steady_timer::time_point::max());
              asio::post(ctx, [&] { posted = true, timer.cancel(); });
              error_code ec;
              timer.async_wait(use_await[ec]);
              seen = posted && ec == asio::error::operation_aborted;
          });
    BOOST_TEST(run_all(ctx));
    BOOST_TEST(seen);
}

BOOST_DATA_TEST_CASE(what_was_deferred_before_a_wait_runs_during_it, both_origins, origin)
{
    fiber_context ctx;
    bool seen = false;
    start(ctx, origin,
          [&]
          {
              bool deferred = false;
              asio::steady_timer timer(ctx, asio::steady_timer::time_point::max());
              asio::defer(ctx, [&] { deferred = true, timer.cancel(); });
              error_code ec;
              timer.async_wait(use_await[ec]);
              seen = deferred;
          });
    BOOST_TEST(run_all(ctx));
    BOOST_TEST(seen);
}

BOOST_DATA_TEST_CASE(many_functions_wait_at_once_and_all_come_back, both_origins, origin)
{
    fiber_context ctx;
    int back = 0;
    for (int i = 0; i < 200; ++i)
        start(ctx, origin,
              [&, i]
              {
                  asio::steady_timer timer(ctx, std::chrono::microseconds(i % 7 * 100));
                  timer.async_wait(use_await);
                  pass(ctx);
                  ++back;
              });
    BOOST_TEST(run_all(ctx));
    BOOST_TEST(back == 200);
}

BOOST_AUTO_TEST_CASE(a_wait_inside_a_plain_strand_handler_is_refused)
{
    fiber_context ctx;
    auto strand = asio::make_strand(ctx.get_executor());
    error_code posted;
    error_code dispatched;
    error_code yielded;
    bool waits_after = false;
    asio::post(strand, [&] { asio::post(ctx, use_await[posted]); });
    asio::post(ctx,
               [&]
               {
                   asio::dispatch(strand, [&] { asio::post(ctx, use_await[dispatched]); });
                   pass(ctx);
                   waits_after = true;
               });
    asio::post(strand,
               [&]
               {
                   try
                   {
                       zsync::this_fiber::yield();
                   }
                   catch (const boost::system::system_error& e)
                   {
                       yielded = e.code();
                   }
               });
    BOOST_TEST(run_all(ctx));
    BOOST_TEST(posted == deadlock);
    BOOST_TEST(dispatched == deadlock);
    BOOST_TEST(yielded == deadlock);
    BOOST_TEST(waits_after);
}

BOOST_AUTO_TEST_CASE(a_fiber_in_a_strand_excludes_others_between_two_waits_only)
{
    fiber_context ctx;
    auto strand = asio::make_strand(ctx.get_executor());
    bool inside = false;
    int others = 0;
    int others_while_waiting = 0;
    bool violated = false;
    bool knows_strand = true;
    for (int i = 0; i < 10; ++i)
        zsync::spawn(
            strand,
            [&]
            {
                for (int round = 0; round < 10; ++round)
                {
                    violated = violated || std::exchange(inside, true);
                    knows_strand = knows_strand && strand.running_in_this_thread();
                    asio::post(strand, [&] { violated = violated || inside, ++others; });
                    asio::dispatch(ctx, [&] { violated = violated || !inside; });
                    const int before = others;
                    inside = false;
                    pass(ctx);
                    zsync::this_fiber::yield();
                    others_while_waiting += others - before;
                    knows_strand = knows_strand && strand.running_in_this_thread();
                }
            },
            asio::detached);
    bool outside = true;
    asio::post(ctx, [&] { outside = strand.running_in_this_thread(); });
    BOOST_TEST(run_all(ctx));
    BOOST_TEST(!violated);
    BOOST_TEST(knows_strand);
    BOOST_TEST(!outside);
    BOOST_TEST(others == 100);
    BOOST_TEST(others_while_waiting > 0);
}

BOOST_AUTO_TEST_CASE(in_a_slice_of_a_strand_another_strand_may_not_wait)
{
    fiber_context ctx;
    auto mine = asio::make_strand(ctx.get_executor());
    auto other = asio::make_strand(ctx.get_executor());
    error_code inside;
    error_code after = asio::error::fault;
    error_code nested;
    zsync::spawn(
        mine,
        [&]
        {
            asio::dispatch(other, [&] { asio::post(ctx, use_await[inside]); });
            asio::io_context own;
            asio::post(own, [&] { asio::post(ctx, use_await[nested]); });
            own.run();
            asio::post(ctx, use_await[after]);
        },
        asio::detached);
    BOOST_TEST(run_all(ctx));
    BOOST_TEST(inside == deadlock);
    BOOST_TEST(nested == deadlock);
    BOOST_TEST(after == error_code());
}

BOOST_AUTO_TEST_CASE(handlers_of_a_private_io_context_may_wait)
{
    fiber_context ctx;
    int together = 0;
    int most = 0;
    int dispatched = 0;
    bool knows = true;
    for (int i = 0; i < 4; ++i)
        zsync::spawn(
            ctx,
            [&]
            {
                asio::io_context own;
                auto strand = asio::make_strand(own);
                asio::post(own,
                           [&]
                           {
                               most = std::max(most, ++together);
                               pass(ctx);
                               zsync::this_fiber::yield();
                               --together;
                               knows = knows && own.get_executor().running_in_this_thread();
                               bool inline_ = false;
                               asio::dispatch(own, [&] { inline_ = true, ++dispatched; });
                               knows = knows && inline_;
                           });
                asio::post(strand, [&] { knows = knows && strand.running_in_this_thread(); });
                own.run();
                knows = knows && !own.get_executor().running_in_this_thread();
            },
            asio::detached);
    BOOST_TEST(run_all(ctx));
    BOOST_TEST(knows);
    BOOST_TEST(dispatched == 4);
    BOOST_TEST(most == 4);
}

BOOST_AUTO_TEST_CASE(a_wait_below_a_handler_of_a_stock_object_is_refused)
{
    fiber_context ctx;
    error_code first;
    error_code second;
    error_code after = asio::error::fault;
    bool posted = false;
    asio::steady_timer a(ctx, 1us);
    asio::steady_timer b(ctx, 1us);
    a.async_wait(asio::bind_executor(immediate_executor{&ctx},
                                     [&](error_code)
                                     {
                                         asio::post(ctx, use_await[first]);
                                         asio::dispatch(ctx, [&] { asio::post(ctx, use_await[after]); });
                                         posted = after == asio::error::fault;
                                     }));
    b.async_wait(asio::bind_executor(asio::system_executor(), [&](error_code) { asio::post(ctx, use_await[second]); }));
    BOOST_TEST(run_all(ctx));
    BOOST_TEST(first == deadlock);
    BOOST_TEST(second == deadlock);
    BOOST_TEST(posted);
    BOOST_TEST(after == error_code());
}

BOOST_DATA_TEST_CASE(an_exception_after_a_wait_reaches_run, both_origins, origin)
{
    fiber_context ctx;
    int later = 0;
    start(ctx, origin,
          [&]
          {
              asio::steady_timer(ctx, 100us).async_wait(use_await);
              throw std::runtime_error("after a wait");
          });
    BOOST_CHECK_THROW(ctx.run_for(patience), std::runtime_error);
    BOOST_TEST(!ctx.stopped());
    for (int i = 0; i < 3; ++i)
        start(ctx, origin, [&] { pass(ctx), ++later; });
    BOOST_TEST(run_all(ctx));
    BOOST_TEST(later == 3);
}

BOOST_AUTO_TEST_CASE(exceptions_of_stock_handlers_and_completions_reach_run)
{
    fiber_context ctx;
    asio::steady_timer timer(ctx, 1us);
    timer.async_wait(asio::bind_executor(immediate_executor{&ctx}, [](error_code) { throw 1; }));
    BOOST_CHECK_THROW(ctx.run_for(patience), int);
    zsync::spawn(
        ctx, [&] { pass(ctx); }, [](std::exception_ptr) { throw 2L; });
    BOOST_CHECK_THROW(ctx.run_for(patience), long);
    BOOST_TEST(run_all(ctx));
    BOOST_TEST(ctx.fibers_alive() == 0u);
}

BOOST_AUTO_TEST_CASE(exceptions_are_kept_apart_across_waits)
{
    fiber_context ctx;
    int right = 0;
    const auto body = [&](int number)
    {
        try
        {
            throw number;
        }
        catch (int caught)
        {
            pass(ctx);
            try
            {
                throw std::to_string(number);
            }
            catch (const std::string& inner)
            {
                zsync::this_fiber::yield();
                right += inner == std::to_string(number) && std::uncaught_exceptions() == 0;
            }
            pass(ctx);
            right += caught == number;
            try
            {
                throw;
            }
            catch (int again)
            {
                right += again == number;
            }
            try
            {
                std::rethrow_exception(std::current_exception());
            }
            catch (int again)
            {
                right += again == number;
            }
        }
        right += !std::current_exception();
    };
    for (int i = 0; i < 20; ++i)
        if (i % 2)
            zsync::spawn(
                ctx, [=] { body(i); }, asio::detached);
        else
            asio::post(ctx, [=] { body(i); });
    // run() itself is called with an exception in hand.
    try
    {
        throw 'x';
    }
    catch (char)
    {
        BOOST_TEST(run_all(ctx));
        BOOST_CHECK_THROW(throw, char);
    }
    BOOST_TEST(right == 100);
    BOOST_TEST(!std::current_exception());
}

BOOST_AUTO_TEST_CASE(destructors_wait_while_an_exception_is_thrown)
{
    fiber_context ctx;
    int right = 0;
    struct waits
    {
        fiber_context& ctx;
        int& right;
        ~waits()
        {
            pass(ctx);
            right += std::uncaught_exceptions() == 1;
        }
    };
    for (int i = 0; i < 4; ++i)
        zsync::spawn(
            ctx,
            [&, i]
            {
                try
                {
                    waits guard{ctx, right};
                    throw i;
                }
                catch (int caught)
                {
                    right += caught == i && std::uncaught_exceptions() == 0;
                }
            },
            asio::detached);
    int none = 0;
    asio::post(ctx, [&] { none = std::uncaught_exceptions(); });
    BOOST_TEST(run_all(ctx));
    BOOST_TEST(right == 8);
    BOOST_TEST(none == 0);
}

BOOST_AUTO_TEST_CASE(stock_objects_that_are_always_ready_starve_nobody)
{
    // Each read completes at once, so that Asio's scheduler always has a handler to run.
    for (const bool below_asio : {false, true})
    {
        fiber_context ctx;
        int ends[2];
        BOOST_REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
        asio::local::stream_protocol::socket in(ctx, asio::local::stream_protocol(), ends[0]);
        asio::local::stream_protocol::socket out(ctx, asio::local::stream_protocol(), ends[1]);
        asio::steady_timer timer(ctx, 1ms);
        bool fired = false;
        bool posted = false;
        timer.async_wait([&](error_code) { fired = true; });
        char byte = 'x';
        asio::write(out, asio::buffer(&byte, 1));
        const auto end = std::chrono::steady_clock::now() + 5s;
        std::function<void(error_code, std::size_t)> next = [&](error_code, std::size_t)
        {
            asio::write(out, asio::buffer(&byte, 1));
            if ((fired && posted) || std::chrono::steady_clock::now() > end)
                return;
            if (below_asio)
                in.async_read_some(asio::buffer(&byte, 1), asio::bind_executor(immediate_executor{&ctx}, next));
            else
                in.async_read_some(asio::buffer(&byte, 1), next);
        };
        next({}, 0);
        asio::post(ctx, [&] { pass(ctx), posted = true; });
        BOOST_TEST(run_all(ctx));
        BOOST_TEST(fired);
        BOOST_TEST(posted);
    }
}

BOOST_AUTO_TEST_SUITE_END()

namespace
{

} // namespace

BOOST_AUTO_TEST_SUITE(fiber_adoption)

BOOST_DATA_TEST_CASE(another_thread_goes_on_with_what_waits, both_engines, engine)
{
    const auto ctx = test::make_on(engine);
    if (!ctx)
        return;
    int ends[2];
    BOOST_REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    asio::local::stream_protocol::socket in(*ctx, asio::local::stream_protocol(), ends[0]);
    asio::local::stream_protocol::socket out(*ctx, asio::local::stream_protocol(), ends[1]);
    asio::steady_timer timer(*ctx, asio::steady_timer::time_point::max());
    auto strand = asio::make_strand(ctx->get_executor());
    int back = 0;
    bool same_exception = false;
    bool new_thread = true;
    std::thread::id second;
    const auto check = [&] { new_thread = new_thread && std::this_thread::get_id() == second, ++back; };

    zsync::spawn(
        *ctx,
        [&]
        {
            char byte = 0;
            try
            {
                throw 7;
            }
            catch (int)
            {
                in.async_read_some(asio::buffer(&byte, 1), use_await);
                try
                {
                    throw;
                }
                catch (int seven)
                {
                    same_exception = seven == 7 && byte == 'x';
                }
            }
            check();
        },
        asio::detached);
    const auto wait_for_timer = [&]
    {
        error_code ec;
        timer.async_wait(use_await[ec]);
        check();
    };
    asio::post(*ctx, wait_for_timer);
    zsync::spawn(strand, wait_for_timer, asio::detached);
    zsync::spawn(
        *ctx,
        [&]
        {
            asio::io_context own;
            asio::post(own, [&] { wait_for_timer(), back += own.get_executor().running_in_this_thread(); });
            own.run();
        },
        asio::detached);

    std::thread([&] { ctx->poll(); }).join();
    BOOST_TEST(back == 0);
    BOOST_TEST(!ctx->stopped());
    std::thread(
        [&]
        {
            second = std::this_thread::get_id();
            timer.cancel();
            asio::write(out, asio::buffer("x", 1));
            run_all(*ctx);
        })
        .join();
    BOOST_TEST(ctx->stopped());
    BOOST_TEST(back == 5);
    BOOST_TEST(same_exception);
    BOOST_TEST(new_thread);
    // And once more, on this one.
    asio::post(*ctx, [&] { pass(*ctx), ++back; });
    BOOST_TEST(run_all(*ctx));
    BOOST_TEST(back == 6);
}

BOOST_DATA_TEST_CASE(destruction_on_another_thread_unwinds_every_fiber, both_engines, engine)
{
    auto ctx = test::make_on(engine);
    if (!ctx)
        return;
    std::optional strand(asio::make_strand(ctx->get_executor()));
    int unwound = 0;
    int handlers = 0;
    int never = 0;
    const auto wait = [&, &ctx = *ctx]
    {
        count_at_exit frame{unwound};
        try
        {
            wait_for_ever(ctx);
        }
        catch (...)
        {
            ++unwound;
            throw;
        }
        ++never;
    };
    for (int i = 0; i < 3; ++i)
    {
        zsync::spawn(*ctx, wait, [&](std::exception_ptr) { ++handlers; });
        zsync::spawn(*strand, wait, [&](std::exception_ptr) { ++handlers; });
        asio::post(*ctx, wait);
    }
    ctx->poll();
    // Not started: their functions are destroyed.
    const auto held = std::make_shared<int>();
    asio::post(*ctx, [&, held] { ++never; });
    zsync::spawn(
        *ctx, [&, held] { ++never; }, [&](std::exception_ptr) { ++handlers; });
    zsync::spawn(
        *strand, [&, held] { ++never; }, [&](std::exception_ptr) { ++handlers; });
    asio::post(*strand, [&, held] { ++never; });
    BOOST_TEST(held.use_count() == 5);
    strand.reset();
    std::thread([&] { ctx.reset(); }).join();
    BOOST_TEST(unwound == 18);
    BOOST_TEST(held.use_count() == 1);
    BOOST_TEST(handlers == 0);
    BOOST_TEST(never == 0);
}

BOOST_AUTO_TEST_CASE(fibers_that_were_made_but_never_switched_to_are_destroyed)
{
    int never = 0;
    const auto held = std::make_shared<int>();
    {
        fiber_context ctx;
        auto strand = asio::make_strand(ctx.get_executor());
        asio::post(ctx,
                   [&]
                   {
                       zsync::spawn(
                           ctx, [&, held] { ++never; }, asio::detached);
                       zsync::spawn(
                           strand, [&, held] { ++never; }, asio::detached);
                   });
        BOOST_TEST(ctx.run_one() == 1u);
        BOOST_TEST(ctx.fibers_alive() == 2u);
    }
    BOOST_TEST(held.use_count() == 1);
    BOOST_TEST(never == 0);
}

BOOST_AUTO_TEST_CASE(unwinding_that_was_swallowed_comes_again)
{
    int unwound = 0;
    int swallowed = 0;
    int handlers = 0;
    int named = 0;
    {
        zsync::fiber_options options;
        options.on_swallowed_unwind = [&](auto...) { ++named; };
        fiber_context ctx(options);
        const auto swallow_once = [&]
        {
            count_at_exit frame{unwound};
            try
            {
                wait_for_ever(ctx);
            }
            catch (...)
            {
                ++swallowed;
            }
            wait_for_ever(ctx);
            ++handlers; // not reached
        };
        const auto swallow_all = [&]
        {
            count_at_exit frame{unwound};
            try
            {
                wait_for_ever(ctx);
            }
            catch (...)
            {
                ++swallowed;
            }
        };
        for (const auto& body : {std::function<void()>(swallow_once), std::function<void()>(swallow_all)})
        {
            zsync::spawn(ctx, body, [&](std::exception_ptr) { ++handlers; });
            zsync::spawn(asio::make_strand(ctx.get_executor()), body, [&](std::exception_ptr) { ++handlers; });
            asio::post(ctx, body);
        }
        ctx.poll();
    }
    BOOST_TEST(unwound == 6);
    BOOST_TEST(swallowed == 6);
    BOOST_TEST(named == 6);
    BOOST_TEST(handlers == 0); // of a context that is being destroyed no handler is called
}

BOOST_AUTO_TEST_CASE(an_exception_in_place_of_the_unwinding_stops_no_other)
{
    int unwound = 0;
    {
        zsync::fiber_options options;
        options.on_swallowed_unwind = [](auto...) {};
        fiber_context ctx(options);
        const auto body = [&]
        {
            count_at_exit frame{unwound};
            try
            {
                wait_for_ever(ctx);
            }
            catch (...)
            {
                throw std::runtime_error("instead");
            }
        };
        for (int i = 0; i < 3; ++i)
        {
            asio::post(ctx, body);
            zsync::spawn(ctx, body, asio::detached);
        }
        ctx.poll();
    }
    BOOST_TEST(unwound == 6);
}

BOOST_AUTO_TEST_CASE(a_wait_in_a_destructor_ends_at_once_while_the_fiber_unwinds)
{
    int aborted = 0;
    {
        fiber_context ctx;
        struct waits
        {
            fiber_context& ctx;
            int& aborted;
            ~waits()
            {
                asio::steady_timer never(ctx, asio::steady_timer::time_point::max());
                error_code ec;
                never.async_wait(use_await[ec]);
                aborted += ec == asio::error::operation_aborted;
            }
        };
        const auto body = [&]
        {
            waits outer{ctx, aborted};
            waits inner{ctx, aborted};
            wait_for_ever(ctx);
        };
        zsync::spawn(ctx, body, asio::detached);
        zsync::spawn(asio::make_strand(ctx.get_executor()), body, asio::detached);
        asio::post(ctx, body);
        ctx.poll();
    }
    BOOST_TEST(aborted == 6);
}

BOOST_AUTO_TEST_CASE(frames_that_unwind_may_use_the_context)
{
    int unwound = 0;
    int never = 0;
    {
        fiber_context ctx;
        auto strand = asio::make_strand(ctx.get_executor());
        struct uses
        {
            fiber_context& ctx;
            decltype(strand) in;
            int& unwound;
            int& never;
            ~uses()
            {
                // What held the strand for the last slice is long gone.
                unwound += !in.running_in_this_thread();
                asio::dispatch(in, [&unwound = unwound] { ++unwound; }); // at once, as ever
                asio::post(ctx, [&never = never] { ++never; });
                zsync::spawn(
                    ctx, [&never = never] { ++never; }, asio::detached);
                zsync::spawn(
                    in, [&never = never] { ++never; }, asio::detached);
            }
        };
        const auto body = [&, strand]
        {
            const uses frame{ctx, strand, unwound, never};
            wait_for_ever(ctx);
        };
        zsync::spawn(ctx, body, asio::detached);
        zsync::spawn(strand, body, asio::detached);
        asio::post(ctx, body);
        ctx.poll();
        // Overwrites what the slices have left on the stack of the loop.
        asio::post(ctx,
                   []
                   {
                       volatile char junk[32 * 1024];
                       for (std::size_t i = 0; i < sizeof junk; ++i)
                           junk[i] = 0x55;
                   });
        ctx.poll();
    }
    BOOST_TEST(unwound == 6);
    BOOST_TEST(never == 0);
}

BOOST_AUTO_TEST_CASE(a_signal_that_is_gone_is_not_touched_by_destruction)
{
    bool called = false;
    {
        fiber_context ctx;
        asio::cancellation_signal signal;
        zsync::spawn(
            ctx, [&] { wait_for_ever(ctx); },
            asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr) { called = true; }));
        ctx.poll();
    } // the signal first
    BOOST_TEST(!called);
}

BOOST_AUTO_TEST_CASE(destruction_waits_for_operations_of_other_contexts)
{
    test::running<asio::io_context> other;
    int unwound = 0;
    {
        fiber_context ctx;
        asio::steady_timer theirs(other.context, asio::steady_timer::time_point::max());
        zsync::spawn(
            ctx,
            [&]
            {
                count_at_exit frame{unwound};
                theirs.async_wait(use_await);
            },
            asio::detached);
        ctx.poll();
        BOOST_TEST(ctx.fibers_alive() == 1u);
        std::optional<fiber_context> unused(std::in_place); // two side by side
    }
    BOOST_TEST(unwound == 1);
}

BOOST_AUTO_TEST_SUITE_END()
