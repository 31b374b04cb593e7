// SPDX-License-Identifier: BSL-1.0
#include "machine.hpp"

#include "pinning.hpp"
#include "process.hpp"

#include <boost/version.hpp>

#include <array>
#include <chrono>
#include <ctime>
#include <fstream>
#include <string>

#include <sys/utsname.h>

namespace perf
{

namespace
{

std::string cpu_model()
{
    std::ifstream info("/proc/cpuinfo");
    for (std::string line; std::getline(info, line);)
        if (line.starts_with("model name"))
            return line.substr(line.find(':') + 2);
    return "unknown";
}

std::string kernel()
{
    utsname name{};
    ::uname(&name);
    return std::string(name.sysname) + ' ' + name.release + ' ' + name.machine;
}

std::string today()
{
    const std::time_t now = std::time(nullptr);
    std::tm utc{};
    gmtime_r(&now, &utc);
    std::array<char, 16> text{};
    return {text.data(), std::strftime(text.data(), text.size(), "%Y-%m-%d", &utc)};
}

// Earlier results don't count as a change: measuring writes them.
std::string commit()
{
    const std::vector<std::string> git = {"git", "-C", ZSYNC_PERF_SOURCE_DIR};
    const auto ask = [&](std::vector<std::string> arguments)
    {
        arguments.insert(arguments.begin(), git.begin(), git.end());
        return output_of(arguments);
    };
    std::optional<std::string> id = ask({"rev-parse", "--short=12", "--verify", "--quiet", "HEAD"});
    if (!id || id->empty())
        return "unknown";
    id->pop_back();
    const auto changes = ask({"status", "--porcelain", "--", ":/", ":(exclude,top)perf/results"});
    return *id + (changes && changes->empty() ? "" : "-dirty");
}

std::string boost_version()
{
    return std::to_string(BOOST_VERSION / 100'000) + '.' + std::to_string(BOOST_VERSION / 100 % 1'000) + '.' +
           std::to_string(BOOST_VERSION % 100);
}

} // namespace

boost::json::object describe_run()
{
    return {{"date", today()},           {"commit", commit()},
            {"cpu", cpu_model()},        {"cores", allowed_cpus().size()},
            {"kernel", kernel()},        {"compiler", ZSYNC_PERF_COMPILER},
            {"flags", ZSYNC_PERF_FLAGS}, {"boost", boost_version()}};
}

} // namespace perf
