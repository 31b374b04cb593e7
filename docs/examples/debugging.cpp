// SPDX-License-Identifier: BSL-1.0
// What docs/debugging.md shows: `debugging dump`, `debugging stall`, `debugging deadlock`; and `debugging gdb`, to be
// stopped by a debugger in all_wait(), and `debugging crash`, which dies there.
#include <zsync/core/use_await.hpp>
#include <zsync/fiber.hpp>
#include <zsync/sync/mutex.hpp>

#include <boost/asio.hpp>

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <mutex>
#include <string_view>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using asio::ip::tcp;

void serve(tcp::acceptor& listener)
{
    for (;;)
        listener.async_accept(zsync::use_await);
}

void hold(zsync::mutex& lock)
{
    const std::lock_guard held(lock);
    zsync::this_fiber::sleep_for(1h);
}

void update(zsync::mutex& lock)
{
    const std::lock_guard held(lock);
}

// A place where a debugger can stop.
[[gnu::noinline]] void all_wait(bool crash)
{
    if (crash)
        std::abort();
    asm volatile(""); // or the compiler would leave out the call
}

void dump(std::string_view what)
{
    zsync::mutex lock;
    zsync::fiber_context ctx;
    tcp::acceptor listener(ctx, {asio::ip::address_v4::loopback(), 0});
    zsync::fiber server(ctx, {.name = "server"}, [&] { serve(listener); });
    zsync::fiber holder(ctx, {.name = "holder"}, [&] { hold(lock); });
    zsync::fiber updater(ctx, {.name = "updater"}, [&] { update(lock); });
    zsync::fiber joiner(ctx, {.name = "joiner"}, [&] { updater.join(); });
    zsync::fiber looker(ctx, {.name = "looker"},
                        [&]
                        {
                            all_wait(what == "crash");
                            if (what == "dump")
                                zsync::dump_fibers(ctx, std::cout);
                            server.request_cancel();
                            holder.request_cancel();
                        });
    ctx.run();
}

// Does not wait for so long.
[[gnu::noinline]] void compute(std::chrono::milliseconds time)
{
    for (const auto end = std::chrono::steady_clock::now() + time; std::chrono::steady_clock::now() < end;)
        asm volatile("");
}

void stall()
{
    zsync::fiber_context ctx({.report = [](std::string_view lines) { std::cout << lines; }, .stall_limit = 50ms});
    zsync::fiber busy(ctx, {.name = "busy"}, [] { compute(200ms); });
    ctx.run();
    std::cout << "loop_stalls: " << ctx.counters().loop_stalls << '\n';
}

void deadlock()
{
    zsync::mutex left, right;
    zsync::fiber_context* running = nullptr;
    zsync::fiber_context ctx({.report =
                                  [&](std::string_view lines)
                              {
                                  std::cout << lines;
                                  running->stop(); // else run() waits on
                              },
                              .deadlock_after = 100ms});
    running = &ctx;
    const auto lock_both = [](zsync::mutex& first, zsync::mutex& second)
    {
        const std::lock_guard one(first);
        zsync::this_fiber::yield();
        update(second);
    };
    zsync::fiber(ctx, {.name = "left first"}, [&] { lock_both(left, right); }).detach();
    zsync::fiber(ctx, {.name = "right first"}, [&] { lock_both(right, left); }).detach();
    ctx.run();
}

int main(int argc, char** argv)
{
    const std::string_view what = argc == 2 ? argv[1] : "";
    if (what == "dump" || what == "gdb" || what == "crash")
        dump(what);
    else if (what == "stall")
        stall();
    else if (what == "deadlock")
        deadlock();
    else
    {
        std::cerr << "usage: debugging dump|stall|deadlock|gdb|crash\n";
        return 2;
    }
}
