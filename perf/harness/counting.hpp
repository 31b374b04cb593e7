// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "suite.hpp"

namespace perf
{

// Numbers that do not move, each from a run apart: never of a run whose time counts. Each is the difference of a longer
// and a shorter run over the difference of their lengths, so start-up and shutdown do not show. The shorter run has
// `count` operations.
// Both throw std::runtime_error if the tool is missing or the cell fails under it.

/// Returns user-space instructions an operation, counted by callgrind. Blocks the thread.
double instructions_per_operation(const cell& c, std::uint64_t count);

/// Returns system calls an operation, counted by strace. Blocks the thread.
double system_calls_per_operation(const cell& c, std::uint64_t count);

} // namespace perf
