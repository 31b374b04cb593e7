// SPDX-License-Identifier: BSL-1.0
// What a context does with its stacks when the system says that memory is short.
#include <zsync/fiber/fiber_context.hpp>
#include <zsync/fiber/spawn.hpp>
#include <zsync/fiber/this_fiber.hpp>
#include <zsync/platform/ring_probe.hpp>

#include "fiber/run_all.hpp"
#include "support/pressure_fifo.hpp"
#include "support/process_state.hpp"

#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/test/unit_test.hpp>

#include <chrono>
#include <optional>
#include <vector>

namespace asio = boost::asio;
namespace this_fiber = zsync::this_fiber;
using namespace std::chrono_literals;
using test::run_all;
using zsync::engine_kind;
using zsync::fiber_context;

namespace
{

constexpr int enough_to_watch = 300;

// Fibers and functions that wait at the same time, so that each needs a stack.
void use_stacks(fiber_context& ctx, int fibers = enough_to_watch, int functions = 10)
{
    for (int index = 0; index < fibers; ++index)
        zsync::spawn(
            ctx, [] { this_fiber::sleep_for(1ms); }, asio::detached);
    for (int index = 0; index < functions; ++index)
        asio::post(ctx, [] { this_fiber::sleep_for(1ms); });
    BOOST_TEST(run_all(ctx));
}

// Runs the context, with a fiber that waits, until it has given memory back so many times.
bool releases(fiber_context& ctx, std::uint64_t times)
{
    bool done = false;
    zsync::spawn(
        ctx,
        [&]
        {
            const auto end = std::chrono::steady_clock::now() + 20s;
            while (!(done = ctx.counters().memory_releases >= times) && std::chrono::steady_clock::now() < end)
                this_fiber::sleep_for(1ms);
        },
        asio::detached);
    BOOST_TEST(run_all(ctx));
    return done;
}

std::vector<engine_kind> engines()
{
    std::vector<engine_kind> there{engine_kind::reactor};
    if (const zsync::ring_support ring = zsync::probe_ring(); ring.available && ring.meets_minimum())
        there.push_back(engine_kind::uring);
    else
        BOOST_TEST_MESSAGE("skipped with io_uring: " << ring.why);
    return there;
}

} // namespace

BOOST_AUTO_TEST_SUITE(fiber_memory_pressure)

BOOST_AUTO_TEST_CASE(free_stacks_are_given_back_each_time_that_memory_is_short)
{
    for (const engine_kind engine : engines())
        BOOST_TEST_CONTEXT(to_string(engine))
        {
            const test::pressure_fifo system;
            fiber_context ctx({.engine = engine});
            for (std::uint64_t time = 1; time <= 2; ++time)
            {
                use_stacks(ctx);
                BOOST_TEST(ctx.stacks().fibers.warm == std::size_t{enough_to_watch});
                BOOST_TEST(ctx.stacks().functions.alive > 10u);
                BOOST_TEST(ctx.stacks().pressure_source == system.path());

                system.tell();
                BOOST_TEST(releases(ctx, time));
                const zsync::stack_usage usage = ctx.stacks();
                BOOST_TEST(usage.fibers.warm <= 1u); // the one that waited for it
                BOOST_TEST(usage.functions.alive <= 2u);
                BOOST_TEST(usage.functions.warm == 0u);
                BOOST_TEST(system.empty());
            }
            BOOST_TEST(ctx.counters().memory_releases == 2u);
        }
}

BOOST_AUTO_TEST_CASE(stacks_in_use_stay_as_they_are)
{
    const test::pressure_fifo system;
    fiber_context ctx;
    int unchanged = 0;
    bool over = false;
    for (int index = 0; index < enough_to_watch; ++index)
        zsync::spawn(
            ctx,
            [&, index]
            {
                const volatile int kept = index;
                while (!over)
                    this_fiber::sleep_for(1ms);
                unchanged += kept == index;
            },
            asio::detached);
    zsync::spawn(
        ctx,
        [&]
        {
            this_fiber::sleep_for(1ms);
            system.tell();
            const auto end = std::chrono::steady_clock::now() + 20s;
            while (ctx.counters().memory_releases == 0 && std::chrono::steady_clock::now() < end)
                this_fiber::sleep_for(1ms);
            over = true;
        },
        asio::detached);
    BOOST_TEST(run_all(ctx));
    BOOST_TEST(ctx.counters().memory_releases == 1u);
    BOOST_TEST(unchanged == enough_to_watch);
}

BOOST_AUTO_TEST_CASE(the_watch_is_no_work_and_goes_with_its_context)
{
    const test::pressure_fifo system;
    const std::size_t before = test::open_descriptors();
    for (const engine_kind engine : engines())
    {
        fiber_context ctx({.engine = engine});
        use_stacks(ctx);
        BOOST_TEST(!ctx.stacks().pressure_source.empty());
        ctx.restart();
        BOOST_TEST(ctx.run() == 0u); // returns
        system.tell();               // and nobody runs it any more
    }
    BOOST_TEST(test::open_descriptors() == before);
}

BOOST_AUTO_TEST_CASE(few_stacks_are_not_worth_a_descriptor)
{
    const test::pressure_fifo system;
    fiber_context ctx;
    use_stacks(ctx, 100, 0);
    BOOST_TEST(ctx.stacks().pressure_source == "");
}

BOOST_AUTO_TEST_CASE(it_can_be_switched_off)
{
    const test::pressure_fifo system;
    fiber_context ctx({.release_under_pressure = false});
    use_stacks(ctx);
    BOOST_TEST(ctx.stacks().pressure_source == "");
    system.tell();
    use_stacks(ctx);
    BOOST_TEST(ctx.counters().memory_releases == 0u);
    BOOST_TEST(ctx.stacks().fibers.warm == std::size_t{enough_to_watch});
}

BOOST_AUTO_TEST_CASE(where_nothing_tells_the_reason_can_be_asked_for)
{
    const test::environment_variable watch("MEMORY_PRESSURE_WATCH", "/nonexistent/pressure");
    fiber_context ctx;
    use_stacks(ctx);
    BOOST_TEST(ctx.stacks().pressure_source == "/nonexistent/pressure: No such file or directory");
}

BOOST_AUTO_TEST_CASE(metrics_count_fibers_and_their_stacks)
{
    fiber_context ctx;
    BOOST_TEST(ctx.counters().fibers_started == 0u);
    bool over = false;
    for (int index = 0; index < 5; ++index)
        zsync::spawn(
            ctx,
            [&]
            {
                while (!over)
                    this_fiber::sleep_for(1ms);
            },
            asio::detached);
    zsync::spawn(
        ctx,
        [&]
        {
            this_fiber::sleep_for(1ms); // a turn later
            const zsync::metrics now = ctx.counters();
            BOOST_TEST(now.fibers_started == 6u);
            BOOST_TEST(now.fibers_alive == 6u);
            over = true;
        },
        asio::detached);
    BOOST_TEST(run_all(ctx));
    const zsync::metrics after = ctx.counters();
    BOOST_TEST(after.fibers_started == 6u);
    BOOST_TEST(after.fibers_alive == 0u);
    BOOST_TEST(after.fibers_peak == 6u);
    BOOST_TEST(after.guards_missing == ctx.stacks().fibers.guards_missing + ctx.stacks().functions.guards_missing);
}

BOOST_AUTO_TEST_SUITE_END()
