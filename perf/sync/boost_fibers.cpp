// SPDX-License-Identifier: BSL-1.0

// Two fibers of Boost.Fiber that do what those of zsync_fibers.cpp do, under its default scheduler. The thread's own
// fiber waits meanwhile. Capacity 0 is its unbuffered_channel; its buffered_channel has room for a power of two, less
// one.

#include "harness/cell.hpp"

#include <boost/fiber/buffered_channel.hpp>
#include <boost/fiber/fiber.hpp>
#include <boost/fiber/mutex.hpp>
#include <boost/fiber/operations.hpp>
#include <boost/fiber/unbuffered_channel.hpp>

namespace
{

template <class First, class Second>
void run(First first, Second second)
{
    boost::fibers::fiber one(first);
    boost::fibers::fiber other(second);
    one.join();
    other.join();
}

void lock(std::uint64_t count)
{
    boost::fibers::mutex mutex;
    const auto nothing = [] {};
    run(
        [&]
        {
            for (std::uint64_t n = 0; n != count; ++n)
            {
                mutex.lock();
                mutex.unlock();
            }
        },
        nothing);
}

void hand_over(std::uint64_t count)
{
    boost::fibers::mutex mutex;
    const auto take = [&]
    {
        for (std::uint64_t n = 0; n < count; n += 2)
        {
            mutex.lock();
            boost::this_fiber::yield();
            mutex.unlock();
        }
    };
    run(take, take);
}

template <class Channel>
void message(Channel& there, Channel& back, std::uint64_t count)
{
    run(
        [&]
        {
            for (std::uint64_t n = 0; n < count; n += 2)
            {
                there.push(n);
                back.value_pop();
            }
            there.close();
        },
        [&]
        {
            for (std::uint64_t n : there)
                back.push(n);
        });
}

void measure(const perf::cell_arguments& arguments)
{
    const std::uint64_t count = arguments.number("count", 1'000'000);
    const std::string_view what = arguments.text("what", "message");
    const std::uint64_t capacity = arguments.number("capacity", 0);
    const auto run_some = [&](std::uint64_t some)
    {
        if (what == "lock")
            lock(some);
        else if (what == "hand-over")
            hand_over(some);
        else if (capacity == 0)
        {
            boost::fibers::unbuffered_channel<std::uint64_t> there;
            boost::fibers::unbuffered_channel<std::uint64_t> back;
            message(there, back, some);
        }
        else
        {
            boost::fibers::buffered_channel<std::uint64_t> there(capacity + 1);
            boost::fibers::buffered_channel<std::uint64_t> back(capacity + 1);
            message(there, back, some);
        }
    };
    run_some(arguments.number("warm_up", 10'000));

    const double start = perf::cpu_ns();
    run_some(count);
    perf::cell_line().add("cpu_ns", (perf::cpu_ns() - start) / static_cast<double>(count)).print();
}

} // namespace

int main(int argc, char** argv)
{
    return perf::cell_main(argc, argv, measure);
}
