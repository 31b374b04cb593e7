// SPDX-License-Identifier: BSL-1.0
#include <zsync/fiber/spawn.hpp>

#include <zsync/core/detail/sanitizers.hpp>
#include <zsync/core/use_await.hpp>
#include <zsync/fiber/this_fiber.hpp>

#include "docs/examples/allocations.hpp"
#include "fiber/run_all.hpp"
#include "support/child_process.hpp"

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>

#include <array>
#include <atomic>
#include <cstdint>
#include <exception>
#include <fstream>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include <sys/resource.h>
#include <unistd.h>

namespace asio = boost::asio;
using boost::system::error_code;
using test::patience;
using test::run_all;
using test::wait_for_ever;
using zsync::fiber_context;
using zsync::use_await;

namespace
{

/// What a handler was told.
struct answer
{
    int calls = 0;
    std::exception_ptr failure;

    auto handler()
    {
        return [this](std::exception_ptr e)
        {
            ++calls;
            failure = std::move(e);
        };
    }

    error_code error() const
    {
        try
        {
            if (failure)
                std::rethrow_exception(failure);
        }
        catch (const boost::system::system_error& e)
        {
            return e.code();
        }
        return {};
    }
};

/// Counts its copies and moves.
struct counted
{
    int& copies;
    int& moves;

