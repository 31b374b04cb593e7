// SPDX-License-Identifier: BSL-1.0
// What docs/sync.md shows: a channel between a thread and fibers, a lock that a handler waits for, a wait with a
// deadline and one that is cancelled. Returns 0 if all came out as it says there.
#include <zsync/fiber.hpp>
#include <zsync/sync.hpp>

#include <boost/asio.hpp>

#include <chrono>
#include <iostream>
#include <mutex>
#include <thread>

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

    std::cout << "sum " << sum << ", locked " << locked << ", in time " << in_time << ", then " << reason.message()
              << '\n';
    return sum == 500'500 && locked && !in_time && reason == asio::error::operation_aborted ? 0 : 1;
}
