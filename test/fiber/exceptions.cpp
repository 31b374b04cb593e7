// SPDX-License-Identifier: BSL-1.0
// Fibers that wait while they handle, or throw, exceptions.
#include <zsync/fiber/fiber.hpp>
#include <zsync/fiber/fiber_context.hpp>
#include <zsync/fiber/spawn.hpp>
#include <zsync/fiber/this_fiber.hpp>

#include "fiber/run_all.hpp"

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>

#include <atomic>
#include <chrono>
#include <exception>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace asio = boost::asio;
namespace this_fiber = zsync::this_fiber;
using namespace std::chrono_literals;
using test::run_all;
using zsync::fiber;
using zsync::fiber_context;

namespace
{

struct numbered : std::runtime_error
{
    explicit numbered(int n) : std::runtime_error(std::to_string(n)), number(n) {}
    int number;
};

int current_number()
{
    try
    {
        throw;
    }
    catch (const numbered& error)
    {
        return error.number;
    }
}

} // namespace

BOOST_AUTO_TEST_SUITE(fiber_exceptions)

BOOST_AUTO_TEST_CASE(each_fiber_rethrows_what_it_has_caught)
{
    fiber_context ctx;
    int right = 0;
    for (int me = 0; me < 20; ++me)
        zsync::spawn(
            ctx,
            [&, me]
            {
                for (int turn = 0; turn < 10; ++turn)
                    try
                    {
                        try
                        {
                            throw numbered(me);
                        }
                        catch (const numbered&)
                        {
                            this_fiber::yield();
                            const bool mine = current_number() == me && std::uncaught_exceptions() == 0;
                            // Others throw and catch meanwhile; and so does this one, inside.
                            try
                            {
                                throw numbered(1000 + me);
                            }
                            catch (const numbered& inner)
                            {
                                this_fiber::yield();
                                right += mine && inner.number == 1000 + me && current_number() == 1000 + me;
                            }
                            if (me % 2)
                                this_fiber::yield();
                            throw;
                        }
                    }
                    catch (const numbered& again)
                    {
                        right += again.number == me && current_number() == me;
                    }
                right += !std::current_exception();
            },
            asio::detached);
    BOOST_TEST(run_all(ctx));
    BOOST_TEST(right == 20 * 21);
}

BOOST_AUTO_TEST_CASE(nested_exceptions_stay_together)
{
    fiber_context ctx;
    int right = 0;
    for (int me = 0; me < 10; ++me)
        zsync::spawn(
            ctx,
            [&, me]
            {
                try
                {
                    try
                    {
                        throw numbered(me);
                    }
                    catch (...)
                    {
                        this_fiber::yield();
                        std::throw_with_nested(std::runtime_error("outer"));
                    }
                }
                catch (const std::exception& outer)
                {
                    this_fiber::yield();
                    try
                    {
                        std::rethrow_if_nested(outer);
                    }
                    catch (const numbered& inner)
                    {
                        this_fiber::yield();
                        right += inner.number == me;
                    }
                }
            },
            asio::detached);
    BOOST_TEST(run_all(ctx));
    BOOST_TEST(right == 10);
}

BOOST_AUTO_TEST_CASE(a_destructor_that_waits_is_not_seen_to_unwind_by_others)
{
    struct waits
    {
        int& right;
        ~waits()
        {
            right += std::uncaught_exceptions() == 1;
            this_fiber::yield();
            right += std::uncaught_exceptions() == 1;
        }
    };
    fiber_context ctx;
    int right = 0;
    for (int me = 0; me < 10; ++me)
    {
        zsync::spawn(
            ctx,
            [&, me]
            {
                try
                {
                    const waits here{right};
                    throw numbered(me);
                }
                catch (const numbered& error)
                {
                    right += error.number == me;
                }
            },
            asio::detached);
        zsync::spawn(
            ctx,
            [&]
            {
                right += std::uncaught_exceptions() == 0 && !std::current_exception();
                this_fiber::yield();
                right += std::uncaught_exceptions() == 0 && !std::current_exception();
            },
            asio::detached);
    }
    BOOST_TEST(run_all(ctx));
    BOOST_TEST(right == 50);
}

BOOST_AUTO_TEST_CASE(a_handler_goes_on_on_the_thread_that_adopts_the_context)
{
    fiber_context ctx;
    int right = 0;
    for (int me = 0; me < 10; ++me)
        zsync::spawn(
            ctx,
            [&, me]
            {
                try
                {
                    try
                    {
                        throw numbered(me);
                    }
                    catch (...)
                    {
                        ctx.stop();
                        while (right < me) // in an order that is not that of a stack
                            this_fiber::yield();
                        this_fiber::yield();
                        throw;
                    }
                }
                catch (const numbered& error)
                {
                    right += error.number == me;
                }
            },
            asio::detached);

    // Each thread has an exception of its own in hand when it runs the context, and has it still afterwards.
    int theirs = 0;
    const auto adopt = [&](int number)
    {
        try
        {
            throw numbered(number);
        }
        catch (const numbered&)
        {
            ctx.restart();
            ctx.run_for(1ms);
            theirs += current_number() == number && std::uncaught_exceptions() == 0;
        }
    };
    adopt(-1);
    int turns = 1;
    const auto give_up = std::chrono::steady_clock::now() + 60s;
    for (; ctx.fibers_alive() > 0 && std::chrono::steady_clock::now() < give_up; ++turns)
        std::thread(adopt, -1 - turns).join();
    BOOST_TEST(right == 10);
    BOOST_TEST(theirs == turns);
    BOOST_TEST(turns > 1);
}

// Each fiber unwinds ten frames. Two threads at once: whether the unwinder of the compiler lets them go on side by side
// is measured by the suite unwind.
BOOST_AUTO_TEST_CASE(ten_thousand_fibers_cancelled_at_once_all_unwind)
{
    constexpr int each = ZSYNC_HAS_TSAN ? 2'000 : 5'000; // ThreadSanitizer knows 8128 fibers
    struct frames
    {
        static void enter(int depth, std::atomic<int>& left)
        {
            struct counted
            {
                std::atomic<int>& count;
                ~counted() { count.fetch_add(1, std::memory_order_relaxed); }
            } const here{left};
            if (depth == 1)
                this_fiber::sleep_for(24h);
            else
                enter(depth - 1, left);
        }
    };
    std::atomic<int> left{0};
    std::atomic<int> aborted{0};
    std::atomic<int> asleep{0};
    const auto half = [&]
    {
        fiber_context ctx;
        zsync::spawn(
            ctx,
            [&]
            {
                std::vector<fiber> all;
                for (int index = 0; index < each; ++index)
                    all.emplace_back(ctx, [&] { frames::enter(10, left); });
                this_fiber::sleep_for(1ms);
                ++asleep;
                while (asleep < 2) // both at once
                    this_fiber::yield();
                for (const fiber& one : all)
                    one.request_cancel();
                for (fiber& one : all)
                {
                    boost::system::error_code ec;
                    one.join(ec);
                    aborted += ec == asio::error::operation_aborted;
                }
            },
            asio::detached);
        ctx.run();
    };
    std::thread other(half);
    half();
    other.join();
    BOOST_TEST(aborted == 2 * each);
    BOOST_TEST(left == 2 * each * 10);
}

BOOST_AUTO_TEST_SUITE_END()
