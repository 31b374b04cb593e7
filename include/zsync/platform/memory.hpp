// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

// Each function asks the system when it is called. `root` is put before every path of /proc and /sys; tests pass a
// directory of theirs. All are safe to call from any thread.
namespace zsync
{

/// Returns the machine's memory in bytes: MemTotal of /proc/meminfo. Blocks the thread while it reads.
std::uint64_t total_memory(std::string_view root = {});

/// Returns how many bytes the cgroups of this process may use before the kernel ends one of their processes; none if
/// there is no limit. It is the smallest over the process's cgroup and all ancestors that its mounts show: `memory.max`
/// of cgroup v2, `memory.limit_in_bytes` of v1. Blocks the thread while it reads.
std::optional<std::uint64_t> memory_limit(std::string_view root = {});

/// Returns the smaller of `total_memory` and `memory_limit`: what to size pools and caches by. Others' use of it is not
/// subtracted. Blocks the thread while it reads.
std::uint64_t usable_memory(std::string_view root = {});

/// Returns the size of a page in bytes. Never blocks.
std::size_t page_size() noexcept;

/// Holds a limit of getrlimit(2), in the units of the one asked for.
struct resource_limit
{
    /// RLIM_INFINITY.
    static constexpr std::uint64_t unlimited = std::numeric_limits<std::uint64_t>::max();

    std::uint64_t soft = unlimited; ///< What the kernel enforces.
    std::uint64_t hard = unlimited; ///< What an unprivileged process may raise `soft` to.

    friend bool operator==(const resource_limit&, const resource_limit&) = default;
};

/// Returns RLIMIT_MEMLOCK in bytes. Registered buffers count against it, and so did the rings themselves before Linux
/// 5.12. Never blocks.
resource_limit locked_memory_limit() noexcept;

/// Returns RLIMIT_NOFILE: one more than the highest descriptor number this process may open. Never blocks.
resource_limit open_files_limit() noexcept;

} // namespace zsync
