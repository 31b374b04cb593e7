// SPDX-License-Identifier: BSL-1.0
// Compiled with -O3: what is asked for after a switch must be that of the thread that runs now. The fiber's function is
// one loop, so that nothing but the library keeps the optimizer from asking once.
#include <zsync/core/cancel_protection.hpp>
#include <zsync/core/use_await.hpp>
#include <zsync/fiber/fiber.hpp>
#include <zsync/fiber/fiber_context.hpp>
#include <zsync/fiber/fiber_local.hpp>
#include <zsync/fiber/spawn.hpp>
#include <zsync/fiber/this_fiber.hpp>

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>

#include <cerrno>
#include <chrono>
#include <thread>

#include <unistd.h>

namespace asio = boost::asio;
namespace this_fiber = zsync::this_fiber;
using namespace std::chrono_literals;
using zsync::fiber_context;

namespace
{

thread_local int mine = 0;

// As the documentation asks for: a call, of which the compiler knows nothing.
#ifdef __clang__ // clang 14 has no noinline of its own spelling, and optnone asks for one
#    define OPAQUE [[gnu::noinline, clang::optnone]]
#else
#    define OPAQUE [[gnu::noipa]]
#endif

OPAQUE int& of_this_thread() noexcept
{
    return mine;
}

OPAQUE int error_of_this_thread() noexcept
{
    return errno;
}

#undef OPAQUE

} // namespace

BOOST_AUTO_TEST_SUITE(fiber_cached_addresses)

BOOST_AUTO_TEST_CASE(after_a_switch_everything_is_of_the_thread_that_runs)
{
    constexpr int turns = 50;
    fiber_context ctx;
    zsync::fiber_local<int> local;
    int runner = 0;
    int right = 0;
    const auto executor = ctx.get_executor();
    zsync::spawn(
        ctx,
        [&]
        {
            zsync::agent* const self = &zsync::agent::current();
            *local = 5;
            for (int turn = 0; turn < turns; ++turn)
            {
                const bool before = of_this_thread() == runner && &zsync::agent::current() == self && *local == 5;
                const zsync::cancel_protection protect;
                ctx.stop();
                if (turn % 3 == 0)
                    this_fiber::yield();
                else if (turn % 3 == 1)
                    this_fiber::sleep_for(10us);
                else
                    asio::post(executor, zsync::use_await);
                const bool after = of_this_thread() == runner && &zsync::agent::current() == self && *local == 5 &&
                                   zsync::agent::current().cancellation().is_protected() && ctx.loop().running_here();
                ::close(-1); // the thread's errno, not that of the thread before
                right += before && after && error_of_this_thread() == EBADF;
            }
        },
        asio::detached);

    const auto give_up = std::chrono::steady_clock::now() + 60s;
    const auto run_as = [&](int number)
    {
        of_this_thread() = runner = number;
        ctx.restart();
        ctx.run_for(5ms);
    };
    int number = 1;
    run_as(number);
    while (ctx.fibers_alive() > 0 && std::chrono::steady_clock::now() < give_up)
        std::thread(run_as, ++number).join();
    BOOST_TEST(right == turns);
    BOOST_TEST(number > turns / 2);
    mine = 0;
}

BOOST_AUTO_TEST_SUITE_END()
