// SPDX-License-Identifier: BSL-1.0

// What a fiber_context reports by itself: stalls and deadlocks.

#include <zsync/fiber/fiber_options.hpp>

#include <zsync/core/detail/sanitizers.hpp>
#include <zsync/core/inline_executor.hpp>
#include <zsync/fiber.hpp>
#include <zsync/sync/event.hpp>
#include <zsync/sync/mutex.hpp>

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>

#include <atomic>
#include <chrono>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace
{

// Longer than a busy machine keeps a thread from running.
constexpr auto stall_limit = 200ms;

// What a context has reported.
class reported
{
public:
    auto sink()
    {
        return [this](std::string_view lines)
        {
            const std::lock_guard held(mutex_);
            text_ += lines;
            ++count_;
        };
    }

    int count() const { return count_; }

    std::string text()
    {
        const std::lock_guard held(mutex_);
        return text_;
    }

private:
    std::mutex mutex_;
    std::string text_;
    std::atomic<int> count_{0};
};

// Returns when a context with the options of that under test has reported a deadlock: so that one would have been
// there.
void wait_as_long_as_a_report_takes()
{
    zsync::event never;
    zsync::fiber_context* running = nullptr;
    zsync::fiber_context ctx({.report = [&](std::string_view) { running->stop(); }, .deadlock_after = 1ms});
    running = &ctx;
    zsync::fiber(ctx, [&] { never.wait(); }).detach();
    ctx.run();
}

// Keeps its thread busy until there is a report, or much too long. A system call now and then: it is there that
// ThreadSanitizer lets signals through.
[[gnu::noinline]] void keep_the_loop(const reported& until)
{
    for (const auto end = std::chrono::steady_clock::now() + 30s;
         until.count() == 0 && std::chrono::steady_clock::now() < end;)
        asm volatile("");
}

bool contains(const std::string& text, std::string_view part)
{
    return text.find(part) != text.npos;
}

} // namespace

BOOST_AUTO_TEST_SUITE(reports)

BOOST_AUTO_TEST_CASE(a_fiber_that_stalls_its_loop_is_counted_and_shown_while_it_does)
{
    reported all;
    zsync::fiber_context ctx({.report = all.sink(), .stall_limit = stall_limit});
    zsync::fiber busy(ctx, {.name = "busy"}, [&] { keep_the_loop(all); });
    ctx.run();
    busy.join();
    BOOST_TEST(all.count() == 1);
    BOOST_TEST(ctx.counters().loop_stalls == 1);
    BOOST_TEST(contains(all.text(), " \"busy\" has been holding its loop for "), all.text());
    if (!ZSYNC_HAS_TSAN) // which keeps signals back while a function makes no system calls
        BOOST_TEST(contains(all.text(), "keep_the_loop"), all.text());
}

BOOST_AUTO_TEST_CASE(a_handler_that_stalls_its_loop_is_shown_too)
{
    reported all;
    zsync::fiber_context ctx({.report = all.sink(), .stall_limit = stall_limit});
    asio::post(ctx, [&] { keep_the_loop(all); });
    ctx.run();
    BOOST_TEST(contains(all.text(), "zsync: a function or handler has been holding"), all.text());
}

BOOST_AUTO_TEST_CASE(a_handler_of_a_stock_object_that_stalls_its_loop_is_shown_too)
{
    reported all;
    zsync::fiber_context ctx({.report = all.sink(), .stall_limit = stall_limit});
    asio::steady_timer timer(ctx, 0s);
    timer.async_wait(asio::bind_executor(asio::system_executor(), [](boost::system::error_code) {}));
    asio::steady_timer busy(ctx, 1ms);
    busy.async_wait(
        asio::bind_executor(zsync::inline_executor(), [&](boost::system::error_code) { keep_the_loop(all); }));
    ctx.run();
    BOOST_TEST(contains(all.text(), "zsync: a function or handler has been holding"), all.text());
}

BOOST_AUTO_TEST_CASE(a_loop_that_sleeps_or_is_left_stalls_nothing)
{
    reported all;
    zsync::fiber_context ctx({.report = all.sink(), .stall_limit = stall_limit});
    zsync::spawn(
        ctx, [] { zsync::this_fiber::sleep_for(3 * stall_limit); }, asio::detached);
    ctx.run();
    std::this_thread::sleep_for(3 * stall_limit); // nothing is to come of it
    BOOST_TEST(ctx.counters().loop_stalls == 0);
    BOOST_TEST(all.text() == "");
}

BOOST_AUTO_TEST_CASE(with_a_watch_everything_runs_as_without)
{
    reported all;
    zsync::event never;
    zsync::fiber_context ctx({.report = all.sink(), .stall_limit = 1h});
    int done = 0;
    for (int i = 0; i != 10; ++i)
        zsync::spawn(
            ctx,
            [&]
            {
                for (int k = 0; k != 1000; ++k)
                    zsync::this_fiber::yield();
                ++done;
            },
            asio::detached);
    BOOST_TEST(ctx.run_one() == 1u);
    BOOST_TEST(ctx.poll_one() == 1u);
    ctx.run();
    BOOST_TEST(done == 10);
    zsync::spawn(
        ctx, [&] { never.wait(); }, asio::detached);
    ctx.restart();
    ctx.poll(); // its fiber is unwound by the destructor
}

