// SPDX-License-Identifier: BSL-1.0
#include <zsync/fiber/dump_fibers.hpp>

#include <zsync/core/detail/sanitizers.hpp>
#include <zsync/core/use_await.hpp>
#include <zsync/fiber.hpp>
#include <zsync/sync/event.hpp>
#include <zsync/sync/mutex.hpp>

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>

#include <chrono>
#include <csignal>
#include <functional>
#include <future>
#include <mutex>
#include <regex>
#include <sstream>
#include <string>
#include <thread>

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace
{

std::string dump(zsync::fiber_context& ctx)
{
    std::ostringstream text;
    zsync::dump_fibers(ctx, text);
    return text.str();
}

bool matches(const std::string& text, const std::string& expression)
{
    return std::regex_search(text, std::regex(expression));
}

// In which the fibers of the cases stand.
[[gnu::noinline]] void wait_in_here(zsync::event& happened)
{
    happened.wait();
    asm volatile(""); // it is no tail call
}

// Has `dumped` called on a fiber while others stand in all kinds of waits.
void among_waiting_fibers(const std::function<void(zsync::fiber_context&)>& dumped)
{
    zsync::fiber_context ctx;
    zsync::event happened;
    zsync::mutex lock;
    BOOST_TEST(lock.try_lock()); // until all has been seen
    asio::steady_timer never(ctx, asio::steady_timer::time_point::max());
    zsync::fiber by_event(ctx, {.name = "by event"}, [&] { wait_in_here(happened); });
    zsync::fiber by_lock(ctx, {.name = "by lock"}, [&] { const std::lock_guard held(lock); });
    zsync::fiber by_time(ctx, {.name = "by time"}, [&] { zsync::this_fiber::sleep_for(1h); });
    zsync::fiber by_join(ctx, {.name = "by join"}, [&] { by_event.join(); });
    zsync::fiber by_token(ctx, {.name = "by token"}, [&] { never.async_wait(zsync::use_await); });
    zsync::fiber last(ctx, {.name = "last"},
                      [&]
                      {
                          zsync::this_fiber::yield();
                          dumped(ctx);
                          lock.unlock();
                          happened.set();
                          by_time.request_cancel();
                          by_token.request_cancel();
                      });
    ctx.run();
    by_lock.join();
    by_join.join();
    last.join();
    boost::system::error_code ec;
    by_time.join(ec);
    by_token.join(ec);
}

} // namespace

BOOST_AUTO_TEST_SUITE(dump_fibers)

BOOST_AUTO_TEST_CASE(says_what_each_fiber_waits_for)
{
    std::string text;
    among_waiting_fibers([&](zsync::fiber_context& ctx) { text = dump(ctx); });
    BOOST_TEST_CONTEXT(text)
    {
        BOOST_TEST(matches(text, R"(^fiber_context at 0x\w+ on (io_uring|epoll): 6 fibers\n)"));
        BOOST_TEST(matches(text, R"(fiber \d+ "by event" waits for zsync::event at 0x\w+, \d+\.\d{3} s; stack)"));
        BOOST_TEST(matches(text, R"("by lock" waits for zsync::mutex at 0x)"));
        BOOST_TEST(matches(text, R"("by time" waits for a point in time, )"));
        BOOST_TEST(matches(text, R"("by join" waits for fiber \d+ "by event", )"));
        BOOST_TEST(matches(text, R"("by token" waits for boost::asio::.*initiate_async_wait, )"));
        BOOST_TEST(matches(text, R"("last" runs; stack \d+ of \d+ bytes, touched \d+\n)"));
    }
}

BOOST_AUTO_TEST_CASE(names_the_frames_of_a_suspended_fiber_and_of_its_own)
{
    std::string text;
    among_waiting_fibers([&](zsync::fiber_context& ctx) { text = dump(ctx); });
    BOOST_TEST_CONTEXT(text)
    {
        const auto frames_of = [&](const std::string& name)
        {
            const auto start = text.find(name);
            return text.substr(start, text.find("\nfiber ", start) - start);
        };
        BOOST_TEST(matches(frames_of("\"by event\""), R"(#\d+ \(?.*wait_in_here\(zsync::event&\) \(test_fiber\+0x)"));
        BOOST_TEST(matches(frames_of("\"by lock\""), R"(#\d+ zsync::mutex::)"));
        BOOST_TEST(!matches(frames_of("\"by lock\""), "wait_in_here"));
        BOOST_TEST(matches(frames_of("\"last\""), R"(#0 .*among_waiting_fibers|#0 .*dump(\[abi:cxx11\])?\()"));
    }
}

