// SPDX-License-Identifier: BSL-1.0
// What docs/sync.md shows: a channel between a thread and fibers, a lock that a handler waits for, a wait with a
// deadline and one that is cancelled; the first of several things, and of a list; news for all, and a value to watch.
// Returns 0 if all came out as it says there.
#include <zsync/fiber.hpp>
#include <zsync/sync.hpp>

#include <boost/asio.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using boost::system::error_code;

int main()
{
    zsync::fiber_context ctx;
    zsync::channel<int> numbers(16);
    zsync::mutex mutex;
    long sum = 0; // what the mutex protects

    std::thread producer(
        [&]
        {
            for (int i = 1; i <= 1'000; ++i)
                numbers.send(i); // blocks the thread while the channel is full
            numbers.close();
        });

    for (int i = 0; i < 2; ++i)
        zsync::spawn(
            ctx,
            [&]
            {
                for (int number : numbers) // suspends the fiber while the channel is empty; ends when it is closed
                {
                    const std::lock_guard lock(mutex);
                    sum += number;
                }
            },
            asio::detached);
    ctx.run();
    producer.join();

    // A handler waits without a thread or a fiber: it says where it is to run.
    asio::io_context loop;
    bool locked = false;
    mutex.async_lock(asio::bind_executor(loop,
                                         [&](error_code ec)
                                         {
                                             locked = !ec;
                                             mutex.unlock();
                                         }));
    loop.run();

    // A deadline, and a request to cancel.
    zsync::event never;
    const bool in_time = never.try_wait_for(1ms);
    error_code reason;
    asio::cancellation_signal signal;
    never.async_wait(
        asio::bind_cancellation_slot(signal.slot(), asio::bind_executor(loop, [&](error_code ec) { reason = ec; })));
    signal.emit(asio::cancellation_type::terminal);
    loop.restart();
    loop.run();

    // The first of several: items, a signal to stop, a timer of Asio's.
    zsync::fiber_context server;
    zsync::channel<int> orders(0);
    zsync::event stop;
    int served = 0;
    bool idle = false;
    zsync::spawn(
        server,
        [&]
        {
            asio::steady_timer patience(server, 1h);
            for (bool stopping = false; !stopping;)
            {
                auto [which, order, stopped, waited] =
                    zsync::select(orders.receiving(), stop.waiting(), patience.async_wait(asio::deferred));
                if (which == 0 && order)
                    served += *order;
                stopping = which == 1;
            }
            idle = std::get<0>(zsync::try_select(orders.receiving())) == zsync::none_selected;
        },
        asio::detached);

    // The first of as many as there are: three shards send, one fiber takes from whichever has something.
    std::vector<std::unique_ptr<zsync::channel<int>>> shards;
    for (int number = 1; number <= 3; ++number)
        shards.push_back(std::make_unique<zsync::channel<int>>(number));
    int merged = 0;
    zsync::spawn(
        server,
        [&]
        {
            while (!shards.empty())
            {
                const auto [which, item] =
                    zsync::select(zsync::one_of(shards, [](auto& shard) { return shard->receiving(); }));
                if (item.result)
                    merged += *item.result;
                else // closed, and drained
                    shards.erase(shards.begin() + static_cast<std::ptrdiff_t>(item.place));
            }
        },
        asio::detached);
    for (auto& shard : shards)
        zsync::spawn(
            server,
            [&to = *shard]
            {
                for (int i = 1; i <= 10; ++i)
                    to.send(i);
                to.close();
            },
            asio::detached);

    // News for all, and a value to watch: the reader is too slow for the first.
    zsync::broadcast_channel<int> news(2);
    zsync::watch<int> temperature(20);
    std::uint64_t missed = 0;
    int last = 0;
    int warmest = 0;
    zsync::spawn(
        server,
        [&, reader = news.subscribe(), thermometer = temperature.subscribe()]() mutable
        {
            orders.send(40);
            orders.send(2);
            stop.set();
            error_code ec;
            while (ec != zsync::error::channel_closed)
            {
                if (const auto item = reader.receive(ec))
                    last = *item;
                else if (ec == zsync::error::lagged)
                    missed = reader.missed(); // and goes on with the oldest that is kept
            }
            warmest = thermometer.receive();
        },
        asio::detached);
    for (int i = 1; i <= 5; ++i)
    {
        news.send(i);
        temperature.set(20 + i);
    }
    news.close();
    server.run();

    std::cout << "sum " << sum << ", locked " << locked << ", in time " << in_time << ", then " << reason.message()
              << "\nserved " << served << ", idle " << idle << ", missed " << missed << ", last " << last
              << ", warmest " << warmest << ", merged " << merged << '\n';
    const bool first = sum == 500'500 && locked && !in_time && reason == asio::error::operation_aborted;
    const bool second = served == 42 && idle && missed == 3 && last == 5 && warmest == 25 && merged == 165;
    return first && second ? 0 : 1;
}