BOOST_AUTO_TEST_CASE(fibers_that_wait_for_each_other_are_reported_as_a_deadlock)
{
    reported all;
    zsync::fiber_context* running = nullptr;
    zsync::fiber_context ctx({.report =
                                  [&](std::string_view lines)
                              {
                                  all.sink()(lines);
                                  running->stop();
                              },
                              .deadlock_after = 1ms});
    running = &ctx;
    zsync::mutex one, other;
    const auto lock_both = [](zsync::mutex& first, zsync::mutex& second)
    {
        const std::lock_guard holds_first(first);
        zsync::this_fiber::yield();
        const std::lock_guard holds_second(second);
    };
    zsync::fiber left(ctx, {.name = "left"}, [&] { lock_both(one, other); });
    zsync::fiber right(ctx, {.name = "right"}, [&] { lock_both(other, one); });
    zsync::fiber third(ctx, {.name = "third"}, [&] { left.join(); });
    ctx.run();
    BOOST_TEST(all.count() == 1);
    BOOST_TEST(contains(all.text(), "zsync: a deadlock, unless another thread is to wake a fiber"), all.text());
    BOOST_TEST(contains(all.text(), "\"left\" waits for zsync::mutex at 0x"), all.text());
    BOOST_TEST(contains(all.text(), "\"right\" waits for zsync::mutex at 0x"), all.text());
    BOOST_TEST(contains(all.text(), "\"third\" waits for fiber "), all.text());

    right.request_cancel(); // the loop has been waiting on, and goes on
    ctx.restart();
    ctx.run();
    BOOST_TEST(third.is_done());
    BOOST_CHECK_THROW(right.join(), boost::system::system_error);
    third.join();
}

BOOST_AUTO_TEST_CASE(spawned_fibers_that_wait_for_each_other_are_reported_too)
{
    // The work of their handlers is nobody's who could wake them.
    reported all;
    zsync::fiber_context* running = nullptr;
    zsync::fiber_context ctx({.report =
                                  [&](std::string_view lines)
                              {
                                  all.sink()(lines);
                                  running->stop();
                              },
                              .deadlock_after = 1ms});
    running = &ctx;
    zsync::event never;
    bool told = false;
    zsync::spawn(
        ctx, [&] { never.wait(); }, asio::detached);
    zsync::spawn(
        asio::any_io_executor(ctx.get_executor()), [&] { never.wait(); }, [&](std::exception_ptr) { told = true; });
    zsync::spawn(
        asio::make_strand(ctx.get_executor()), [&] { never.wait(); }, asio::detached);
    ctx.run();
    BOOST_TEST(all.count() == 1);
    BOOST_TEST(contains(all.text(), "waits for zsync::event at 0x"), all.text());

    never.set();
    ctx.restart();
    ctx.run();
    BOOST_TEST(told);
}

BOOST_AUTO_TEST_CASE(a_thread_that_waits_for_a_context_that_nobody_runs_is_reported)
{
    reported all;
    zsync::fiber_context ctx({.report = all.sink(), .deadlock_after = 1ms});
    zsync::fiber one(ctx, [] {});
    std::thread late(
        [&]
        {
            while (all.count() < 2) // it goes on waiting, and says so again
                std::this_thread::yield();
            ctx.run();
        });
    one.join();
    late.join();
    BOOST_TEST(contains(all.text(), "zsync: a thread has been waiting for a fiber for 1 ms, and no thread runs its "
                                    "fiber_context at 0x"),
               all.text());
    BOOST_TEST(contains(all.text(), "for 2 ms"), all.text());

    // Not where somebody does, however long the fiber takes.
    const int before = all.count();
    zsync::event begun, may_end;
    ctx.restart();
    const auto work = asio::make_work_guard(ctx);
    std::thread runs([&] { ctx.run(); });
    zsync::fiber slow(ctx,
                      [&]
                      {
                          begun.set();
                          may_end.wait();
                      });
    begun.wait();
    std::thread ends(
        [&]
        {
            wait_as_long_as_a_report_takes();
            may_end.set();
        });
    slow.join();
    ends.join();
    ctx.stop();
    runs.join();
    BOOST_TEST(all.count() == before);
}

BOOST_AUTO_TEST_CASE(what_a_timer_tracked_work_or_a_descriptor_may_wake_is_no_deadlock)
{
    reported all;
    zsync::fiber_context ctx({.report = all.sink(), .deadlock_after = 1ms});
    zsync::event happened;
    const auto wait_and = [&](auto wakes)
    {
        zsync::fiber(ctx, [&] { happened.wait(); }).detach();
        wakes();
        ctx.restart();
        ctx.run();
        happened.reset();
    };
    wait_and(
        [&]
        {
            zsync::fiber(ctx,
                         [&]
                         {
                             zsync::this_fiber::sleep_for(20ms);
                             happened.set();
                         })
                .detach();
        });
    asio::steady_timer stock(ctx);
    wait_and(
        [&]
        {
            stock.expires_after(20ms);
            stock.async_wait([&](boost::system::error_code) { happened.set(); });
        });
    std::thread elsewhere;
    wait_and(
        [&]
        {
            elsewhere = std::thread(
                [&, work = asio::make_work_guard(ctx)]
                {
                    wait_as_long_as_a_report_takes();
                    happened.set();
                });
        });
    elsewhere.join();
    BOOST_TEST(all.text() == "");
}

BOOST_AUTO_TEST_SUITE_END()
