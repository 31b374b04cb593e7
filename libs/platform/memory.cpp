// SPDX-License-Identifier: BSL-1.0
#include <zsync/platform/memory.hpp>

#include <zsync/platform/cpus.hpp>

#include <algorithm>
#include <fstream>
#include <string>

#include <sys/resource.h>
#include <unistd.h>

namespace zsync
{
namespace
{

// cgroup v1 has no word for 'no limit': it is the largest number of whole pages that a long holds, in bytes. Anything
// in the upper half of that is no limit that anyone set.
constexpr std::uint64_t v1_no_limit = std::uint64_t(1) << 62;

std::optional<std::uint64_t> limit_in(const std::string& directory)
{
    for (const char* name : {"/memory.max", "/memory.limit_in_bytes"})
    {
        std::ifstream file(directory + name);
        std::uint64_t bytes = 0;
        if (file >> bytes && bytes < v1_no_limit) // fails to read "max", as it should
            return bytes;
    }
    return std::nullopt;
}

// RLIM_INFINITY is the largest rlim_t; with 32-bit rlim_t that is not `unlimited`.
std::uint64_t widen(rlim_t value) noexcept
{
    return value == RLIM_INFINITY ? resource_limit::unlimited : value;
}

template <class Resource>
resource_limit limit_of(Resource resource) noexcept
{
    rlimit limit;
    if (::getrlimit(resource, &limit) != 0)
        return {};
    return {widen(limit.rlim_cur), widen(limit.rlim_max)};
}

} // namespace

std::uint64_t total_memory(std::string_view root)
{
    std::ifstream file(std::string(root) + "/proc/meminfo");
    for (std::string key; file >> key;)
    {
        std::uint64_t kibibytes = 0;
        if (key == "MemTotal:" && file >> kibibytes)
            return kibibytes * 1024;
        file.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
    }
    return static_cast<std::uint64_t>(std::max(0L, ::sysconf(_SC_PHYS_PAGES))) * page_size();
}

std::optional<std::uint64_t> memory_limit(std::string_view root)
{
    std::optional<std::uint64_t> smallest;
    for (const std::string& directory : detail::cgroup_directories(root, "memory"))
        if (const auto limit = limit_in(directory); limit && (!smallest || *limit < *smallest))
            smallest = limit;
    return smallest;
}

std::uint64_t usable_memory(std::string_view root)
{
    return std::min(total_memory(root), memory_limit(root).value_or(resource_limit::unlimited));
}

std::size_t page_size() noexcept
{
    return static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

resource_limit locked_memory_limit() noexcept
{
    return limit_of(RLIMIT_MEMLOCK);
}

resource_limit open_files_limit() noexcept
{
    return limit_of(RLIMIT_NOFILE);
}

} // namespace zsync
