// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/use_await.hpp>
#include <zsync/fiber/fiber_context.hpp>

#include <boost/asio/steady_timer.hpp>

#include <chrono>

namespace test
{

/// For what must happen: reached only where a test fails.
inline constexpr std::chrono::seconds patience{60};

/// Runs until there is nothing left to do. Returns false where that takes more than `patience`.
inline bool run_all(zsync::fiber_context& ctx)
{
    ctx.restart();
    ctx.run_for(patience);
    return ctx.stopped();
}

/// Waits for what does not come, until it is cancelled.
inline void wait_for_ever(zsync::fiber_context& ctx)
{
    boost::asio::steady_timer never(ctx, boost::asio::steady_timer::time_point::max());
    never.async_wait(zsync::use_await);
}

} // namespace test
