// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// Each function asks the system when it is called and keeps nothing: hotplug, taskset(1) and container managers change
// the answers while a process runs. `root` is put before every path of /proc and /sys; tests pass a directory of
// theirs. All are safe to call from any thread.
namespace zsync
{

/// Returns how many CPUs are online in the machine, whoever may use them; at least 1. Blocks the thread while it reads
/// /sys/devices/system/cpu/online.
unsigned online_cpus(std::string_view root = {});

/// Returns the numbers of the CPUs the calling thread may run on, ascending: sched_getaffinity(2), which follows
/// cpusets too. Works with any number of CPUs. Empty if the kernel refuses to tell (a sandbox). Never blocks.
std::vector<unsigned> affinity_cpus();

/// Returns how many CPUs' worth of time the cgroups of this process grant it, perhaps a fraction; none if there is no
/// limit. It is the smallest over the process's cgroup and all ancestors that its mounts show: `cpu.max` of cgroup v2,
/// `cpu.cfs_quota_us` of v1. Blocks the thread while it reads.
std::optional<double> cpu_quota(std::string_view root = {});

/// Returns how many threads can really run at once: the CPUs in this thread's affinity mask (those online where that is
/// not known), at most the quota rounded up; at least 1. A pool that is larger gets throttled, not faster.
/// Blocks the thread while it reads.
unsigned usable_parallelism(std::string_view root = {});

namespace detail
{

/// Lists the directories of this process's cgroup and its ancestors, as far as its mounts show them, innermost first:
/// those of the v1 hierarchy that has `controller` and those of v2. A file that is in none of them limits nothing.
/// cgroups(7), "/proc files"; proc(5), mountinfo.
std::vector<std::string> cgroup_directories(std::string_view root, std::string_view controller);

/// Fills a CPU mask of `bytes` bytes and returns 0, or an errno; EINVAL is 'too small'.
using mask_reader = int (*)(std::size_t bytes, unsigned long* mask);

/// `affinity_cpus` over any source of masks.
std::vector<unsigned> affinity_cpus(mask_reader read);

} // namespace detail
} // namespace zsync
