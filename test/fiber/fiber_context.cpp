// SPDX-License-Identifier: BSL-1.0
#include <zsync/fiber/fiber_context.hpp>

#include <zsync/core/use_await.hpp>
#include <zsync/fiber/spawn.hpp>

#include "fiber/both_engines.hpp"
#include "fiber/run_all.hpp"
#include "support/child_process.hpp"
#include "support/forbid_ring.hpp"
#include "support/on_fiber.hpp"
#include "support/process_state.hpp"

#include <boost/asio.hpp>
#include <boost/asio/readable_pipe.hpp>
#include <boost/asio/writable_pipe.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <array>
#include <chrono>
#include <csignal>
#include <future>
#include <string>
#include <thread>

#include <unistd.h>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using boost::system::error_code;
using test::both_engines;
using test::error_of;
using test::run_all;
using zsync::engine_kind;
using zsync::fiber_context;
using zsync::use_await;

BOOST_AUTO_TEST_SUITE(fiber_context_runs)

/// What io_context does is what fiber_context does.
template <class Context>
std::string life_of()
{
    std::string seen;
    const auto note = [&](const auto& value) { seen += std::to_string(value) + ' '; };
    Context ctx;
    note(ctx.run()), note(ctx.stopped());
    asio::post(ctx, [&] { note(100); });
    note(ctx.run()), note(ctx.poll()); // stopped: nothing runs
    ctx.restart();
    note(ctx.stopped()), note(ctx.run_one()), note(ctx.run_one()), note(ctx.stopped());

    ctx.restart();
    for (int i = 0; i < 3; ++i)
        asio::post(ctx, [&] { note(200), ctx.stop(); });
    note(ctx.run()), note(ctx.stopped()), note(ctx.poll_one());
    ctx.restart();
    note(ctx.run_one());
    ctx.restart();
    note(ctx.poll_one());

    ctx.restart();
    auto work = asio::make_work_guard(ctx);
    note(ctx.poll()), note(ctx.stopped()), note(ctx.run_for(1ms)), note(ctx.stopped());
    asio::post(ctx, [&] { asio::post(ctx, [&] { note(300); }), asio::dispatch(ctx, [&] { note(301); }); });
    note(ctx.poll_one()), note(ctx.poll()), note(ctx.stopped());
    work.reset();
    note(ctx.run()), note(ctx.stopped());

    ctx.restart();
    asio::any_io_executor any = ctx.get_executor();
    auto tracked = asio::prefer(any, asio::execution::outstanding_work.tracked);
    asio::post(tracked, [&] { note(400); });
    note(ctx.poll()), note(ctx.stopped());
    tracked = any;
    note(ctx.poll()), note(ctx.stopped());
    note(any == asio::any_io_executor(ctx.get_executor())), note(ctx.get_executor().running_in_this_thread());

    ctx.restart();
    asio::post(ctx, [] { throw 5; });
    asio::post(ctx, [&] { note(500); });
    try
    {
        ctx.run();
    }
    catch (int thrown)
    {
        note(thrown);
    }
    note(ctx.stopped()), note(ctx.run());
    return seen;
}

BOOST_AUTO_TEST_CASE(as_an_io_context_does)
{
    BOOST_TEST(life_of<fiber_context>() == life_of<asio::io_context>());
}

BOOST_AUTO_TEST_CASE(run_one_runs_one_and_poll_runs_all_that_is_ready)
{
    fiber_context ctx;
    int ran = 0;
    std::vector<asio::steady_timer> timers;
    for (int i = 0; i < 5; ++i)
        timers.emplace_back(ctx, asio::steady_timer::time_point::min());
    for (auto& timer : timers)
        timer.async_wait([&](error_code) { ++ran; });
    asio::post(ctx, [&] { ++ran; });
    for (int i = 1; i <= 6; ++i)
    {
        BOOST_TEST(ctx.run_one() == 1u);
        BOOST_TEST(ran == i);
    }
    for (auto& timer : timers) // below Asio's frames: not counted, and all run
        timer.async_wait(asio::bind_executor(asio::system_executor(), [&](error_code) { ++ran; }));
    while (ctx.poll() != 0)
        ;
    BOOST_TEST(ran == 11);
}

