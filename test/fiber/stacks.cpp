// SPDX-License-Identifier: BSL-1.0
// The stacks of a context, as its users see them.
#include <zsync/fiber/fiber.hpp>
#include <zsync/fiber/fiber_context.hpp>
#include <zsync/fiber/spawn.hpp>
#include <zsync/fiber/this_fiber.hpp>
#include <zsync/sync/event.hpp>

#include "fiber/run_all.hpp"

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>

#include <chrono>
#include <limits>
#include <vector>

#include <alloca.h>

namespace asio = boost::asio;
namespace this_fiber = zsync::this_fiber;
using namespace std::chrono_literals;
using test::run_all;
using zsync::fiber;
using zsync::fiber_context;

namespace
{

[[gnu::noinline]] void use_stack(std::size_t bytes)
{
    static_cast<char* volatile*>(alloca(bytes))[0] = nullptr;
}

} // namespace

BOOST_AUTO_TEST_SUITE(fiber_stacks)

BOOST_AUTO_TEST_CASE(a_fiber_knows_what_it_has_left_and_has_used)
{
    BOOST_TEST(this_fiber::stack_left() == std::numeric_limits<std::size_t>::max());
    BOOST_TEST(this_fiber::stack_high_water() == 0u);
    fiber_context ctx({.stack_bytes = 256 * 1024});
    zsync::spawn(
        ctx,
        []
        {
            const std::size_t left = this_fiber::stack_left();
            BOOST_TEST((left > 200 * 1024 && left < 256 * 1024));
            const std::size_t used = this_fiber::stack_high_water();
            BOOST_TEST((used > 0 && used < 100 * 1024));
            use_stack(150 * 1024);
            BOOST_TEST(this_fiber::stack_high_water() >= 150 * 1024u);
            BOOST_TEST(this_fiber::stack_high_water() < 256 * 1024u);
        },
        asio::detached);
    BOOST_TEST(run_all(ctx));
    asio::post(ctx, [] { BOOST_TEST(this_fiber::stack_left() > 512 * 1024u); });
    BOOST_TEST(run_all(ctx));
}

BOOST_AUTO_TEST_CASE(a_context_tells_of_all_its_stacks)
{
    fiber_context ctx;
    BOOST_TEST(ctx.stacks().fibers_high_water == 0u);
    for (int index = 0; index < 10; ++index)
        zsync::spawn(
            ctx,
            [index]
            {
                if (index == 5)
                    use_stack(90 * 1024);
                this_fiber::yield();
            },
            asio::detached);
    BOOST_TEST(run_all(ctx));
    const zsync::stack_usage usage = ctx.stacks();
    BOOST_TEST(usage.fibers.taken == 10u);
    BOOST_TEST(usage.fibers.alive == 0u);
    BOOST_TEST(usage.fibers.peak == 10u);
    BOOST_TEST(usage.fibers_high_water >= 90 * 1024u);
    BOOST_TEST(usage.fibers_high_water < 128 * 1024u);
    BOOST_TEST(usage.functions.alive == 1u);
    BOOST_TEST((usage.functions_high_water > 0 && usage.functions_high_water < 1024 * 1024));
}

BOOST_AUTO_TEST_CASE(memory_is_released_when_asked_for)
{
    constexpr std::size_t count = 50;
    fiber_context ctx;
    zsync::event all_wait;
    for (std::size_t index = 0; index < count; ++index)
    {
        zsync::spawn(
            ctx, [&] { all_wait.wait(); }, asio::detached);
        asio::post(ctx, [&] { all_wait.wait(); });
    }
    asio::post(ctx, [&] { all_wait.set(); });
    BOOST_TEST(run_all(ctx));
    BOOST_TEST(ctx.stacks().fibers.warm == count);
    BOOST_TEST(ctx.stacks().functions.alive == count + 1);

    ctx.release_memory();
    zsync::stack_usage usage = ctx.stacks();
    BOOST_TEST(usage.fibers.warm == 0u);
    BOOST_TEST(usage.fibers.trimmed == count);
    BOOST_TEST(usage.functions.alive <= 2u);
    BOOST_TEST(usage.functions.warm == 0u);

    // On a fiber, while others wait.
    int done = 0;
    for (std::size_t index = 0; index < count; ++index)
    {
        zsync::spawn(
            ctx, [&] { this_fiber::sleep_for(2ms), ++done; }, asio::detached);
        asio::post(ctx, [&] { this_fiber::sleep_for(2ms), ++done; });
    }
    zsync::spawn(
        ctx,
        [&]
        {
            for (bool all = false; !all;)
            {
                this_fiber::sleep_for(500us);
                all = done == 2 * static_cast<int>(count);
                ctx.release_memory();
            }
        },
        asio::detached);
    BOOST_TEST(run_all(ctx));
    BOOST_TEST(done == 2 * static_cast<int>(count));
    usage = ctx.stacks();
    BOOST_TEST(usage.fibers.alive == 0u);
    BOOST_TEST(usage.fibers.warm <= 1u);
}

BOOST_AUTO_TEST_CASE(how_many_stay_warm_is_an_option)
{
    fiber_context ctx({.warm_stacks = 3});
    for (int index = 0; index < 100; ++index)
        zsync::spawn(
            ctx, [] { this_fiber::yield(); }, asio::detached);
    BOOST_TEST(run_all(ctx));
    BOOST_TEST(ctx.stacks().fibers.warm < 3u + 16u); // they are given back in batches
}

BOOST_AUTO_TEST_SUITE_END()
