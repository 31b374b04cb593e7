// SPDX-License-Identifier: BSL-1.0
// Timers that are native by their executor's type, under clocks that the test sets.
#include <zsync/uring/detail/stock_timers.hpp>

#include "support/native_sockets.hpp"
#include "support/needs_ring.hpp"
#include "support/process_state.hpp"

#include <zsync/uring/uring_context.hpp>

#include <boost/asio.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <thread>
#include <vector>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using boost::system::error_code;
using std::chrono::system_clock;
using test::answer;
using test::context_mode;
using test::options_of;
using test::run_all;
using zsync::detail::stock_timers;

namespace
{

using native_timer = asio::steady_timer::rebind_executor<test::native_executor>::other;
using native_wall_timer = asio::system_timer::rebind_executor<test::native_executor>::other;

// The clocks that the test sets: what is added to the real ones.
std::atomic<std::chrono::nanoseconds::rep> wall_offset{0};
std::atomic<std::chrono::nanoseconds::rep> virtual_steady{0};

stock_timers::time_point stepped_wall() noexcept
{
    return stock_timers::time_point(std::chrono::nanoseconds(system_clock::now().time_since_epoch()) +
                                    std::chrono::nanoseconds(wall_offset.load()));
}

stock_timers::time_point virtual_now() noexcept
{
    return stock_timers::time_point(std::chrono::nanoseconds(virtual_steady.load()));
}

zsync::detail::uring_service& service_of(zsync::uring_context& ctx)
{
    return *zsync::detail::uring_service::find(ctx);
}

} // namespace

BOOST_AUTO_TEST_SUITE(uring_stock_timers, *boost::unit_test::precondition(test::needs_ring))

BOOST_DATA_TEST_CASE(timers_of_the_native_executor_stand_in_the_wheel_and_others_do_not, test::all_modes, mode)
{
    zsync::uring_context ctx(options_of(mode));
    answer stock, native, moved;
    asio::steady_timer hosted(ctx, 1ms);
    hosted.async_wait(stock.handler());
    BOOST_TEST(ctx.counters().timer_waits == 0u);
    native_timer timer(ctx.native_executor(), 1ms);
    timer.async_wait(native.handler());
    BOOST_TEST(ctx.counters().timer_waits == 1u);
    native_timer from(ctx.native_executor(), 1ms);
    from.async_wait(moved.handler());
    native_timer to(std::move(from));
    const auto runs_of_the_reactor = ctx.counters().reactor_runs;
    BOOST_TEST(run_all(ctx));
    BOOST_TEST(stock.succeeded());
    BOOST_TEST(native.succeeded());
    BOOST_TEST(moved.succeeded());
    BOOST_TEST(ctx.counters().reactor_runs > runs_of_the_reactor);
}

// By a clock that stands still unless the test moves it.
BOOST_DATA_TEST_CASE(nothing_expires_a_nanosecond_early, test::all_modes, mode)
{
    zsync::uring_context ctx(options_of(mode));
    virtual_steady = 1'000'000'000;
    service_of(ctx).timers(stock_timers::clock::wall).read_clock(stock_timers::clock::steady, virtual_now);

    std::vector<int> order;
    std::deque<native_timer> all;
    for (const int at : {300, 100, 200, 100})
    {
        all.emplace_back(ctx.native_executor(), virtual_now() + std::chrono::nanoseconds(at));
        all.back().async_wait([&, at](error_code) { order.push_back(at); });
    }
    ctx.poll();
    BOOST_TEST(order.empty());
    virtual_steady += 99;
    ctx.poll();
    BOOST_TEST(order.empty());
    virtual_steady += 1;
    ctx.poll();
    BOOST_TEST((order == std::vector{100, 100}));
    virtual_steady += 1000;
    ctx.poll();
    BOOST_TEST((order == std::vector{100, 100, 200, 300}));
    BOOST_TEST(ctx.stopped());
}

BOOST_AUTO_TEST_CASE(a_wait_for_wall_time_follows_the_clock_when_it_is_set)
{
    zsync::uring_context ctx;
    wall_offset = 0;
    service_of(ctx).timers(stock_timers::clock::steady).read_clock(stock_timers::clock::wall, stepped_wall);

    answer told;
    native_wall_timer timer(ctx.native_executor(), system_clock::now() + 1h);
    timer.async_wait(told.handler());
    BOOST_TEST(ctx.run_for(5ms) == 0u);

    // Set back, and nothing is due for that; nor when the old deadline comes, of which the wheel already knows.
    wall_offset = -std::chrono::nanoseconds(2h).count();
    BOOST_TEST(ctx.run_for(1ms) == 0u);
    answer sooner;
    native_wall_timer soon(ctx.native_executor(), system_clock::now() - 2h + 5ms);
    soon.async_wait(sooner.handler());
    ctx.run_one();
    BOOST_TEST(sooner.succeeded());
    BOOST_TEST(told.calls == 0);

    // Set ahead, while a thread is asleep in the kernel: the kernel tells, for which an interrupt stands here.
    std::thread runner([&] { ctx.run(); });
    wall_offset = std::chrono::nanoseconds(1h).count();
    service_of(ctx).interrupt();
    runner.join();
    BOOST_TEST(told.succeeded());
}

BOOST_AUTO_TEST_CASE(a_context_with_wall_timers_closes_what_it_opened)
{
    const std::size_t before = test::open_descriptors();
    {
        zsync::uring_context ctx;
        answer told;
        native_wall_timer first(ctx.native_executor(), 1ms);
        native_wall_timer second(ctx.native_executor(), 1h);
        first.async_wait(told.handler());
        second.async_wait([](error_code) {});
        ctx.run_one();
        BOOST_TEST(told.succeeded());
    }
    BOOST_TEST(test::open_descriptors() == before);
}

BOOST_AUTO_TEST_CASE(one_wait_at_a_time_makes_no_more_turns_than_it_must)
{
    zsync::uring_context ctx(1);
    native_timer timer(ctx.native_executor());
    int left = 20;
    std::function<void(error_code)> again = [&](error_code)
    {
        if (left-- == 0)
            return;
        timer.expires_after(200us);
        timer.async_wait(again);
    };
    again({});
    const auto before = ctx.counters().ring_enters;
    ctx.run();
    const auto enters = ctx.counters().ring_enters - before;
    BOOST_TEST(enters >= 20u);
    BOOST_TEST(enters <= 45u); // one a wait, and a second where a timer of the kernel was a moment early
    BOOST_TEST(ctx.counters().wakes <= 1u);
}

BOOST_AUTO_TEST_SUITE_END()
