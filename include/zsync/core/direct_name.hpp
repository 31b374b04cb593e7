// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <limits>

namespace zsync
{

/// How many places a ring's own table of files has at most: the kernel's limit.
inline constexpr std::uint32_t most_direct = 1u << 20;

/// Names a place in a ring's own table of files, where an operation names a descriptor. These names begin at the
/// smallest integer: no descriptor's number, no errno and no AT_FDCWD is ever one.
constexpr int direct_name(std::uint32_t place) noexcept
{
    return std::numeric_limits<int>::min() + static_cast<int>(place);
}

/// Says whether it is such a name.
constexpr bool is_direct(int descriptor) noexcept
{
    return descriptor < direct_name(most_direct);
}

/// Returns the place that it names.
constexpr std::uint32_t direct_place(int descriptor) noexcept
{
    return static_cast<std::uint32_t>(descriptor - std::numeric_limits<int>::min());
}

} // namespace zsync
