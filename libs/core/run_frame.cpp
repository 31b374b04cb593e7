// SPDX-License-Identifier: BSL-1.0
#include <zsync/core/detail/run_frame.hpp>

#include <utility>

namespace zsync::detail
{

namespace
{

thread_local run_frame* innermost = nullptr;

// A fiber may go on, on another thread, in the middle of its caller: the address of the variable must not stay there.
[[gnu::noinline]] run_frame* exchange_innermost(run_frame* value) noexcept
{
    return std::exchange(innermost, value);
}

[[gnu::noinline]] const run_frame* get_innermost() noexcept
{
    return innermost;
}

bool can_dispatch_with(const asio_call_stacks& stacks, boost::asio::execution_context& context)
{
    struct scope
    {
        const asio_call_stacks now = asio_call_stacks::current();
        ~scope() { now.install(); }
    } const restored;
    stacks.install();
    return inside_asio_run() && can_dispatch(context);
}

} // namespace

run_frame::run_frame(const loop& self, bool bounded) noexcept
    : loop_(self), bounded_(bounded), below_(exchange_innermost(this))
{
}

run_frame::~run_frame()
{
    exchange_innermost(below_);
}

bool waits_for_what_is_below(const agent& owner, boost::asio::execution_context* context, const loop* target)
{
    const run_frame* frame = get_innermost();
    // A fiber waits until its loop's run function returns, at most; a thread that runs the loop itself needs no other.
    if (!frame ||
        (owner.fiber_of() ? frame->bounded_ || target == owner.fiber_of() : target && target->is_driven_by_waiting()))
        return false;
    for (; frame; frame = frame->below_)
    {
        if (target ? frame->below_ && &frame->below_->loop_ == target
                   : context && can_dispatch_with(frame->stacks_, *context))
            return true;
    }
    return false;
}

} // namespace zsync::detail
