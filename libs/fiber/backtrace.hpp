// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

namespace zsync::detail
{

/// Unwinds the calling stack into `frames`, the innermost first: addresses within the calls. Leaves out the frames
/// whose stack pointer is at or below `above`, so that the caller's own need not be seen. Returns how many there are.
///
/// Allocates nothing and takes no lock where the C library has _dl_find_object (since glibc 2.35).
std::size_t unwind(std::span<void*> frames, const void* above) noexcept;

/// The same in a signal handler, from what the signal has interrupted.
std::size_t unwind_interrupted(std::span<void*> frames) noexcept;

/// Finds the names of functions: of all, where the program and its libraries have their symbols (are not stripped),
/// else of those that are exported to the dynamic linker (-rdynamic). Not thread-safe.
class symbolizer
{
public:
    symbolizer();
    ~symbolizer();
    symbolizer(const symbolizer&) = delete;
    symbolizer& operator=(const symbolizer&) = delete;

    /// Returns "function (module+0x1234)", as much of it as can be told. The offset is what addr2line(1) takes.
    const std::string& describe(void* address);

private:
    class module;

    std::string look_up(void* address);
    module& module_at(const char* path);

    std::unordered_map<void*, std::string> known_;
    std::vector<std::unique_ptr<module>> modules_;
};

} // namespace zsync::detail
