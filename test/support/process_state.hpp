// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/detail/sanitizers.hpp>

#include <cstddef>
#include <fstream>
#include <ostream>
#include <string>

#include <dirent.h>

namespace test
{

/// Counts what a process can leave behind. Take one before and one after, and compare.
struct process_state
{
    std::size_t descriptors = 0;   ///< open ones
    std::size_t threads = 0;       ///< those the kernel runs for a ring not included
    std::size_t ring_workers = 0;  ///< io-wq and submission-queue threads, which the kernel shows as ours since 5.12
    std::size_t mappings = 0;      ///< lines of /proc/self/maps; the heap's growth shows here. A sanitizer's: not counted
    std::size_t ring_mappings = 0; ///< of these, queues of an io_uring

    friend bool operator==(const process_state&, const process_state&) = default;

    friend std::ostream& operator<<(std::ostream& out, const process_state& state)
    {
        return out << state.descriptors << " descriptors, " << state.threads << " threads, " << state.ring_workers
                   << " ring workers, " << state.mappings << " mappings, " << state.ring_mappings << " of rings";
    }
};

/// Counts the open descriptors of this process, without the one it takes to look.
inline std::size_t open_descriptors()
{
    std::size_t count = 0;
    if (DIR* const directory = ::opendir("/proc/self/fd"))
    {
        const std::string own = std::to_string(::dirfd(directory));
        while (const dirent* entry = ::readdir(directory))
            count += entry->d_name[0] != '.' && own != entry->d_name;
        ::closedir(directory);
    }
    return count;
}

/// Counts all of it, for this process. A thread that was joined may be seen for a moment longer.
inline process_state this_process()
{
    process_state state;
    state.descriptors = open_descriptors();

    if (DIR* const directory = ::opendir("/proc/self/task"))
    {
        while (const dirent* entry = ::readdir(directory))
        {
            if (entry->d_name[0] == '.')
                continue;
            std::string name;
            std::getline(std::ifstream(std::string("/proc/self/task/") + entry->d_name + "/comm"), name);
            if (name.starts_with("iou-wrk-") || name.starts_with("iou-sqp-"))
                ++state.ring_workers;
            else
                ++state.threads;
        }
        ::closedir(directory);
    }

    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);)
    {
        // A sanitizer maps memory as it likes, and finds leaks by its own means.
        state.mappings += !ZSYNC_HAS_ASAN && !ZSYNC_HAS_TSAN;
        state.ring_mappings += line.find("anon_inode:[io_uring]") != line.npos;
    }
    return state;
}

} // namespace test
