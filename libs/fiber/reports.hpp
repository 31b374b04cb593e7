// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/fiber/fiber_options.hpp>

#include <chrono>
#include <string_view>

namespace zsync::detail
{

/// How long a loop is to have nothing to wait for before it says so; max(): it never does.
std::chrono::microseconds deadlock_limit(const fiber_options& options) noexcept;

/// What fiber_options::report is if nobody has set it.
void report_to_standard_error(std::string_view text);

} // namespace zsync::detail
