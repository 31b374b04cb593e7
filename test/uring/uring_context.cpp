// SPDX-License-Identifier: BSL-1.0
// What io_context promises, on uring_context: stock objects that Asio's reactor serves, and the run functions.
#include <zsync/uring/uring_context.hpp>

#include "support/child_process.hpp"
#include "support/native_sockets.hpp"
#include "support/needs_ring.hpp"
#include "support/process_state.hpp"

#include <boost/asio.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <array>
#include <chrono>
#include <csignal>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <unistd.h>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using asio::ip::udp;
using boost::system::error_code;
using std::chrono::steady_clock;
using std::chrono::system_clock;
using test::answer;
using test::connection;
using test::context_mode;
using test::options_of;
using test::run_all;
using test::tcp;

static_assert(std::is_base_of_v<asio::io_context, zsync::uring_context>);
static_assert(!std::is_copy_constructible_v<zsync::uring_context>);
static_assert(!std::is_move_constructible_v<zsync::uring_context>);

namespace
{

udp::endpoint any_udp_port()
{
    return {asio::ip::address_v4::loopback(), 0};
}

// Counts this process's threads while `ctx` does what it does, from inside.
struct thread_watch
{
    std::size_t before = test::this_process().threads;
    std::size_t most = 0;

    void look() { most = std::max(most, test::this_process().threads); }
};

BOOST_AUTO_TEST_SUITE(uring_uring_context)

// What it says of itself

BOOST_DATA_TEST_CASE(it_tells_its_engine_and_why, test::all_modes)
{
    zsync::uring_context ctx(options_of(sample));
    if (test::needs_ring(0))
    {
        BOOST_TEST((ctx.engine() == zsync::engine_kind::uring));
        BOOST_TEST(ctx.ring_error() == error_code());
    }
    else
    {
        BOOST_TEST((ctx.engine() == zsync::engine_kind::reactor));
        BOOST_TEST(ctx.ring_error() != error_code());
    }
    BOOST_TEST(ctx.why() != "");
}

BOOST_AUTO_TEST_CASE(a_ring_that_is_required_is_there, *boost::unit_test::precondition(test::needs_ring))
{
    zsync::uring_context ctx(zsync::uring_options{.require_ring = true});
    BOOST_TEST((ctx.engine() == zsync::engine_kind::uring));
}

BOOST_AUTO_TEST_CASE(any_number_of_ring_entries_will_do, *boost::unit_test::precondition(test::needs_ring))
{
    for (const unsigned entries : {0u, 1u, 3u, 4096u, 1u << 30})
    {
        zsync::uring_context ctx(zsync::uring_options{.ring_entries = entries});
        BOOST_TEST_CONTEXT(entries << " entries")
        {
            BOOST_TEST((ctx.engine() == zsync::engine_kind::uring), ctx.why());
            connection on(ctx);
            std::array<char, 4> data{};
            answer received;
            on.socket.async_receive(asio::buffer(data), received.handler());
            on.send("data");
            BOOST_TEST(run_all(ctx));
            BOOST_TEST(received.succeeded());
        }
    }
}

BOOST_DATA_TEST_CASE(counters_count_native_operations_and_no_others, test::all_modes)
{
    if (!test::needs_ring(0))
    {
        BOOST_TEST_MESSAGE("skipped: there is no ring here");
        return;
    }
    zsync::uring_context ctx(options_of(sample));
    BOOST_TEST(ctx.counters().operations_started == 0u);
    asio::steady_timer timer(ctx, 1ms);
    timer.async_wait([](error_code) {});
    asio::post(ctx, [] {});
    BOOST_TEST(run_all(ctx));
    BOOST_TEST(ctx.counters().operations_started == 0u);
    BOOST_TEST(ctx.counters().reactor_runs > 0u);
    BOOST_TEST(ctx.counters().ring_enters > 0u);

    connection on(ctx);
    std::array<char, 4> data{};
    answer received, cancelled;
    on.socket.async_receive(asio::buffer(data), received.handler());
    on.send("data");
    BOOST_TEST(run_all(ctx));
    on.socket.async_receive(asio::buffer(data), cancelled.handler());
    ctx.restart();
    ctx.poll();
    on.socket.cancel();
    BOOST_TEST(run_all(ctx));
    BOOST_TEST(received.succeeded());
    BOOST_TEST(cancelled.error == asio::error::operation_aborted);
    const auto now = ctx.counters();
    BOOST_TEST(now.operations_started == 2u);
    BOOST_TEST(now.operations_completed == 2u);
    BOOST_TEST(now.operations_cancelled == 1u);
    BOOST_TEST(now.cancels_requested == 1u);
}

// Stock objects

BOOST_DATA_TEST_CASE(stock_timers_expire_in_order_and_not_early, test::all_modes)
{
    zsync::uring_context ctx(options_of(sample));
    thread_watch threads;
    std::vector<int> order;
    const auto start = steady_clock::now();
    steady_clock::time_point first_expiry;
    asio::steady_timer second(ctx, 8ms), first(ctx, 4ms), cancelled(ctx, 1h);
    asio::system_timer third(ctx, system_clock::now() + 12ms);
    answer aborted;
    second.async_wait([&](error_code error) { order.push_back(error ? -2 : 2); });
    first.async_wait(
        [&](error_code error)
        {
            first_expiry = steady_clock::now();
            order.push_back(error ? -1 : 1);
            cancelled.cancel();
        });
    cancelled.async_wait(aborted.handler());
    third.async_wait(
        [&](error_code error)
        {
            order.push_back(error ? -3 : 3);
            threads.look();
        });
    BOOST_TEST(run_all(ctx));
    BOOST_TEST(order == (std::vector{1, 2, 3}), boost::test_tools::per_element());
    BOOST_TEST((first_expiry - start >= 4ms));
    BOOST_TEST(aborted.error == asio::error::operation_aborted);
    BOOST_TEST(threads.most == threads.before);
}

BOOST_DATA_TEST_CASE(a_timer_expires_between_native_operations, test::all_modes)
{
    zsync::uring_context ctx(options_of(sample));
    connection on(ctx);
    std::array<char, 1> data{};
    answer received, timeout;
    on.socket.async_receive(asio::buffer(data), received.handler());
    asio::steady_timer timer(ctx, 3ms);
    timer.async_wait(
        [&](error_code error)
        {
            timeout.handler()(error);
            on.send("x");
        });
    BOOST_TEST(run_all(ctx));
    BOOST_TEST(timeout.succeeded());
    BOOST_TEST(received.succeeded());
}

BOOST_DATA_TEST_CASE(stock_signal_sets_hear_signals, test::all_modes)
{
    zsync::uring_context ctx(options_of(sample));
    thread_watch threads;
    asio::signal_set signals(ctx, SIGUSR1, SIGUSR2);
    std::vector<int> heard;
    std::function<void(error_code, int)> on_signal = [&](error_code error, int number)
    {
        threads.look();
        heard.push_back(error ? -1 : number);
        if (heard.size() == 1)
        {
            signals.async_wait(on_signal);
            std::raise(SIGUSR2);
        }
        else if (heard.size() == 2)
        {
            signals.async_wait(on_signal);
            signals.cancel();
        }
    };
    signals.async_wait(on_signal);
    std::raise(SIGUSR1);
    BOOST_TEST(run_all(ctx));
    BOOST_TEST(heard == (std::vector{SIGUSR1, SIGUSR2, -1}), boost::test_tools::per_element());
    BOOST_TEST(threads.most == threads.before);
}

BOOST_DATA_TEST_CASE(a_signal_reaches_a_loop_that_sleeps, test::locked_modes)
{
    zsync::uring_context ctx(options_of(sample));
    asio::signal_set signals(ctx, SIGUSR1);
    std::atomic<int> heard{0};
    signals.async_wait([&](error_code error, int number) { heard = error ? -1 : number; });
    test::runners running(ctx);
    ::kill(::getpid(), SIGUSR1);
    BOOST_TEST(test::eventually([&] { return heard != 0; }));
    BOOST_TEST(heard == SIGUSR1);
    BOOST_TEST(running.join());
}

BOOST_DATA_TEST_CASE(stock_datagram_sockets_talk, test::all_modes)
{
    zsync::uring_context ctx(options_of(sample));
    thread_watch threads;
    udp::socket a(ctx, any_udp_port()), b(ctx, any_udp_port());
    udp::endpoint from;
    std::array<char, 16> data{};
    answer sent, received, aborted;
    b.async_receive_from(asio::buffer(data), from,
                         [&](error_code error, std::size_t bytes)
                         {
                             threads.look();
                             received.handler()(error, bytes);
                             b.async_receive_from(asio::buffer(data), from, aborted.handler());
                             asio::post(ctx, [&] { b.cancel(); });
                         });
    a.async_send_to(asio::buffer("ping", 4), b.local_endpoint(), sent.handler());
    BOOST_TEST(run_all(ctx));
    BOOST_TEST(sent.succeeded());
    BOOST_TEST(received.succeeded());
    BOOST_TEST(std::string(data.data(), received.bytes) == "ping");
    BOOST_TEST(from == a.local_endpoint());
    BOOST_TEST(aborted.error == asio::error::operation_aborted);
    BOOST_TEST(threads.most == threads.before);
    BOOST_TEST(ctx.counters().operations_started == 0u);
}

BOOST_DATA_TEST_CASE(stock_stream_sockets_talk, test::all_modes)
{
    zsync::uring_context ctx(options_of(sample));
    thread_watch threads;
    tcp::acceptor acceptor(ctx, test::any_port());
    tcp::socket client(ctx), server(ctx);
    std::array<char, 4> data{};
    answer connected, received;
    acceptor.async_accept(server,
                          [&](error_code)
                          {
                              threads.look();
                              asio::async_read(server, asio::buffer(data), received.handler());
                          });
    client.async_connect(acceptor.local_endpoint(),
                         [&](error_code error)
                         {
                             connected.handler()(error);
                             asio::async_write(client, asio::buffer("ping", 4), [](error_code, std::size_t) {});
                         });
    BOOST_TEST(run_all(ctx));
    BOOST_TEST(connected.succeeded());
    BOOST_TEST(received.succeeded());
    BOOST_TEST(std::string(data.data(), 4) == "ping");
    BOOST_TEST(threads.most == threads.before);
    BOOST_TEST(ctx.counters().operations_started == 0u);
}

BOOST_DATA_TEST_CASE(stream_descriptors_read_and_write_pipes, test::all_modes)
{
    zsync::uring_context ctx(options_of(sample));
    thread_watch threads;
    auto ends = test::make_pipe();
    asio::posix::stream_descriptor in(ctx, ends.first.release());
    asio::posix::stream_descriptor out(ctx, ends.second.release());
    const std::string much(300'000, 'x'); // more than a pipe holds
    std::string got(much.size(), ' ');
    answer written, read, end;
    asio::async_write(out, asio::buffer(much),
                      [&](error_code error, std::size_t bytes)
                      {
                          written.handler()(error, bytes);
                          out.close();
                      });
    asio::async_read(in, asio::buffer(got),
                     [&](error_code error, std::size_t bytes)
                     {
                         threads.look();
                         read.handler()(error, bytes);
                         in.async_read_some(asio::buffer(got.data(), 1), end.handler());
                     });
    BOOST_TEST(run_all(ctx));
    BOOST_TEST(written.succeeded());
    BOOST_TEST(read.succeeded());
    BOOST_TEST((got == much));
    BOOST_TEST(end.error == asio::error::eof);
    BOOST_TEST(threads.most == threads.before);
}

BOOST_DATA_TEST_CASE(resolvers_answer_as_on_io_context, test::all_modes)
{
    // With a hint that rules a second thread out Asio refuses. Its helper thread is the resolver's own.
    struct outcome
    {
        error_code error;
        std::vector<tcp::endpoint> endpoints;
        std::size_t more_threads = 0;
    };
    const auto resolve = [](asio::io_context& ctx)
    {
        outcome told;
        thread_watch threads;
        tcp::resolver resolver(ctx);
        resolver.async_resolve("127.0.0.1", "80", tcp::resolver::numeric_host | tcp::resolver::numeric_service,
                               [&](error_code error, tcp::resolver::results_type results)
                               {
                                   threads.look();
                                   told.error = error;
                                   for (const auto& each : results)
                                       told.endpoints.push_back(each.endpoint());
                               });
        ctx.run_for(test::patience);
        told.more_threads = threads.most - threads.before;
        return told;
    };
    const auto options = options_of(sample);
    asio::io_context plain(options.one_thread ? 1 : options.concurrency_hint);
    const outcome expected = resolve(plain);
    zsync::uring_context ctx(options);
    const outcome told = resolve(ctx);
    BOOST_TEST(ctx.stopped());
    BOOST_TEST(told.error == expected.error);
    BOOST_TEST((told.endpoints == expected.endpoints));
    BOOST_TEST(told.more_threads == expected.more_threads);
    if (sample != context_mode::unsafe)
        BOOST_TEST((told.endpoints == std::vector{tcp::endpoint(asio::ip::address_v4::loopback(), 80)}));
}

// In a process of its own, so that the number is the number: one.
BOOST_DATA_TEST_CASE(no_thread_starts_in_secret, test::all_modes)
{
    const auto child = test::run_in_child(
        [&](const test::child_voice& voice)
        {
            const thread_watch before;
            std::size_t most = 0;
            {
                zsync::uring_context ctx(options_of(sample));
                asio::steady_timer timer(ctx, 1ms);
                asio::system_timer clock(ctx, 1h);
                asio::signal_set signals(ctx, SIGUSR1);
                udp::socket datagrams(ctx, any_udp_port());
                tcp::acceptor acceptor(ctx, test::any_port());
                connection native(ctx);
                std::array<char, 8> data{};
                clock.async_wait([](error_code) {});
                signals.async_wait([](error_code, int) {});
                datagrams.async_receive(asio::buffer(data), [](error_code, std::size_t) {});
                acceptor.async_accept([](error_code, tcp::socket) {});
                native.socket.async_receive(asio::buffer(data), [](error_code, std::size_t) {});
                timer.async_wait(
                    [&](error_code)
                    {
                        const auto now = test::this_process();
                        most = now.threads + now.ring_workers;
                        ctx.stop();
                    });
                ctx.run();
            }
            voice.check(most == before.before, std::to_string(most) + " threads");
            voice.check(test::this_process().threads == before.before, "none is left");
#ifndef __SANITIZE_THREAD__ // which has one of its own
            voice.check(most == 1, "/proc/self/task has one entry");
#endif
        });
    BOOST_TEST(child.ok(), child);
    BOOST_TEST(child.text == "");
}

// Executors

BOOST_DATA_TEST_CASE(post_dispatch_and_defer_run_as_on_io_context, test::all_modes)
{
    const auto order_on = [](asio::io_context& ctx)
    {
        std::string order;
        asio::post(ctx,
                   [&]
                   {
                       asio::post(ctx, [&] { order += 'p'; });
                       asio::defer(ctx, [&] { order += 'd'; });
                       asio::dispatch(ctx, [&] { order += 'i'; });
                       order += '1';
                   });
        asio::dispatch(ctx, [&] { order += '2'; });
        asio::defer(ctx, [&] { order += '3'; });
        ctx.run();
        return order;
    };
    const auto options = options_of(sample);
    asio::io_context plain(options.one_thread ? 1 : options.concurrency_hint);
    zsync::uring_context ctx(options);
    BOOST_TEST(order_on(ctx) == order_on(plain));
}

BOOST_AUTO_TEST_CASE(strands_serialise_on_several_threads)
{
    zsync::uring_context ctx;
    auto strand = asio::make_strand(ctx);
    int inside = 0, runs = 0, overlaps = 0; // guarded by the strand alone
    std::atomic<int> elsewhere{0};
    {
        test::runners running(ctx, 3);
        for (int i = 0; i < 500; ++i)
        {
            asio::post(strand,
                       [&]
                       {
                           overlaps += inside++ != 0;
                           ++runs;
                           --inside;
                       });
            asio::post(ctx, [&] { ++elsewhere; });
        }
        BOOST_TEST(running.join());
    }
    BOOST_TEST(runs == 500);
    BOOST_TEST(overlaps == 0);
    BOOST_TEST(elsewhere == 500);
}

asio::awaitable<std::string> echo_once(zsync::uring_context& ctx)
{
    connection on(ctx);
    asio::steady_timer timer(ctx, 1ms);
    co_await timer.async_wait(asio::use_awaitable);
    on.send("hello");
    std::array<char, 8> data{};
    const std::size_t bytes = co_await on.socket.async_read_some(asio::buffer(data), asio::use_awaitable);
    co_await asio::post(asio::bind_executor(ctx.native_executor(), asio::use_awaitable));
    co_return std::string(data.data(), bytes);
}

BOOST_DATA_TEST_CASE(coroutines_await_stock_and_native_objects, test::all_modes)
{
    zsync::uring_context ctx(options_of(sample));
    std::string told;
    asio::co_spawn(ctx, echo_once(ctx),
                   [&](std::exception_ptr failure, std::string text) { told = failure ? "failed" : text; });
    BOOST_TEST(run_all(ctx));
    BOOST_TEST(told == "hello");
}

BOOST_DATA_TEST_CASE(work_guards_keep_it_running, test::all_modes)
{
    zsync::uring_context ctx(options_of(sample));
    std::optional guard(asio::make_work_guard(ctx));
    BOOST_TEST(ctx.run_for(2ms) == 0u);
    BOOST_TEST(!ctx.stopped());
    asio::steady_timer timer(ctx, 2ms);
    timer.async_wait([&](error_code) { guard.reset(); });
    BOOST_TEST(ctx.run() == 1u);
    BOOST_TEST(ctx.stopped());
}

// The run functions

BOOST_DATA_TEST_CASE(run_ends_when_there_is_nothing_left_to_do, test::all_modes)
{
    zsync::uring_context ctx(options_of(sample));
    BOOST_TEST(ctx.run() == 0u);
    BOOST_TEST(ctx.stopped());
    int runs = 0;
    asio::post(ctx, [&] { ++runs; });
    BOOST_TEST(ctx.run() == 0u); // stopped
    ctx.restart();
    BOOST_TEST(ctx.run() == 1u);
    BOOST_TEST(runs == 1);
}

BOOST_DATA_TEST_CASE(run_one_poll_and_poll_one_count_their_handlers, test::all_modes)
{
    zsync::uring_context ctx(options_of(sample));
    int runs = 0;
    for (int i = 0; i < 5; ++i)
        asio::post(ctx, [&] { ++runs; });
    BOOST_TEST(ctx.run_one() == 1u);
    BOOST_TEST(runs == 1);
    BOOST_TEST(ctx.poll_one() == 1u);
    BOOST_TEST(runs == 2);
    BOOST_TEST(ctx.poll() == 3u);
    BOOST_TEST(runs == 5);
    ctx.restart();
    BOOST_TEST(ctx.poll() == 0u);
    BOOST_TEST(ctx.stopped());
}

BOOST_DATA_TEST_CASE(poll_does_not_wait, test::all_modes)
{
    zsync::uring_context ctx(options_of(sample));
    connection on(ctx);
    std::array<char, 1> data{};
    answer received;
    on.socket.async_receive(asio::buffer(data), received.handler());
    BOOST_TEST(ctx.poll() == 0u);
    BOOST_TEST(ctx.poll_one() == 0u);
    BOOST_TEST(!ctx.stopped());
    BOOST_TEST(received.calls == 0);
    on.send("x");
    while (received.calls == 0)
        ctx.poll_one();
    BOOST_TEST(received.succeeded());
}

BOOST_DATA_TEST_CASE(run_for_and_run_until_return_in_time, test::all_modes)
{
    zsync::uring_context ctx(options_of(sample));
    connection on(ctx);
    std::array<char, 1> data{};
    answer received;
    on.socket.async_receive(asio::buffer(data), received.handler());
    auto start = steady_clock::now();
    BOOST_TEST(ctx.run_for(3ms) == 0u);
    BOOST_TEST((steady_clock::now() - start >= 3ms));
    start = steady_clock::now();
    BOOST_TEST(ctx.run_until(start + 3ms) == 0u);
    BOOST_TEST((steady_clock::now() - start >= 3ms));
    start = steady_clock::now();
    BOOST_TEST(ctx.run_one_for(3ms) == 0u);
    BOOST_TEST((steady_clock::now() - start >= 3ms));
    BOOST_TEST(ctx.run_one_until(steady_clock::now() - 1s) == 0u);
    BOOST_TEST(ctx.run_until(system_clock::now() + 1ms) == 0u);
    BOOST_TEST(!ctx.stopped());
    on.send("x");
    BOOST_TEST(ctx.run_one_for(test::patience) == 1u);
    BOOST_TEST(received.succeeded());
}

BOOST_DATA_TEST_CASE(stop_ends_run_with_operations_in_flight_and_restart_goes_on, test::all_modes)
{
    zsync::uring_context ctx(options_of(sample));
    connection on(ctx);
    std::array<char, 4> data{};
    answer received, timeout;
    on.socket.async_receive(asio::buffer(data), received.handler());
    asio::steady_timer timer(ctx, 10ms);
    timer.async_wait(timeout.handler());
    asio::post(ctx, [&] { ctx.stop(); });
    BOOST_TEST(ctx.run() == 1u);
    BOOST_TEST(ctx.stopped());
    BOOST_TEST(ctx.run() == 0u);
    on.send("data");
    BOOST_TEST(run_all(ctx));
    BOOST_TEST(received.succeeded());
    BOOST_TEST(received.bytes == 4u);
    BOOST_TEST(timeout.succeeded());
}

BOOST_DATA_TEST_CASE(stop_from_another_thread_wakes_a_loop_that_sleeps, test::locked_modes)
{
    zsync::uring_context ctx(options_of(sample));
    connection on(ctx);
    std::array<char, 1> data{};
    answer received;
    on.socket.async_receive(asio::buffer(data), received.handler());
    for (int times = 0; times < 20; ++times)
    {
        test::runners running(ctx);
        running.stop();
        BOOST_TEST(ctx.stopped());
    }
    BOOST_TEST(received.calls == 0);
    on.send("x");
    BOOST_TEST(run_all(ctx));
    BOOST_TEST(received.succeeded());
}

BOOST_DATA_TEST_CASE(exceptions_leave_run_and_the_context_goes_on, test::all_modes)
{
    zsync::uring_context ctx(options_of(sample));
    connection on(ctx);
    std::array<char, 4> data{};
    int runs = 0;
    on.socket.async_receive(asio::buffer(data),
                            [](error_code, std::size_t) { throw std::runtime_error("out of a completion"); });
    on.send("data");
    asio::steady_timer timer(ctx, 5ms);
    timer.async_wait([&](error_code) { ++runs; });
    BOOST_CHECK_THROW(ctx.run(), std::runtime_error);
    BOOST_TEST(!ctx.stopped());
    asio::post(ctx, [&] { ++runs; });
    ctx.run();
    BOOST_TEST(runs == 2);

    ctx.restart();
    asio::post(ctx, [] { throw 1; });
    asio::post(ctx, [&] { ++runs; });
    BOOST_CHECK_THROW(ctx.poll(), int);
    BOOST_TEST(ctx.poll() == 1u);
    BOOST_TEST(runs == 3);
}

BOOST_DATA_TEST_CASE(run_functions_nest, test::all_modes)
{
    zsync::uring_context ctx(options_of(sample));
    connection on(ctx);
    std::array<char, 4> data{};
    answer received;
    bool inner = false;
    on.socket.async_receive(asio::buffer(data), received.handler());
    asio::post(ctx,
               [&]
               {
                   on.send("data");
                   const auto end = steady_clock::now() + test::patience;
                   while (received.calls == 0 && steady_clock::now() < end)
                       ctx.poll();
                   inner = received.succeeded();
               });
    BOOST_TEST(run_all(ctx));
    BOOST_TEST(inner);
}

BOOST_DATA_TEST_CASE(ten_thousand_operations_may_be_started_before_it_first_runs, test::all_modes)
{
    zsync::uring_context ctx(options_of(sample));
    connection on(ctx);
    std::array<char, 1> data{};
    int cancelled = 0, received = 0;
    for (int i = 0; i < 10'000; ++i)
        on.socket.async_receive(asio::buffer(data),
                                [&](error_code error, std::size_t)
                                {
                                    cancelled += error == asio::error::operation_aborted;
                                    received += !error;
                                });
    on.send("xyz");
    while (received < 3 && ctx.run_one_for(test::patience) != 0)
        ;
    on.socket.cancel();
    BOOST_TEST(run_all(ctx));
    BOOST_TEST(received == 3);
    BOOST_TEST(cancelled == 9'997);
    if (test::needs_ring(0))
        BOOST_TEST(ctx.counters().operations_started == 10'000u);
}

// The end

BOOST_DATA_TEST_CASE(handlers_destroyed_with_it_still_find_it_whole, test::all_modes)
{
    struct asks
    {
        zsync::uring_context* ctx;
        bool* asked;

        asks(zsync::uring_context& context, bool& was) : ctx(&context), asked(&was) {}
        ~asks()
        {
            *asked =
                !ctx->why().empty() && (ctx->counters().operations_started > 0) == (ctx->ring_error() == error_code());
        }
    };
    bool asked_by_native = false, asked_by_post = false, asked_by_timer = false;
    {
        zsync::uring_context ctx(options_of(sample));
        const auto on = std::make_shared<connection>(ctx);
        const auto timer = std::make_shared<asio::steady_timer>(ctx, 1h);
        const auto data = std::make_shared<char>();
        on->socket.async_receive(
            asio::buffer(data.get(), 1),
            [on, data, owned = std::make_shared<asks>(ctx, asked_by_native)](error_code, std::size_t) {});
        timer->async_wait([timer, owned = std::make_shared<asks>(ctx, asked_by_timer)](error_code) {});
        ctx.poll();
        asio::post(ctx, [owned = std::make_shared<asks>(ctx, asked_by_post)] {});
    }
    BOOST_TEST(asked_by_native);
    BOOST_TEST(asked_by_post);
    BOOST_TEST(asked_by_timer);
}

BOOST_DATA_TEST_CASE(a_handler_that_is_destroyed_may_start_another_operation, test::all_modes)
{
    struct starts
    {
        std::shared_ptr<connection> on;
        std::array<char, 1> data{};

        explicit starts(std::shared_ptr<connection> connected) : on(std::move(connected)) {}
        ~starts()
        {
            on->socket.async_receive(asio::buffer(data), [on = on](error_code, std::size_t) {});
            on->socket.close();
        }
    };
    std::weak_ptr<connection> alive;
    {
        zsync::uring_context ctx(options_of(sample));
        const auto on = std::make_shared<connection>(ctx);
        alive = on;
        const auto owned = std::make_shared<starts>(on);
        auto& memory = owned->data;
        on->socket.async_receive(asio::buffer(memory), [owned](error_code, std::size_t) {});
        ctx.poll();
    }
    BOOST_TEST(alive.expired());
}

BOOST_AUTO_TEST_CASE(two_contexts_of_each_kind_work_side_by_side)
{
    zsync::uring_context first, second;
    zsync::uring_context third(zsync::uring_options{.one_thread = true});
    zsync::uring_context fourth(zsync::uring_options{.one_thread = true});
    std::array all = {&first, &second, &third, &fourth};
    std::vector<std::unique_ptr<connection>> connections;
    std::array<answer, 4> received;
    std::array<std::array<char, 1>, 4> data{};
    for (std::size_t i = 0; i < all.size(); ++i)
    {
        connections.push_back(std::make_unique<connection>(*all[i]));
        connections[i]->socket.async_receive(asio::buffer(data[i]), received[i].handler());
    }
    // One inside the other, too.
    asio::post(first,
               [&]
               {
                   for (std::size_t i = 1; i < all.size(); ++i)
                   {
                       connections[i]->send("x");
                       BOOST_TEST(run_all(*all[i]));
                   }
                   connections[0]->send("x");
               });
    BOOST_TEST(run_all(first));
    for (const auto& each : received)
        BOOST_TEST(each.succeeded());
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace
