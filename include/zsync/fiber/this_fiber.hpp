// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace zsync::this_fiber
{

/// Says whether the calling code runs on a fiber. Never blocks.
bool is_fiber() noexcept;

/// Lets what is ready run first. Suspends the fiber; does nothing on a thread. Not a cancellation point.
///
/// @throws boost::system::system_error with resource_deadlock_would_occur below a handler that must return first: see
/// agent::may_wait().
void yield();

} // namespace zsync::this_fiber
