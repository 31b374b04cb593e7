// SPDX-License-Identifier: BSL-1.0

// A coroutine of asio::spawn that spawns another, which does nothing, and awaits its end: `count` times. Stacks come
// from pooled_fixedsize_stack. executor=own, io_context's own type, is the faster; executor=any, any_io_executor, is
// what asio::yield_context has.

#include "harness/context.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/spawn.hpp>
#include <boost/context/pooled_fixedsize_stack.hpp>

namespace
{

namespace asio = boost::asio;

// The one that waits is resumed on the stack of the one that ends, which so does not become free before the former
// suspends again. It does so when that many stand on each other. Of the powers of two 16 was measured to be best.
constexpr std::uint64_t depth = 16;

template <class Executor>
void run(perf::context& ctx, boost::context::pooled_fixedsize_stack stacks, std::uint64_t count)
{
    asio::spawn(
        Executor(ctx.get_executor()),
        [&, count](asio::basic_yield_context<Executor> yield)
        {
            // as_tuple: Asio 1.26 rethrows a null exception without it.
            const Executor executor(ctx.get_executor());
            for (std::uint64_t n = 0; n != count; ++n)
            {
                asio::spawn(
                    executor, std::allocator_arg, stacks, [](asio::basic_yield_context<Executor>) {},
                    asio::as_tuple(yield));
                if (n % depth == depth - 1)
                    asio::post(yield);
            }
        },
        asio::detached);
    ctx.restart();
    ctx.run();
}

void measure(const perf::cell_arguments& arguments)
{
    const std::uint64_t count = arguments.number("count", 1'000'000);
    const auto ctx = perf::make_context(arguments.text("mode", "hint-1"));
    boost::context::pooled_fixedsize_stack stacks;
    const auto run_some =
        arguments.text("executor", "own") == "any" ? run<asio::any_io_executor> : run<perf::context::executor_type>;
    run_some(*ctx, stacks, arguments.number("warm_up", 10'000));

    const double start = perf::cpu_ns();
    run_some(*ctx, stacks, count);
    perf::cell_line().add("cpu_ns", (perf::cpu_ns() - start) / static_cast<double>(count)).print();
}

} // namespace

int main(int argc, char** argv)
{
    return perf::cell_main(argc, argv, measure);
}
