// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <sys/types.h>

namespace perf
{

/// A child in a process group of its own, pinned before it executes. Dies with its owner, and at the latest with the
/// driver. Functions block until their deadline and throw std::runtime_error when it has passed.
class process
{
public:
    using time_point = std::chrono::steady_clock::time_point;

    /// Starts `command[0]`, looked up in PATH; its standard output can be read, its standard error is ours.
    process(const std::vector<std::string>& command, std::span<const int> cpus, time_point deadline);
    process(const process&) = delete;
    process& operator=(const process&) = delete;
    ~process();

    /// Returns the next line without its end, nothing at the end of the output.
    std::optional<std::string> read_line();

    /// Reads what is left and reaps. Returns the last line, nothing if there was none.
    /// @throws std::runtime_error if the child fails.
    std::optional<std::string> finish();

    /// Returns the part of its life, 0 to 1, that the child's main thread was ready to run and had to wait for a CPU.
    /// To be asked after finish(); 0 where the kernel does not tell.
    double waited() const noexcept { return waited_; }

private:
    std::string name_;
    time_point start_;
    time_point deadline_;
    double waited_ = 0;
    pid_t pid_ = -1;
    int output_ = -1;
    std::string unread_;
};

/// Returns all output of a command, nothing if it cannot be run or fails.
std::optional<std::string> output_of(const std::vector<std::string>& command);

} // namespace perf
