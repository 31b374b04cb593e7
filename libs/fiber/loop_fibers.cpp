// SPDX-License-Identifier: BSL-1.0

// The fibers of a fiber_loop: how they come and go, and who goes on with the loop when one waits.

#include <zsync/fiber/detail/fiber_loop.hpp>

#include "pressure_watch.hpp"
#include "probes.hpp"
#include "stack_overflow.hpp"
#include "stall_watch.hpp"

#include <zsync/fiber/fiber_context.hpp>

#include <boost/assert.hpp>

#include <new>
#include <string_view>
#include <utility>

namespace zsync::detail
{

/// A fiber that runs items. Its function keeps nothing on its stack from one item to the next.
class fiber_loop::loop_fiber final : public fiber
{
public:
    loop_fiber(fiber_loop& owner, stack_view stack, std::byte* top, const asio_call_stacks& calls) noexcept
        : fiber(
              owner, stack, top,
              [](execution& self) noexcept -> execution& { static_cast<loop_fiber&>(self).owner().run_items(); }, calls)
    {
        is_loop = true;
    }
};

void fiber_loop::run_slice(fiber& slice) noexcept
{
    fiber& self = running();
    slice.scheduled = false;
    slice.return_to = &self;
    slice.bottom = asio_call_stacks::current();
    slice.set_call_stacks(slice.bottom);
    slice.strays = true;
    if (watch_) [[unlikely]]
        watch_->begins(&slice);
    switch_from(self, slice);
}

execution& fiber_loop::end(fiber& ended) noexcept
{
    ended.end_function();
    if (ending_ && ended.cancellation().unwinding_was_swallowed()) [[unlikely]]
        report_swallowed(ended);
    ZSYNC_PROBE(fiber_end, ended.number.number(), &ended);
    unlink(ended, alive_fibers_);
    --alive_;
    fiber* const caller = std::exchange(ended.return_to, nullptr);
    fiber& to = caller ? *caller : next();
    current_ = &to;
    if (ended.strays || to.strays) [[unlikely]]
        to.call_stacks().install();
    return ended.leave(to, *exceptions_);
}

// From here on `from` is one that strays only if it does so now, or may at any time.
void fiber_loop::exchange_call_stacks(fiber& from, const fiber& to) noexcept
{
    from.set_call_stacks(asio_call_stacks::current());
    from.strays = from.schedule || !from.is_plain();
    to.call_stacks().install();
}

void fiber_loop::release(fiber& held) noexcept
{
    held.kept = false;
    if (held.ended())
        destroy(held, stacks_);
}

void fiber_loop::destroy(fiber& ended, stack_pool& from) noexcept
{
    const stack_view stack = ended.stack();
    if (from.has_canaries() && !from.canary_intact(stack)) [[unlikely]]
        abort_overflowed(ended);
    ended.fiber::~fiber();
    from.give_back(stack);
}

// The running fiber waits in an item: another goes on with the loop.
void fiber_loop::leave_item(fiber& self) noexcept
{
    loop_ = nullptr;
    link(self, waiting_);
    ++waiting_items_;
}

// Without memory for another loop nothing could go on: not even an error could be delivered.
fiber& fiber_loop::take_spare() noexcept
{
    if (spares_)
    {
        fiber& spare = *spares_;
        spares_ = spare.next;
        return spare;
    }
    return make_spare();
}

fiber& fiber_loop::make_spare()
{
    const stack_view stack = loop_stacks_.take();
    std::byte* const place = stack.top() - (sizeof(loop_fiber) + 63) / 64 * 64;
    loop_fiber& made = *::new (place) loop_fiber(*this, stack, place, memory_.call_stacks());
    return made;
}

// Once there is a spare it stays until somebody goes on with the loop, so a fiber that may wait can wait.
bool fiber_loop::can_do_without(const fiber& waiting) noexcept
{
    if (loop_ != &waiting || spares_) [[likely]]
        return true;
    try
    {
        put_spare(make_spare());
        return true;
    }
    catch (...)
    {
        return false;
    }
}

void fiber_loop::put_spare(fiber& spare) noexcept
{
    spare.next = std::exchange(spares_, &spare);
}

stack_usage fiber_loop::stacks() const noexcept
{
    return {.fibers = stacks_.counters(),
            .functions = loop_stacks_.counters(),
            .fibers_high_water = stacks_.high_water(),
            .functions_high_water = loop_stacks_.high_water(),
            .pressure_source = pressure_ ? std::string_view(pressure_->source()) : std::string_view()};
}

// One spare stays: what waits next must be able to. Their functions have ended, and left nothing to be destroyed that
// is the user's.
void fiber_loop::release_memory() noexcept
{
    while (spares_ && spares_->next)
    {
        fiber& spare = *std::exchange(spares_, spares_->next);
        BOOST_ASSERT(!spare.marked);
        destroy(spare, loop_stacks_);
    }
    stacks_.trim();
    loop_stacks_.trim();
}

} // namespace zsync::detail
