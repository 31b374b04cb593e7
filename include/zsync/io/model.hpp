// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string_view>

namespace zsync
{

/// How the functions that take an io run.
enum class model
{
    blocking, ///< on the caller's thread: each operation is its system call
    green,    ///< on fibers over one loop: an operation suspends its fiber
};

/// Returns "blocking" or "green". Never blocks.
constexpr std::string_view to_string(model value) noexcept
{
    return value == model::blocking ? "blocking" : "green";
}

} // namespace zsync
