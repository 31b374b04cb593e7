// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "suite.hpp"

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace perf
{

/// The numbers a cell has printed, by name.
using measurement = std::map<std::string, double, std::less<>>;

/// How to run a cell other than plainly.
struct run_options
{
    std::vector<std::string> wrapper = {}; ///< a command that runs the cell under a tool
    std::chrono::seconds limit{60};
};

/// The name under which run_cell adds to the numbers: the part of the time, 0 to 1, that the cell or its load waited
/// for a CPU that another program was on, or that the machine below took away from this one.
inline constexpr std::string_view disturbance = "disturbance";

/// Runs a cell once, with its load if it is a server, and returns what it measured. Blocks the thread.
/// @throws std::runtime_error if it fails, takes too long, or another engine did the work than the cell is about.
measurement run_cell(const cell& c, std::uint64_t count, const run_options& options = {});

} // namespace perf
