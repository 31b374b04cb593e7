// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <span>
#include <vector>

#include <sched.h>

namespace perf
{

/// Returns the CPUs this thread may run on, ascending. At most 1024 CPUs: a cpu_set_t.
inline std::vector<int> allowed_cpus()
{
    cpu_set_t mask;
    CPU_ZERO(&mask);
    std::vector<int> result;
    if (sched_getaffinity(0, sizeof mask, &mask) == 0)
        for (int cpu = 0; cpu != CPU_SETSIZE; ++cpu)
            if (CPU_ISSET(cpu, &mask))
                result.push_back(cpu);
    return result;
}

/// Binds this thread, and what it will start or execute, to these CPUs. Async-signal-safe. False: errno tells why.
inline bool pin_to(std::span<const int> cpus) noexcept
{
    cpu_set_t mask;
    CPU_ZERO(&mask);
    for (int cpu : cpus)
        CPU_SET(cpu, &mask);
    return sched_setaffinity(0, sizeof mask, &mask) == 0;
}

} // namespace perf
