// SPDX-License-Identifier: BSL-1.0
#include <zsync/platform/memory_pressure.hpp>

#include <zsync/platform/cpus.hpp>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <system_error>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace zsync
{

namespace
{

// In microseconds: so much waiting by some task, in such a window. systemd's default. Who is not privileged may have
// windows of whole two seconds only. The kernel overwrites the last byte by a zero.
constexpr std::string_view default_trigger{"some 200000 2000000", 20};

// Returns a descriptor, or a negated errno.
int connect_to(const std::string& path) noexcept
{
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    if (path.size() >= sizeof address.sun_path)
        return -ENAMETOOLONG;
    path.copy(address.sun_path, path.size());
    const int descriptor = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor < 0)
        return -errno;
    if (::connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0)
        return descriptor;
    const int error = errno;
    ::close(descriptor);
    return -error;
}

// For reading and writing, FIFOs too: they never come to an end then.
int open_at(const std::string& path) noexcept
{
    const int descriptor = ::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    return descriptor < 0 ? -errno : descriptor;
}

} // namespace

memory_pressure::memory_pressure()
{
    if (const char* const announced = std::getenv("MEMORY_PRESSURE_WATCH"); announced && *announced)
    {
        if (std::strcmp(announced, "/dev/null") == 0)
        {
            source_ = "MEMORY_PRESSURE_WATCH is /dev/null";
            return;
        }
        const char* const trigger = std::getenv("MEMORY_PRESSURE_WRITE");
        watch(announced, detail::from_base64(trigger ? trigger : ""));
        return;
    }
    for (const std::string& file : memory_pressure_files())
        if (watch(file, default_trigger))
            return;
}

memory_pressure::memory_pressure(const std::string& path, std::string_view trigger)
{
    watch(path, trigger);
}

memory_pressure::~memory_pressure()
{
    if (descriptor_ >= 0)
        ::close(descriptor_);
}

bool memory_pressure::watch(const std::string& path, std::string_view trigger)
{
    struct stat file
    {
    };
    const bool known = ::stat(path.c_str(), &file) == 0;
    int descriptor = !known ? -errno : S_ISSOCK(file.st_mode) ? connect_to(path) : open_at(path);
    if (descriptor >= 0 && !trigger.empty())
    {
        const ssize_t written = ::write(descriptor, trigger.data(), trigger.size());
        if (written < 0 || static_cast<std::size_t>(written) != trigger.size())
        {
            const int error = written < 0 ? errno : EIO;
            ::close(descriptor);
            descriptor = -error;
        }
    }
    if (descriptor < 0)
    {
        source_ = path + ": " + std::generic_category().message(-descriptor);
        return false;
    }
    descriptor_ = descriptor;
    events_ = S_ISREG(file.st_mode) ? POLLPRI : POLLIN;
    source_ = path;
    return true;
}

bool memory_pressure::acknowledge(unsigned events) noexcept
{
    if (events_ == POLLPRI)
        return (events & (POLLERR | POLLHUP | POLLNVAL)) == 0; // the cgroup has been removed
    // Many at once are one. Not for ever, if somebody writes all the time.
    char ignored[256];
    for (int i = 0; i != 16; ++i)
    {
        const ssize_t got = ::read(descriptor_, ignored, sizeof ignored);
        if (got == 0)
            return false;
        if (got < 0 && errno != EINTR)
            return errno == EAGAIN;
    }
    return true;
}

std::vector<std::string> memory_pressure_files(std::string_view root)
{
    std::vector<std::string> files = detail::cgroup_directories(root, "memory");
    for (std::string& each : files)
        each += "/memory.pressure";
    files.push_back(std::string(root) + "/proc/pressure/memory");
    return files;
}

std::string detail::from_base64(std::string_view text)
{
    constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string bytes;
    std::uint32_t bits = 0;
    int count = 0;
    for (const char each : text)
    {
        const std::size_t value = alphabet.find(each);
        if (value == alphabet.npos)
            break;
        bits = bits << 6 | static_cast<std::uint32_t>(value);
        count += 6;
        if (count < 8)
            continue;
        count -= 8;
        bytes.push_back(static_cast<char>(bits >> count & 0xff));
    }
    return bytes;
}

} // namespace zsync
