// SPDX-License-Identifier: BSL-1.0
#include "pressure_watch.hpp"

#include <zsync/fiber/detail/fiber_loop.hpp>

#include <memory>
#include <new>

namespace zsync::detail
{

namespace
{

// Chosen: that many stacks hold 2 MiB if each uses two pages. For less it is not worth a descriptor.
constexpr std::size_t worth_watching = 256;

} // namespace

pressure_watch::pressure_watch(fiber_loop& loop) : loop_(loop)
{
    if (pressure_.descriptor() < 0)
        return;
    code = opcode::poll;
    operation::descriptor = pressure_.descriptor();
    flags = pressure_.events();
    background = true;
    on_complete = [](operation& self, void*) noexcept { static_cast<pressure_watch&>(self).told(); };
    wait();
}

// Without memory for it there is no wait; nor for an error, since there is nobody to tell.
void pressure_watch::wait() noexcept
{
    try
    {
        loop_.io().start(*this);
    }
    catch (const std::bad_alloc&)
    {
    }
}

// Inside the engine's turn, where nothing of the user's may run.
void pressure_watch::told() noexcept
{
    if (result < 0 || loop_.ending() || !pressure_.acknowledge(static_cast<unsigned>(result)))
        return;
    loop_.memory_is_short();
    wait();
}

// Any thread may read these; it sees what was true at one of the loop's last turns.
void fiber_loop::publish_stacks() noexcept
{
    counted_.made.store(stacks_.taken() + loop_stacks_.taken(), std::memory_order_relaxed);
    counted_.started.store(stacks_.taken(), std::memory_order_relaxed);
    counted_.alive.store(alive_, std::memory_order_relaxed);
    counted_.peak.store(stacks_.counters().peak, std::memory_order_relaxed);
    counted_.unguarded.store(stacks_.counters().guards_missing + loop_stacks_.counters().guards_missing,
                             std::memory_order_relaxed);
    if (!watches_pressure_ || stacks_.size() + loop_stacks_.size() < worth_watching) [[likely]]
        return;
    watches_pressure_ = false;
    try
    {
        pressure_ = std::make_unique<pressure_watch>(*this);
    }
    catch (const std::bad_alloc&)
    {
        watches_pressure_ = true;
    }
}

void fiber_loop::memory_is_short() noexcept
{
    ++counted_.releases;
    release_memory();
}

} // namespace zsync::detail
