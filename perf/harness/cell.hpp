// SPDX-License-Identifier: BSL-1.0
#pragma once

// What every cell shares. A cell is a small program that measures one side of a row once. It takes arguments of the
// form name=value and prints JSON objects, one a line: a server first {"port":..,"pid":..}, then every cell, as its
// last line, what it has measured. It exits with 0 only if the numbers are good.

#include <charconv>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace perf
{

class cell_arguments
{
public:
    cell_arguments(int argc, char** argv) : arguments_(argv + 1, argv + argc) {}

    std::string_view text(std::string_view name, std::string_view fallback) const
    {
        for (std::string_view argument : arguments_)
            if (argument.size() > name.size() && argument.starts_with(name) && argument[name.size()] == '=')
                return argument.substr(name.size() + 1);
        return fallback;
    }

    std::uint64_t number(std::string_view name, std::uint64_t fallback) const
    {
        const std::string_view digits = text(name, "");
        if (digits.empty())
            return fallback;
        std::uint64_t value = 0;
        const auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
        if (ec != std::errc() || end != digits.data() + digits.size())
            throw std::invalid_argument(std::string(name) + " is not a number");
        return value;
    }

private:
    std::vector<std::string_view> arguments_;
};

/// Collects one line of output. Texts are identifiers of ours: nothing is escaped.
class cell_line
{
public:
    cell_line& add(std::string_view name, double value)
    {
        char digits[64];
        std::snprintf(digits, sizeof digits, "%.6f", value);
        return add_raw(name, digits);
    }

    cell_line& add(std::string_view name, std::string_view value)
    {
        return add_raw(name, '"' + std::string(value) + '"');
    }

    void print() const
    {
        std::printf("{%s}\n", fields_.c_str());
        std::fflush(stdout);
    }

private:
    cell_line& add_raw(std::string_view name, const std::string& value)
    {
        fields_ += (fields_.empty() ? "\"" : ",\"") + std::string(name) + "\":" + value;
        return *this;
    }

    std::string fields_;
};

inline double clock_ns(clockid_t clock)
{
    timespec now{};
    if (clock_gettime(clock, &now) != 0)
        throw std::runtime_error("clock_gettime failed");
    return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

/// Returns the CPU time of this process so far: user and system, all threads, the kernel's io_uring workers included.
inline double cpu_ns()
{
    return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

inline double wall_ns()
{
    return clock_ns(CLOCK_MONOTONIC);
}

/// Runs a cell's body and turns what it throws into a message and exit status 1.
template <class Body>
int cell_main(int argc, char** argv, Body body)
{
    try
    {
        body(cell_arguments(argc, argv));
        return 0;
    }
    catch (const std::exception& e)
    {
        std::fprintf(stderr, "%s: %s\n", argv[0], e.what());
        return 1;
    }
}

} // namespace perf