BOOST_DATA_TEST_CASE(a_post_from_another_thread_wakes_the_loop, both_engines, engine)
{
    const auto ctx = test::make_on(engine);
    if (!ctx)
        return;
    auto work = asio::make_work_guard(*ctx);
    std::thread other(
        [&]
        {
            for (int i = 0; i < 500; ++i)
            {
                std::promise<void> there;
                asio::post(*ctx, [&] { there.set_value(); });
                there.get_future().wait();
                asio::steady_timer timer(*ctx, asio::steady_timer::time_point::min());
                timer.async_wait(asio::use_future).wait();
            }
            work.reset();
        });
    BOOST_TEST(run_all(*ctx));
    other.join();
}

BOOST_AUTO_TEST_CASE(a_second_run_is_an_error)
{
    fiber_context ctx;
    const auto busy = make_error_code(boost::system::errc::device_or_resource_busy);
    error_code nested;
    error_code concurrent;
    error_code polled;
    zsync::spawn(
        ctx,
        [&]
        {
            nested = error_of([&] { ctx.run(); });
            polled = error_of([&] { ctx.poll_one(); });
            std::thread([&] { concurrent = error_of([&] { ctx.run(); }); }).join();
        },
        asio::detached);
    BOOST_TEST(run_all(ctx));
    BOOST_TEST(nested == busy);
    BOOST_TEST(polled == busy);
    BOOST_TEST(concurrent == busy);
}

BOOST_AUTO_TEST_CASE(contexts_run_inside_each_other)
{
    fiber_context outer;
    fiber_context inner;
    int right = 0;
    error_code back;
    zsync::spawn(
        outer,
        [&]
        {
            asio::post(outer, use_await);
            zsync::spawn(
                inner,
                [&]
                {
                    asio::steady_timer(inner, 1us).async_wait(use_await);
                    back = error_of([&] { outer.run(); });
                    right += inner.get_executor().running_in_this_thread();
                    asio::post(outer, [&] { ++right; });
                },
                asio::detached);
            inner.run();
            right += outer.get_executor().running_in_this_thread() && !inner.get_executor().running_in_this_thread();
            asio::post(outer, use_await);
            ++right;
        },
        asio::detached);
    BOOST_TEST(run_all(outer));
    BOOST_TEST(right == 4);
    BOOST_TEST(back == make_error_code(boost::system::errc::device_or_resource_busy));
}

BOOST_AUTO_TEST_CASE(an_item_starts_without_the_requests_of_the_one_before)
{
    fiber_context ctx;
    bool inherited = true;
    asio::post(ctx, [] { zsync::agent::current().cancellation().request(); });
    asio::post(ctx, [&] { inherited = zsync::agent::current().cancellation().requested(); });
    BOOST_TEST(run_all(ctx));
    BOOST_TEST(!inherited);
}

BOOST_AUTO_TEST_CASE(an_engine_that_blocks_is_refused)
{
    const auto refused = error_of([] { fiber_context ctx(zsync::fiber_options{.engine = engine_kind::blocking}); });
    BOOST_TEST(refused == make_error_code(boost::system::errc::operation_not_supported));
}

BOOST_AUTO_TEST_CASE(without_a_ring_it_runs_on_epoll)
{
    const auto child = test::run_in_child(
        [](const test::child_voice& voice)
        {
            if (test::forbid_ring() != 0)
                return 0; // no filters here
            fiber_context ctx;
            bool waited = false;
            asio::post(ctx, [&] { asio::steady_timer(ctx, 1us).async_wait(use_await), waited = true; });
            ctx.run();
            bool right = voice.check(ctx.engine() == engine_kind::reactor, "epoll");
            right &= voice.check(ctx.why().find("was asked for") == std::string::npos && !ctx.why().empty(), "why");
            right &= voice.check(waited, "it works");
            const auto refused =
                error_of([] { fiber_context other(zsync::fiber_options{.engine = engine_kind::uring}); });
            right &= voice.check(refused.value() == EPERM, "a ring that was asked for is refused");
            return right ? 0 : 1;
        });
    BOOST_TEST(child.ok(), child);
}