    counted(int& c, int& m) : copies(c), moves(m) {}
    counted(const counted& other) : copies(other.copies), moves(other.moves) { ++copies; }
    counted(counted&& other) noexcept : copies(other.copies), moves(other.moves) { ++moves; }
    void operator()() {}
};

/// A completion that allocates nothing.
struct count_calls
{
    int* calls;
    void operator()(std::exception_ptr) const { ++*calls; }
};

std::size_t resident_bytes()
{
    std::size_t all = 0;
    std::size_t resident = 0;
    std::ifstream("/proc/self/statm") >> all >> resident;
    return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

} // namespace

BOOST_AUTO_TEST_SUITE(fiber_spawn)

BOOST_AUTO_TEST_CASE(a_function_succeeds)
{
    fiber_context ctx;
    answer told;
    bool on_fiber = false;
    bool inside = true;
    zsync::spawn(
        ctx, [&] { on_fiber = zsync::this_fiber::is_fiber(); }, told.handler());
    BOOST_TEST(told.calls == 0);
    zsync::spawn(
        ctx,
        [&]
        {
            bool started = false;
            zsync::spawn(
                ctx, [&] { started = true; }, asio::detached);
            inside = started;
            zsync::this_fiber::yield();
            on_fiber = on_fiber && started;
        },
        asio::detached);
    BOOST_TEST(run_all(ctx));
    BOOST_TEST(on_fiber);
    BOOST_TEST(!inside); // never within the call
    BOOST_TEST(told.calls == 1);
    BOOST_TEST(!told.failure);
}

BOOST_AUTO_TEST_CASE(a_function_fails)
{
    fiber_context ctx;
    answer told;
    zsync::spawn(
        ctx, [] { throw boost::system::system_error(asio::error::eof); }, told.handler());
    BOOST_TEST(run_all(ctx));
    BOOST_TEST(told.calls == 1);
    BOOST_TEST(told.error() == asio::error::eof);
}

BOOST_AUTO_TEST_CASE(cancelled_before_it_starts_it_meets_the_request_at_its_first_wait)
{
    for (const bool within : {false, true})
    {
        fiber_context ctx;
        asio::cancellation_signal signal;
        answer told;
        bool started = false;
        const auto start = [&]
        {
            zsync::spawn(
                ctx, [&] { started = true, wait_for_ever(ctx); },
                asio::bind_cancellation_slot(signal.slot(), told.handler()));
            signal.emit(asio::cancellation_type::terminal);
        };
        if (within)
            asio::post(ctx, start);
        else
            start();
        BOOST_TEST(run_all(ctx));
        BOOST_TEST(started);
        BOOST_TEST(told.calls == 1);
        BOOST_TEST(told.error() == asio::error::operation_aborted);
        signal.emit(asio::cancellation_type::terminal); // of nothing
    }
}

BOOST_AUTO_TEST_CASE(cancelled_in_flight_it_is_told_once_and_may_go_on)
{
    fiber_context ctx;
    asio::cancellation_signal signal;
    error_code first;
    error_code second = asio::error::fault;
    answer told;
    zsync::spawn(
        ctx,
        [&]
        {
            asio::steady_timer timer(ctx, asio::steady_timer::time_point::max());
            timer.async_wait(use_await[first]);
            asio::post(ctx, use_await[second]);
        },
        asio::bind_cancellation_slot(signal.slot(), told.handler()));
    ctx.poll();
    BOOST_TEST(ctx.fibers_alive() == 1u);
    signal.emit(asio::cancellation_type::partial);
    BOOST_TEST(run_all(ctx));
    BOOST_TEST(first == asio::error::operation_aborted);
    BOOST_TEST(second == error_code());
    BOOST_TEST(told.calls == 1);
    BOOST_TEST(!told.failure);
}

BOOST_AUTO_TEST_CASE(its_context_is_destroyed)
{
    answer told;
    const auto held = std::make_shared<int>();
    {
        fiber_context ctx;
        zsync::spawn(
            ctx, [&, held] { wait_for_ever(ctx); }, told.handler());
        ctx.poll();
        zsync::spawn(
            ctx, [&, held] { wait_for_ever(ctx); }, told.handler());
    }
    BOOST_TEST(told.calls == 0);
    BOOST_TEST(held.use_count() == 1);
}

BOOST_AUTO_TEST_CASE(results_arrive_through_any_token)
{
    fiber_context ctx;
    auto number = zsync::spawn(
        ctx, [] { return 42; }, asio::use_future);
    auto nothing = zsync::spawn(
        ctx, [] {}, asio::use_future);
    auto moved = zsync::spawn(
        ctx, [] { return std::make_unique<int>(7); }, asio::use_future);
    auto failed = zsync::spawn(
        ctx, []() -> int { throw std::runtime_error("no"); }, asio::use_future);
    zsync::spawn(
        ctx, [] { throw 1; }, asio::detached); // nobody is told
    int callback = 0;
    zsync::spawn(
        ctx, [] { return 1; }, [&](std::exception_ptr e, int value) { callback = e ? -1 : value; });
    int coroutine = 0;
    asio::co_spawn(
        ctx,
        [&]() -> asio::awaitable<void>
        {
            coroutine = co_await zsync::spawn(
                ctx, [] { return 5; }, asio::use_awaitable);
            auto text = co_await zsync::spawn(
                ctx, [] { return std::string("text"); }, asio::use_awaitable);
            coroutine += static_cast<int>(text.size());
        },
        asio::detached);
    int awaited = 0;
    zsync::spawn(
        ctx,
        [&]
        {
            awaited = *zsync::spawn(
                ctx, [] { return std::make_unique<int>(3); }, use_await);
            zsync::spawn(
                ctx, [] {}, use_await);
            try
            {
                zsync::spawn(
                    ctx, [] { throw std::runtime_error("no"); }, use_await);
            }
            catch (const std::runtime_error&)
            {
                ++awaited;
            }
        },
        asio::detached);
    BOOST_TEST(run_all(ctx));
    BOOST_TEST(number.get() == 42);
    nothing.get();
    BOOST_TEST(*moved.get() == 7);
    BOOST_CHECK_THROW(failed.get(), std::runtime_error);
    BOOST_TEST(callback == 1);
    BOOST_TEST(coroutine == 9);
    BOOST_TEST(awaited == 4);
}

BOOST_AUTO_TEST_CASE(another_thread_may_spawn_and_wait)
{
    fiber_context ctx;
    auto work = asio::make_work_guard(ctx);
    int sum = 0;
    std::thread other(
        [&]
        {
            for (int i = 0; i < 100; ++i)
                sum += zsync::spawn(
                    ctx, [i] { return i; }, use_await);
            sum += zsync::spawn(
                       ctx, [] { return 1; }, asio::use_future)
                       .get();
            work.reset();
        });
    BOOST_TEST(run_all(ctx));
    other.join();
    BOOST_TEST(sum == 4951);
}

BOOST_AUTO_TEST_CASE(the_context_of_the_handlers_executor_has_work_until_then)
{
    fiber_context ctx;
    asio::io_context other;
    bool called = false;
    bool there = false;
    zsync::spawn(
        ctx, [] {},
        asio::bind_executor(other,
                            [&](std::exception_ptr)
                            {
                                called = true;
                                there = other.get_executor().running_in_this_thread();
                            }));
    other.poll();
    BOOST_TEST(!other.stopped());
    BOOST_TEST(run_all(ctx));
    BOOST_TEST(!called);
    BOOST_TEST(other.run_for(patience) == 1u);
    BOOST_TEST(called);
    BOOST_TEST(there);
    BOOST_TEST(other.stopped());
}

BOOST_AUTO_TEST_CASE(a_handler_that_throws_tells_run)
{
    fiber_context ctx;
    zsync::spawn(
        ctx, [] {}, [](std::exception_ptr) { throw std::runtime_error("handler"); });
    BOOST_CHECK_THROW(ctx.run_for(patience), std::runtime_error);
    BOOST_TEST(ctx.fibers_alive() == 0u);
    BOOST_TEST(run_all(ctx));
}

BOOST_AUTO_TEST_CASE(a_function_is_moved_once_and_never_copied)
{
    fiber_context ctx;
    int copies = 0;
    int moves = 0;
    asio::post(ctx, [&] { zsync::spawn(ctx, counted(copies, moves), asio::detached); });
    BOOST_TEST(run_all(ctx));
    BOOST_TEST(copies == 0);
    BOOST_TEST(moves == 1);

    copies = moves = 0;
    zsync::spawn(ctx, counted(copies, moves), asio::detached); // by way of an item
    BOOST_TEST(run_all(ctx));
    BOOST_TEST(copies == 0);
    BOOST_TEST(moves == 2);
}

BOOST_AUTO_TEST_CASE(a_function_that_does_not_fit_in_a_stack_is_refused)
{
    fiber_context ctx;
    std::array<char, 200'000> large{};
    large.back() = 'x';
    int refused = 0;
    char seen = 0;
    const auto body = [&seen, large] { seen = large.back(); };
    const auto handler = [&](std::exception_ptr e)
    {
        try
        {
            std::rethrow_exception(e);
        }
        catch (const std::bad_alloc&)
        {
            ++refused;
        }
    };
    zsync::spawn(ctx, body, handler);
    asio::post(ctx, [&] { zsync::spawn(ctx, body, handler); });
    BOOST_TEST(run_all(ctx));
    BOOST_TEST(refused == 2);
    BOOST_TEST(seen == 0);

    fiber_context roomy(zsync::fiber_options{.stack_bytes = 512 * 1024});
    zsync::spawn(roomy, body, asio::detached);
    BOOST_TEST(run_all(roomy));
    BOOST_TEST(seen == 'x');
}

BOOST_AUTO_TEST_CASE(stacks_are_used_again)
{
    fiber_context ctx;
    const auto spawn_many = [&](int count, int together)
    {
        int ended = 0;
        zsync::spawn(
            ctx,
            [&]
            {
                while (ended < count)
                {
                    for (int i = 0; i < together; ++i)
                        zsync::spawn(
                            ctx, [&] { ++ended; }, asio::detached);
                    zsync::this_fiber::yield();
                }
            },
            asio::detached);
        BOOST_TEST(run_all(ctx));
        return ended;
    };
    spawn_many(5'000, 40);
    const std::size_t before = resident_bytes();
    BOOST_TEST(spawn_many(50'000, 1) >= 50'000);
    BOOST_TEST(spawn_many(50'000, 40) >= 50'000); // each begins where another has just ended
    BOOST_TEST(ctx.fibers_alive() == 0u);
#if !ZSYNC_HAS_ASAN && !ZSYNC_HAS_TSAN // they keep what was freed
    BOOST_TEST(resident_bytes() < before + (4u << 20));
#else
    BOOST_TEST(before != 0u);
#endif
}

BOOST_AUTO_TEST_CASE(ten_thousand_fibers_live_at_once)
{
#if ZSYNC_HAS_TSAN
    constexpr std::size_t count = 1'000; // ThreadSanitizer has a limit of some 8,000
#else
    constexpr std::size_t count = 10'000;
#endif
    fiber_context ctx;
    asio::steady_timer gate(ctx, asio::steady_timer::time_point::max());
    std::size_t through = 0;
    for (std::size_t i = 0; i < count; ++i)
        zsync::spawn(
            ctx,
            [&]
            {
                error_code ec;
                gate.async_wait(use_await[ec]);
                ++through;
            },
            asio::detached);
    ctx.poll();
    BOOST_TEST(ctx.fibers_alive() == count);
    gate.cancel();
    BOOST_TEST(run_all(ctx));
    BOOST_TEST(through == count);
}

#if !ZSYNC_HAS_ASAN && !ZSYNC_HAS_TSAN // which need all address space there is
BOOST_AUTO_TEST_CASE(a_lack_of_stacks_arrives_through_the_completion)
{
    const auto child = test::run_in_child(
        [](const test::child_voice& voice)
        {
            fiber_context ctx;
            asio::post(ctx, [] {});
            ctx.run();
            ctx.restart();
            const rlimit limit{512u << 20, 512u << 20};
            ::setrlimit(RLIMIT_AS, &limit);
            int failed = 0;
            int aborted = 0;
            int unknown = 0;
            asio::steady_timer gate(ctx, asio::steady_timer::time_point::max());
            for (int i = 0; i < 6'000; ++i) // 128 KiB each
                zsync::spawn(
                    ctx,
                    [&]
                    {
                        error_code ec;
                        gate.async_wait(use_await[ec]);
                        ++aborted;
                    },
                    [&](std::exception_ptr e)
                    {
                        try
                        {
                            if (e)
                                std::rethrow_exception(e);
                        }
                        catch (const std::bad_alloc&)
                        {
                            ++failed;
                        }
                        catch (...)
                        {
                            ++unknown;
                        }
                    });
            ctx.poll();
            // No room for another loop: what would have to wait in an item is told so.
            int refused = 0;
            for (int i = 0; i < 8; ++i)
                asio::post(ctx,
                           [&]
                           {
                               error_code ec;
                               gate.async_wait(use_await[ec]);
                               refused += ec == boost::system::errc::not_enough_memory;
                           });
            ctx.poll();
            gate.cancel();
            ctx.run();
            bool right = voice.check(failed > 0, "some have no stack");
            right &= voice.check(failed + aborted == 6'000, "each ends in one way");
            right &= voice.check(unknown == 0, "no other error");
            right &= voice.check(refused > 0, "a wait in an item is refused");
            return right ? 0 : 1;
        });
    BOOST_TEST(child.ok(), child);
}

BOOST_AUTO_TEST_CASE(spawn_allocates_nothing_once_warm)
{
    fiber_context ctx;
    int calls = 0;
    std::uint64_t during = 1;
    zsync::spawn(
        ctx,
        [&]
        {
            const auto round = [&]
            {
                for (int i = 0; i < 50; ++i)
                {
                    zsync::spawn(
                        ctx, [] { zsync::this_fiber::yield(); }, count_calls{&calls});
                    zsync::spawn(
                        ctx, [] { return 1; }, use_await);
                }
                zsync::this_fiber::yield();
                zsync::this_fiber::yield();
            };
            round();
            const std::uint64_t before = allocations();
            round();
            during = allocations() - before;
        },
        asio::detached);
    BOOST_TEST(run_all(ctx));
    BOOST_TEST(calls == 100);
    BOOST_TEST(during == 0u);
    BOOST_TEST(allocations() > 0u); // they are counted
}
#endif

BOOST_AUTO_TEST_SUITE_END()
