// SPDX-License-Identifier: BSL-1.0
#include <zsync/platform/cpus.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <limits>
#include <sstream>

#include <cerrno>
#include <sched.h>
#include <unistd.h>

namespace zsync
{
namespace
{

std::string first_line(const std::string& path)
{
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    return line;
}

bool list_contains(std::string_view list, std::string_view word)
{
    for (std::size_t begin = 0; begin <= list.size();)
    {
        const std::size_t end = std::min(list.find(',', begin), list.size());
        if (list.substr(begin, end - begin) == word)
            return true;
        begin = end + 1;
    }
    return false;
}

// mountinfo writes space, tab, newline and backslash as three octal digits.
std::string unescape(std::string_view text)
{
    std::string plain;
    for (std::size_t i = 0; i < text.size(); ++i)
    {
        unsigned code = 0;
        const char* const digits = text.data() + i + 1;
        if (text[i] == '\\' && text.size() - i > 3 && std::from_chars(digits, digits + 3, code, 8).ptr == digits + 3)
        {
            plain += static_cast<char>(code);
            i += 3;
        }
        else
            plain += text[i];
    }
    return plain;
}

struct cgroup_mount
{
    bool unified;        // v2
    std::string root;    // the cgroup that stands at `point`
    std::string point;   // where
    std::string options; // of the superblock: v1 lists its controllers there
};

std::vector<cgroup_mount> cgroup_mounts(std::string_view root)
{
    std::vector<cgroup_mount> mounts;
    std::ifstream file(std::string(root) + "/proc/self/mountinfo");
    for (std::string line; std::getline(file, line);)
    {
        // 31 23 0:28 / /sys/fs/cgroup rw,relatime [optional fields] - cgroup2 source rw
        std::istringstream words(line);
        std::string skip, at, point, type, source, options;
        words >> skip >> skip >> skip >> at >> point;
        while (words >> skip && skip != "-")
        {
        }
        if (words >> type >> source >> options && (type == "cgroup" || type == "cgroup2"))
            mounts.push_back({type == "cgroup2", unescape(at), unescape(point), options});
    }
    return mounts;
}

// The part of `path` below `ancestor`, "" if they are the same; none if it is not below.
std::optional<std::string> path_below(std::string_view path, std::string_view ancestor)
{
    if (path.ends_with('/'))
        path.remove_suffix(1);
    if (ancestor.ends_with('/'))
        ancestor.remove_suffix(1);
    // "/.." leads out of this process's cgroup namespace, to where no mount of its own shows.
    if (path.starts_with("/..") || !path.starts_with(ancestor))
        return std::nullopt;
    path.remove_prefix(ancestor.size());
    if (!path.empty() && path.front() != '/')
        return std::nullopt;
    return std::string(path);
}

// What one cgroup directory grants, in CPUs.
std::optional<double> quota_in(const std::string& directory)
{
    double quota = 0;
    double period = 0;
    std::istringstream(first_line(directory + "/cpu.max")) >> quota >> period; // "max": reads nothing
    if (period == 0)
    {
        std::istringstream(first_line(directory + "/cpu.cfs_quota_us")) >> quota; // -1: no limit
        std::istringstream(first_line(directory + "/cpu.cfs_period_us")) >> period;
    }
    if (quota > 0 && period > 0)
        return quota / period;
    return std::nullopt;
}

int read_own_mask(std::size_t bytes, unsigned long* mask)
{
    return ::sched_getaffinity(0, bytes, reinterpret_cast<cpu_set_t*>(mask)) == 0 ? 0 : errno;
}

} // namespace

namespace detail
{

std::vector<std::string> cgroup_directories(std::string_view root, std::string_view controller)
{
    std::vector<std::string> directories;
    const std::vector<cgroup_mount> mounts = cgroup_mounts(root);

    std::ifstream file(std::string(root) + "/proc/self/cgroup");
    for (std::string line; std::getline(file, line);)
    {
        // 4:cpu,cpuacct:/path (v1) or 0::/path (v2); the path may have colons.
        const std::size_t first = line.find(':');
        const std::size_t second = first == line.npos ? first : line.find(':', first + 1);
        if (second == line.npos)
            continue;
        const std::string_view controllers = std::string_view(line).substr(first + 1, second - first - 1);
        const bool unified = controllers.empty();
        if (!unified && !list_contains(controllers, controller))
            continue;

        // Of several mounts of the hierarchy (a bind mount of a part is common in containers) the best shows this
        // cgroup and the most ancestors; one that does not show it still says what its own root is limited to.
        const cgroup_mount* best = nullptr;
        std::optional<std::string> below;
        for (const cgroup_mount& mount : mounts)
        {
            if (mount.unified != unified || !(unified || list_contains(mount.options, controller)))
                continue;
            std::optional<std::string> candidate = path_below(std::string_view(line).substr(second + 1), mount.root);
            if (best == nullptr || (candidate && (!below || candidate->size() > below->size())))
            {
                best = &mount;
                below = std::move(candidate);
            }
        }
        if (best == nullptr)
            continue;

        const std::string point = std::string(root) + best->point;
        std::string rest = below.value_or("");
        for (; !rest.empty(); rest.resize(rest.rfind('/')))
            directories.push_back(point + rest);
        directories.push_back(point);
    }
    return directories;
}

std::vector<unsigned> affinity_cpus(mask_reader read)
{
    constexpr std::size_t word_bits = std::numeric_limits<unsigned long>::digits;
    constexpr std::size_t most_bits = std::size_t(1) << 20; // chosen; Linux 6.18 knows 8192 on x86-64

    // The kernel refuses a mask shorter than the CPUs it was built or booted for.
    for (std::size_t bits = 1024; bits <= most_bits; bits *= 2)
    {
        std::vector<unsigned long> mask(bits / word_bits);
        const int error = read(mask.size() * sizeof(unsigned long), mask.data());
        if (error == EINVAL)
            continue;
        std::vector<unsigned> cpus;
        for (std::size_t cpu = 0; error == 0 && cpu != bits; ++cpu)
            if ((mask[cpu / word_bits] >> (cpu % word_bits) & 1) != 0)
                cpus.push_back(static_cast<unsigned>(cpu));
        return cpus;
    }
    return {};
}

} // namespace detail

unsigned online_cpus(std::string_view root)
{
    // "0-3,5,8-11"
    std::istringstream ranges(first_line(std::string(root) + "/sys/devices/system/cpu/online"));
    unsigned count = 0;
    for (unsigned first = 0; ranges >> first;)
    {
        unsigned last = first;
        if (ranges.peek() == '-')
            ranges.ignore() >> last;
        if (last >= first)
            count += last - first + 1;
        ranges.ignore();
    }
    if (count == 0)
        count = static_cast<unsigned>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN)));
    return count;
}

std::vector<unsigned> affinity_cpus()
{
    return detail::affinity_cpus(&read_own_mask);
}

std::optional<double> cpu_quota(std::string_view root)
{
    std::optional<double> smallest;
    for (const std::string& directory : detail::cgroup_directories(root, "cpu"))
        if (const auto quota = quota_in(directory); quota && (!smallest || *quota < *smallest))
            smallest = quota;
    return smallest;
}

unsigned usable_parallelism(std::string_view root)
{
    std::size_t cpus = affinity_cpus().size();
    if (cpus == 0)
        cpus = online_cpus(root);
    // Compared as double: a quota may exceed what an integer holds.
    if (const auto quota = cpu_quota(root); quota && std::ceil(*quota) < static_cast<double>(cpus))
        cpus = static_cast<std::size_t>(std::ceil(*quota));
    return static_cast<unsigned>(std::max<std::size_t>(cpus, 1));
}

} // namespace zsync
