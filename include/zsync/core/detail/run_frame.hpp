// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/detail/asio.hpp>
#include <zsync/core/loop.hpp>

#include <boost/asio/execution_context.hpp>

namespace zsync::detail
{

/// A call of a loop's run function, on the calling thread's stack. Frames know each other, so that a wait for what runs
/// further down, and cannot go on before the wait has ended, is recognised.
class run_frame
{
public:
    /// `bounded`: the call returns in any case, and what waits in the loop then goes on waiting.
    run_frame(const loop& self, bool bounded) noexcept;
    ~run_frame();
    run_frame(const run_frame&) = delete;
    run_frame& operator=(const run_frame&) = delete;

    /// Asio's call stacks, as they were before the call.
    const asio_call_stacks& stacks_below() const noexcept { return stacks_; }

private:
    friend bool waits_for_what_is_below(const agent& owner, boost::asio::execution_context* context,
                                        const loop* target);

    const loop& loop_;
    const bool bounded_;
    run_frame* const below_;
    const asio_call_stacks stacks_ = asio_call_stacks::current();
};

/// Says whether an agent would wait for a loop, or else for a context of Asio's, that is run further down on the
/// calling thread's stack: from inside the wait. Any thread; never blocks.
bool waits_for_what_is_below(const agent& owner, boost::asio::execution_context* context, const loop* target);

} // namespace zsync::detail
