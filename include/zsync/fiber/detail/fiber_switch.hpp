// SPDX-License-Identifier: BSL-1.0
#pragma once

// A switch between fibers, from one's wait to the other's return, is all inline: the functions of fiber and fiber_loop
// that make it. fiber_loop.hpp includes them.

#include <zsync/fiber/detail/fiber_loop.hpp>

#include <utility>

namespace zsync::detail
{

inline bool fiber::is_plain() const noexcept
{
    return asio_call_stacks::current() == owner_.call_stacks();
}

inline void fiber::ready() noexcept
{
    if (schedule && !owner_.ending()) [[unlikely]]
    {
        scheduled = true;
        schedule(*this);
        return;
    }
    owner_.enqueue(*this);
}

// Call stacks are exchanged only where they differ.
inline void fiber_loop::switch_from(fiber& from, fiber& to) noexcept
{
    if (&from == &to)
        return;
    current_ = &to;
    if (from.strays || to.strays || !from.is_plain()) [[unlikely]]
        exchange_call_stacks(from, to);
    arrived_from(from.switch_as_is(to, *exceptions_));
}

inline void fiber_loop::arrived_from(execution& from) noexcept
{
    if (from.ended() && !static_cast<fiber&>(from).kept)
        destroy(static_cast<fiber&>(from), stacks_);
}

inline fiber& fiber_loop::next() noexcept
{
    if (budget_ > 0 && ready_.front())
    {
        if (fiber* const ready = fiber::from(*ready_.front()))
        {
            ready_.pop();
            --budget_;
            ++count_;
            return *ready;
        }
    }
    if (!loop_)
        loop_ = &take_spare();
    return *loop_;
}

inline void fiber_loop::suspend(fiber& self) noexcept
{
    if (loop_ == &self)
        leave_item(self);
    if (self.return_to) [[unlikely]]
        switch_from(self, *std::exchange(self.return_to, nullptr));
    else
        switch_from(self, next());
}

} // namespace zsync::detail
