// SPDX-License-Identifier: BSL-1.0

// Two coroutines of asio::spawn that post themselves: `count` posts in all. executor=own, io_context's own type, is the
// faster; executor=any, any_io_executor, is what asio::yield_context has.

#include "harness/context.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/spawn.hpp>

namespace
{

namespace asio = boost::asio;

template <class Executor>
void run(perf::context& ctx, std::uint64_t count)
{
    for (int i = 0; i != 2; ++i)
        asio::spawn(
            Executor(ctx.get_executor()),
            [yields = count / 2](asio::basic_yield_context<Executor> yield)
            {
                for (std::uint64_t n = 0; n != yields; ++n)
                    asio::post(yield);
            },
            asio::detached);
    ctx.restart();
    ctx.run();
}

void measure(const perf::cell_arguments& arguments)
{
    const std::uint64_t count = arguments.number("count", 1'000'000);
    const auto ctx = perf::make_context(arguments.text("mode", "hint-1"));
    const auto run_some =
        arguments.text("executor", "own") == "any" ? run<asio::any_io_executor> : run<perf::context::executor_type>;
    run_some(*ctx, arguments.number("warm_up", 10'000));

    const double start = perf::cpu_ns();
    run_some(*ctx, count);
    perf::cell_line().add("cpu_ns", (perf::cpu_ns() - start) / static_cast<double>(count)).print();
}

} // namespace

int main(int argc, char** argv)
{
    return perf::cell_main(argc, argv, measure);
}
