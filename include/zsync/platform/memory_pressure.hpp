// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace zsync
{

/// Is told by the system when memory is short, through a descriptor that can be polled.
///
/// "Short" is what systemd takes for it: processes have waited for memory for 200 ms within two seconds. It is told
/// again for as long as that lasts, every two seconds at most.
///
/// Privileges are not needed since Linux 6.4; before, CAP_SYS_RESOURCE is. For a process that has that, the kernel runs
/// a thread, psimon, as long as somebody watches.
///
/// Distinct objects: safe. One object: one thread at a time.
class memory_pressure
{
public:
    /// Watches what the environment names: MEMORY_PRESSURE_WATCH, with MEMORY_PRESSURE_WRITE, as systemd sets them
    /// since version 254. Else the first of memory_pressure_files() that lets itself be watched. Where nothing does, or
    /// the environment says /dev/null, descriptor() is -1 and source() the reason. Blocks the thread while it reads.
    memory_pressure();

    /// Watches this: a pressure file of the kernel's, to which `trigger` is written, a FIFO or a local stream socket
    /// that bytes come from. Blocks the thread as open(2) does.
    explicit memory_pressure(const std::string& path, std::string_view trigger = {});

    /// Blocks the thread: the kernel lets go of a pressure file after a grace period (measured: 6 to 12 ms).
    ~memory_pressure();
    memory_pressure(const memory_pressure&) = delete;
    memory_pressure& operator=(const memory_pressure&) = delete;

    /// What to poll, for events(): once at a time, since a poll that tells of it takes it off. -1: nothing. Never
    /// blocks.
    int descriptor() const noexcept { return descriptor_; }

    /// The events of poll(2) that tell that memory is short. Never blocks.
    unsigned events() const noexcept { return events_; }

    /// To be called with what a poll has returned, before the next. False: nothing will come any more. Never blocks.
    bool acknowledge(unsigned events) noexcept;

    /// The path that is watched, or a sentence that says why none is. Never blocks.
    const std::string& source() const noexcept { return source_; }

private:
    bool watch(const std::string& path, std::string_view trigger);

    int descriptor_ = -1;
    unsigned events_ = 0;
    std::string source_;
};

/// Lists the kernel's files that tell of memory pressure on this process: `memory.pressure` of its cgroup and of all
/// ancestors (v2) that its mounts show, innermost first; then /proc/pressure/memory, of the whole machine. They need
/// not be there, nor be writable. `root` as in memory.hpp. Blocks the thread while it reads.
std::vector<std::string> memory_pressure_files(std::string_view root = {});

namespace detail
{

/// Decodes base64, of RFC 4648; ends at the first character that is none.
std::string from_base64(std::string_view text);

} // namespace detail

} // namespace zsync