BOOST_DATA_TEST_CASE(stock_objects_work_and_start_no_thread, both_engines, engine)
{
    const auto made = test::make_on(engine);
    if (!made)
        return;
    fiber_context& ctx = *made;
    BOOST_TEST((ctx.engine() == (std::string(engine) == "epoll" ? engine_kind::reactor : engine_kind::uring)));
    const std::size_t threads = test::this_process().threads;
    const auto loopback = asio::ip::address_v4::loopback();
    int right = 0;

    zsync::spawn(
        ctx,
        [&]
        {
            asio::ip::tcp::acceptor acceptor(ctx, {loopback, 0});
            zsync::spawn(
                ctx,
                [&, to = acceptor.local_endpoint()]
                {
                    asio::ip::tcp::socket socket(ctx);
                    socket.async_connect(to, use_await);
                    asio::async_write(socket, asio::buffer("hello", 5), use_await);
                },
                asio::detached);
            asio::ip::tcp::socket peer = acceptor.async_accept(use_await);
            std::string text;
            error_code ec;
            asio::async_read(peer, asio::dynamic_buffer(text), use_await[ec]);
            right += text == "hello" && ec == asio::error::eof;

            asio::ip::udp::socket from(ctx, {loopback, 0});
            asio::ip::udp::socket to(ctx, {loopback, 0});
            std::array<char, 8> data{};
            from.async_send_to(asio::buffer("udp", 3), to.local_endpoint(), use_await);
            right += to.async_receive(asio::buffer(data), use_await) == 3;

            asio::readable_pipe reads(ctx);
            asio::writable_pipe writes(ctx);
            asio::connect_pipe(reads, writes);
            asio::post(ctx, [&] { asio::async_write(writes, asio::buffer("pipe", 4), use_await); });
            right += asio::async_read(reads, asio::buffer(data, 4), use_await) == 4;

            int ends[2];
            right += ::pipe(ends) == 0;
            asio::posix::stream_descriptor in(ctx, ends[0]);
            asio::posix::stream_descriptor out(ctx, ends[1]);
            asio::async_write(out, asio::buffer("fd", 2), use_await);
            right += in.async_read_some(asio::buffer(data), use_await) == 2;

            asio::signal_set signals(ctx, SIGUSR1);
            asio::post(ctx, [] { ::raise(SIGUSR1); });
            right += signals.async_wait(use_await) == SIGUSR1;

            asio::system_timer(ctx, std::chrono::system_clock::now() + 100us).async_wait(use_await);
            right += asio::co_spawn(
                ctx,
                [&]() -> asio::awaitable<int>
                {
                    asio::steady_timer timer(ctx, 100us);
                    co_await timer.async_wait(asio::use_awaitable);
                    co_return 1;
                },
                use_await);
            auto strand = asio::make_strand(ctx);
            asio::post(strand, [&] { right += strand.running_in_this_thread(); });
            asio::post(strand, use_await);
        },
        [&](std::exception_ptr e) { BOOST_TEST(!e); });
    BOOST_TEST(run_all(ctx));
    BOOST_TEST(right == 8);
    BOOST_TEST(test::this_process().threads == threads);

    // Asio's resolver has a thread of its own.
    asio::post(ctx,
               [&]
               {
                   asio::ip::tcp::resolver resolver(ctx);
                   right += !resolver.async_resolve("127.0.0.1", "80", use_await).empty();
               });
    BOOST_TEST(run_all(ctx));
    BOOST_TEST(right == 9);
}

BOOST_AUTO_TEST_SUITE_END()
