// SPDX-License-Identifier: BSL-1.0

// Boost.Context's bare switch, without a scheduler: `count` jumps, to a second stack and back. What every library that
// switches so has below it.

#include "harness/cell.hpp"

#include <boost/context/detail/fcontext.hpp>
#include <boost/context/fixedsize_stack.hpp>

namespace
{

namespace context = boost::context::detail;

void bounce(context::transfer_t from)
{
    for (;;)
        from = context::jump_fcontext(from.fctx, nullptr);
}

context::fcontext_t run(context::fcontext_t other, std::uint64_t count)
{
    for (std::uint64_t n = 0; n < count; n += 2)
        other = context::jump_fcontext(other, nullptr).fctx;
    return other;
}

void measure(const perf::cell_arguments& arguments)
{
    const std::uint64_t count = arguments.number("count", 1'000'000);
    boost::context::fixedsize_stack stacks;
    boost::context::stack_context stack = stacks.allocate();
    const auto other = run(context::make_fcontext(stack.sp, stack.size, &bounce), arguments.number("warm_up", 10'000));

    const double start = perf::cpu_ns();
    run(other, count);
    perf::cell_line().add("cpu_ns", (perf::cpu_ns() - start) / static_cast<double>(count)).print();
    stacks.deallocate(stack);
}

} // namespace

int main(int argc, char** argv)
{
    return perf::cell_main(argc, argv, measure);
}