BOOST_AUTO_TEST_CASE(leaves_a_suspended_fiber_as_it_is)
{
    among_waiting_fibers(
        [](zsync::fiber_context& ctx)
        {
            const auto of_the_suspended = [&]
            {
                const std::string text = dump(ctx);
                return std::regex_replace(text.substr(0, text.find("\"last\"")),
                                          std::regex(R"(\d+\.\d{3} s|touched \d+)"), "");
            };
            const std::string first = of_the_suspended();
            for (int i = 0; i != 3; ++i)
                BOOST_TEST(of_the_suspended() == first);
        });
}

BOOST_AUTO_TEST_CASE(tells_ready_fibers_from_those_that_have_not_begun)
{
    zsync::fiber_context ctx;
    std::string text;
    zsync::spawn(
        ctx, [] { zsync::this_fiber::yield(); }, asio::detached);
    zsync::spawn(
        ctx,
        [&]
        {
            zsync::spawn(
                ctx, [] {}, asio::detached);
            text = dump(ctx);
        },
        asio::detached);
    ctx.run();
    BOOST_TEST(matches(text, R"(fiber \d+ is ready; )"), text);
    BOOST_TEST(matches(text, R"(fiber \d+ has not begun; stack \d+ of \d+ bytes(, touched \d+)?\n$)"), text);
}

BOOST_AUTO_TEST_CASE(lists_a_function_that_waits_in_its_item)
{
    zsync::fiber_context ctx;
    std::string text;
    zsync::event happened;
    asio::post(ctx, [&] { happened.wait(); });
    zsync::spawn(
        ctx,
        [&]
        {
            text = dump(ctx);
            happened.set();
        },
        asio::detached);
    ctx.run();
    BOOST_TEST(matches(text, R"(fiber \d+, of a function or handler, waits for zsync::event at)"), text);
}

BOOST_AUTO_TEST_CASE(works_on_a_context_that_nobody_runs)
{
    zsync::event happened;
    zsync::fiber_context ctx;
    zsync::spawn(
        ctx, [&] { wait_in_here(happened); }, asio::detached);
    ctx.poll();
    const std::string text = dump(ctx);
    BOOST_TEST(matches(text, "1 fiber\nfiber \\d+ waits for zsync::event"), text);
    BOOST_TEST(matches(text, "wait_in_here"), text);
}

BOOST_AUTO_TEST_CASE(asks_a_loop_that_another_thread_runs)
{
    zsync::fiber_context ctx;
    zsync::event happened;
    std::promise<void> waiting;
    zsync::fiber waiter(ctx, {.name = "waiter"},
                        [&]
                        {
                            waiting.set_value();
                            wait_in_here(happened);
                        });
    std::thread runs([&] { ctx.run(); });
    waiting.get_future().wait();
    const std::string text = dump(ctx);
    BOOST_TEST(matches(text, "1 fiber\nfiber \\d+ \"waiter\" waits for zsync::event"), text);
    BOOST_TEST(matches(text, "wait_in_here"), text);
    happened.set();
    runs.join();
    waiter.join();
}

BOOST_AUTO_TEST_CASE(is_reported_when_the_signal_comes_and_keeps_no_run_from_its_end)
{
    std::string text;
    zsync::event reported;
    zsync::fiber_context ctx({.report =
                                  [&](std::string_view lines)
                              {
                                  text = lines;
                                  reported.set();
                              },
                              .dump_signal = SIGUSR2});
    for (int i = 0; i != 2; ++i)
    {
        text.clear();
        reported.reset();
        zsync::spawn(
            ctx, [&] { wait_in_here(reported); }, asio::detached);
        asio::post(ctx, [] { std::raise(SIGUSR2); });
        ctx.restart();
        ctx.run();
        BOOST_TEST(ctx.stopped());
        BOOST_TEST(matches(text, "^zsync: all fibers, as a signal has asked for\nfiber_context"), text);
        BOOST_TEST(matches(text, "wait_in_here"), text);
    }
}

BOOST_AUTO_TEST_SUITE_END()
