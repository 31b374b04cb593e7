// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/blocking/blocking_context.hpp>
#include <zsync/core/agent.hpp>
#include <zsync/core/error.hpp>
#include <zsync/fiber/fiber_context.hpp>
#include <zsync/fiber/spawn.hpp>

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <thread>

/// What holds of every wait, whatever is waited for.
namespace test
{

namespace asio = boost::asio;
using namespace std::chrono_literals;
using boost::system::error_code;
using time_point = std::chrono::steady_clock::time_point;

constexpr auto patience = 20s;
inline const error_code aborted = asio::error::operation_aborted;
inline const error_code timed_out = zsync::error::timed_out;
inline const error_code deadlock = make_error_code(boost::system::errc::resource_deadlock_would_occur);

/// A handler that tells its error: what remains of any handler's arguments.
using plain_handler = std::function<void(error_code)>;

/// Something to wait for, in a state in which one has to wait. Each wait leaves it as if it had not been.
struct awaited
{
    virtual ~awaited() = default;
    virtual void wait(error_code& ec) = 0;
    virtual void wait_until(time_point deadline, error_code& ec) = 0;
    virtual void async_wait(asio::any_io_executor on, asio::cancellation_slot slot, plain_handler handler) = 0;
    virtual void wake() = 0; // the one that waits, or has waited longest
};

/// A context for a thread of its own. Over epoll: liburing unmaps a ring behind ThreadSanitizer's back, which takes the
/// next thread's ring at the same address for the same.
struct other_fibers : zsync::fiber_context
{
    other_fibers() : zsync::fiber_context(zsync::fiber_options{.engine = zsync::engine_kind::reactor}) {}
};

/// Binds what an asynchronous wait needs.
template <class Handler>
auto bound(const asio::any_io_executor& on, const asio::cancellation_slot& slot, Handler handler)
{
    return asio::bind_cancellation_slot(slot, asio::bind_executor(on, std::move(handler)));
}

/// Runs a context out of work. On several threads at once: Boost.Test's macros are for one.
template <class Context>
bool runs_out(Context& ctx)
{
    ctx.restart();
    ctx.run_for(patience);
    return ctx.stopped();
}

template <class Context>
void run_all(Context& ctx)
{
    BOOST_TEST(runs_out(ctx));
}

/// Waits until something holds that another thread does.
template <class Condition>
bool eventually(Condition condition)
{
    const auto end = std::chrono::steady_clock::now() + patience;
    while (!condition())
    {
        if (std::chrono::steady_clock::now() > end)
            return false;
        std::this_thread::yield();
    }
    return true;
}

/// The agent's cases, on a context whose functions may wait.
template <class Context, class Awaited>
void agent_cases()
{
    error_code ec = aborted;
    { // woken by another function
        Awaited what;
        Context ctx;
        asio::post(ctx, [&] { what.wait(ec); });
        asio::post(ctx, [&] { what.wake(); });
        run_all(ctx);
        BOOST_TEST(!ec, ec.message());
    }
    { // woken by another thread, at whatever time
        for (int i = 0; i < 50; ++i)
        {
            Awaited what;
            Context ctx;
            std::thread other;
            ec = aborted;
            asio::post(ctx,
                       [&]
                       {
                           other = std::thread([&] { what.wake(); });
                           what.wait(ec);
                       });
            run_all(ctx);
            other.join();
            BOOST_TEST(!ec, ec.message());
        }
    }
    { // cancelled before: at once, and only once
        Awaited what;
        Context ctx;
        error_code second = aborted;
        asio::post(ctx,
                   [&]
                   {
                       zsync::agent::current().cancellation().request();
                       what.wait(ec);
                       what.wait(second);
                   });
        asio::post(ctx, [&] { what.wake(); });
        run_all(ctx);
        BOOST_TEST(ec == aborted);
        BOOST_TEST(!second, second.message());
    }
    { // cancelled while it waits, and nothing is lost to it
        Awaited what;
        Context ctx;
        zsync::agent* waiting = nullptr;
        error_code second = aborted;
        asio::post(ctx,
                   [&]
                   {
                       waiting = &zsync::agent::current();
                       ec.clear();
                       what.wait(ec);
                       what.wait(second);
                   });
        asio::post(ctx, [&] { waiting->cancellation().request(); });
        asio::post(ctx, [&] { asio::post(ctx, [&] { asio::post(ctx, [&] { what.wake(); }); }); });
        run_all(ctx);
        BOOST_TEST(ec == aborted);
        BOOST_TEST(!second, second.message());
    }
    { // woken, then cancelled before it has gone on: it has what it waited for, and the request is still to come
        Awaited what;
        Context ctx;
        zsync::agent* waiting = nullptr;
        bool pending = false;
        asio::post(ctx,
                   [&]
                   {
                       waiting = &zsync::agent::current();
                       what.wait(ec);
                       pending = waiting->cancellation().due();
                   });
        asio::post(ctx,
                   [&]
                   {
                       what.wake();
                       waiting->cancellation().request();
                   });
        run_all(ctx);
        BOOST_TEST(!ec, ec.message());
        BOOST_TEST(pending);
    }
    { // a deadline: passed already, to come, never; nothing is lost to it
        Awaited what;
        Context ctx;
        error_code passed;
        error_code soon;
        error_code never = aborted;
        asio::post(ctx,
                   [&]
                   {
                       const auto now = std::chrono::steady_clock::now();
                       what.wait_until(now - 1s, passed);
                       what.wait_until(now + 2ms, soon);
                       BOOST_TEST((std::chrono::steady_clock::now() >= now + 2ms));
                       asio::post(ctx, [&] { what.wake(); });
                       what.wait_until(time_point::max(), never);
                   });
        run_all(ctx);
        BOOST_TEST(passed == timed_out);
        BOOST_TEST(soon == timed_out);
        BOOST_TEST(!never, never.message());
    }
    { // in time; and a deadline that passes between the wake-up and the return changes nothing
        Awaited what;
        Context ctx;
        error_code late = aborted;
        asio::post(ctx,
                   [&]
                   {
                       what.wait_until(std::chrono::steady_clock::now() + patience, ec);
                       const auto until = std::chrono::steady_clock::now() + 1ms;
                       asio::post(ctx,
                                  [&, until]
                                  {
                                      what.wake();
                                      while (std::chrono::steady_clock::now() < until)
                                          std::this_thread::yield();
                                  });
                       what.wait_until(until, late);
                       if (late) // the context has looked at the clock before it ran the function
                           what.wait(ec);
                   });
        asio::post(ctx, [&] { what.wake(); });
        run_all(ctx);
        BOOST_TEST(!ec, ec.message());
        BOOST_TEST((!late || late == timed_out));
    }
    { // cancelled while it waits for a time
        Awaited what;
        Context ctx;
        zsync::agent* waiting = nullptr;
        asio::post(ctx,
                   [&]
                   {
                       waiting = &zsync::agent::current();
                       what.wait_until(std::chrono::steady_clock::now() + patience, ec);
                   });
        asio::post(ctx, [&] { waiting->cancellation().request(); });
        run_all(ctx);
        BOOST_TEST(ec == aborted);
    }
}

/// What only a fiber can meet.
template <class Awaited>
void fiber_cases()
{
    { // its context is destroyed: it unwinds
        Awaited what;
        bool unwound = false;
        error_code ec;
        {
            zsync::fiber_context ctx;
            zsync::spawn(
                ctx,
                [&]
                {
                    try
                    {
                        what.wait(ec);
                    }
                    catch (const zsync::fiber_unwind&)
                    {
                        unwound = true;
                        throw;
                    }
                },
                asio::detached);
            ctx.poll();
        }
        BOOST_TEST(unwound);
    }
    { // below a handler that must return first
        Awaited what;
        zsync::fiber_context ctx;
        auto strand = asio::make_strand(ctx.get_executor());
        error_code ec;
        asio::post(strand, [&] { what.wait(ec); });
        run_all(ctx);
        BOOST_TEST(ec == deadlock);
    }
}

template <class Awaited>
void thread_cases()
{
    error_code ec = aborted;
    { // woken
        Awaited what;
        std::thread other([&] { what.wake(); });
        what.wait(ec);
        other.join();
        BOOST_TEST(!ec, ec.message());
    }
    { // cancelled before
        Awaited what;
        std::thread(
            [&]
            {
                zsync::agent::current().cancellation().request();
                what.wait(ec);
            })
            .join();
        BOOST_TEST(ec == aborted);
    }
    { // a deadline
        Awaited what;
        what.wait_until(std::chrono::steady_clock::now() + 2ms, ec);
        BOOST_TEST(ec == timed_out);
        std::thread other([&] { what.wake(); });
        what.wait_until(std::chrono::steady_clock::now() + patience, ec);
        other.join();
        BOOST_TEST(!ec, ec.message());
    }
}

template <class Context, class Awaited>
void handler_cases()
{
    std::optional<error_code> told;
    const auto tell = [&](error_code ec) { told = ec; };
    { // woken; never called inside what wakes it; the wait keeps the context running
        Awaited what;
        Context ctx;
        asio::post(ctx,
                   [&]
                   {
                       what.async_wait(ctx.get_executor(), {}, tell);
                       what.wake();
                       BOOST_TEST(!told);
                   });
        run_all(ctx);
        BOOST_TEST((told && !*told));
    }
    { // woken by another thread, while the context has nothing else to do
        Awaited what;
        Context ctx;
        told.reset();
        std::thread other;
        asio::post(ctx,
                   [&]
                   {
                       what.async_wait(ctx.get_executor(), {}, tell);
                       other = std::thread([&] { what.wake(); });
                   });
        run_all(ctx);
        other.join();
        BOOST_TEST((told && !*told));
    }
    { // cancelled, by each type; nothing is lost to it
        for (auto type :
             {asio::cancellation_type::terminal, asio::cancellation_type::partial, asio::cancellation_type::total})
        {
            Awaited what;
            Context ctx;
            asio::cancellation_signal signal;
            std::optional<error_code> second;
            told.reset();
            asio::post(ctx,
                       [&]
                       {
                           what.async_wait(ctx.get_executor(), signal.slot(), tell);
                           signal.emit(asio::cancellation_type::none);
                           signal.emit(type);
                           BOOST_TEST(!told);
                           signal.emit(type);
                           asio::post(ctx,
                                      [&]
                                      {
                                          what.async_wait(ctx.get_executor(), {}, [&](error_code ec) { second = ec; });
                                          what.wake();
                                      });
                       });
            run_all(ctx);
            BOOST_TEST((told && *told == aborted));
            BOOST_TEST((second && !*second));
            BOOST_TEST(!signal.slot().has_handler());
        }
    }
    { // woken, then cancelled before the handler is called: it has what it waited for
        Awaited what;
        Context ctx;
        asio::cancellation_signal signal;
        told.reset();
        asio::post(ctx,
                   [&]
                   {
                       what.async_wait(ctx.get_executor(), signal.slot(), tell);
                       what.wake();
                       signal.emit(asio::cancellation_type::terminal);
                   });
        run_all(ctx);
        BOOST_TEST((told && !*told));
    }
    { // its context is destroyed: the handler is destroyed, and not called
        Awaited what;
        told.reset();
        const auto alive = std::make_shared<int>();
        {
            Context ctx;
            what.async_wait(ctx.get_executor(), {}, [&, alive](error_code ec) { told = ec; });
            what.wake();
        }
        BOOST_TEST(!told);
        BOOST_TEST(alive.use_count() == 1);
    }
}

/// All of them. Awaited is made by default.
template <class Awaited>
void wait_cases()
{
    BOOST_TEST_CONTEXT("fiber")
    {
        agent_cases<zsync::fiber_context, Awaited>();
        fiber_cases<Awaited>();
    }
    BOOST_TEST_CONTEXT("blocking context")
    agent_cases<zsync::blocking_context, Awaited>();
    BOOST_TEST_CONTEXT("thread")
    thread_cases<Awaited>();
    BOOST_TEST_CONTEXT("handler")
    {
        handler_cases<asio::io_context, Awaited>();
        handler_cases<zsync::fiber_context, Awaited>();
        handler_cases<zsync::blocking_context, Awaited>();
    }
}

} // namespace test
