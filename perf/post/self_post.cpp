// SPDX-License-Identifier: BSL-1.0

// Handlers that post themselves: `chains` of them, `count` posts in all. No I/O, so this is the scheduler and how often
// it visits its task.

#include "harness/context.hpp"

#include <boost/asio/post.hpp>

namespace
{

class chain
{
public:
    chain(perf::context& ctx, std::uint64_t& remaining) : ctx_(&ctx), remaining_(&remaining) {}

    void operator()() const
    {
        if (*remaining_ == 0)
            return;
        --*remaining_;
        boost::asio::post(*ctx_, *this);
    }

private:
    perf::context* ctx_;
    std::uint64_t* remaining_;
};

void run(perf::context& ctx, std::uint64_t count, std::uint64_t chains)
{
    for (std::uint64_t i = 0; i != chains; ++i)
        boost::asio::post(ctx, chain(ctx, count));
    ctx.restart();
    ctx.run();
}

void measure(const perf::cell_arguments& arguments)
{
    const std::uint64_t count = arguments.number("count", 100'000);
    const std::uint64_t chains = arguments.number("chains", 1);
    const auto ctx = perf::make_context(arguments.text("mode", "default"));
    run(*ctx, arguments.number("warm_up", 10'000), chains);

    const double start = perf::cpu_ns();
    run(*ctx, count, chains);
    const double cpu = perf::cpu_ns() - start;

    perf::cell_line line;
    line.add("cpu_ns", cpu / static_cast<double>(count));
    perf::describe_context(line, *ctx);
    line.print();
}

} // namespace

int main(int argc, char** argv)
{
    return perf::cell_main(argc, argv, measure);
}
