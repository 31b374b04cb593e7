// SPDX-License-Identifier: BSL-1.0
#include "counting.hpp"

#include "run_cell.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>

#include <unistd.h>

namespace perf
{

namespace
{

namespace fs = std::filesystem;

void require_tool(const std::string& name)
{
    std::istringstream path(std::getenv("PATH") ? std::getenv("PATH") : "");
    for (std::string directory; std::getline(path, directory, ':');)
        if (::access((fs::path(directory) / name).c_str(), X_OK) == 0)
            return;
    throw std::runtime_error(name + " is not installed");
}

class temporary_file
{
public:
    temporary_file()
    {
        const int fd = ::mkstemp(path_.data());
        if (fd < 0)
            throw std::runtime_error("no temporary file can be made");
        ::close(fd);
    }

    temporary_file(const temporary_file&) = delete;
    temporary_file& operator=(const temporary_file&) = delete;
    ~temporary_file() { ::unlink(path_.c_str()); }

    const std::string& path() const { return path_; }

private:
    std::string path_ = fs::temp_directory_path() / "zsync_perf.XXXXXX";
};

// Returns the number that stands `distance` words after `word` in a tool's report.
double number_near(const std::string& path, const std::string& word, std::ptrdiff_t distance)
{
    std::ifstream report(path);
    const std::vector<std::string> words{std::istream_iterator<std::string>(report), {}};
    const auto at = std::find(words.begin(), words.end(), word) - words.begin() + distance;
    if (at < 0 || at >= std::ssize(words))
        throw std::runtime_error("the tool's report has no '" + word + "'");
    return std::stod(words[static_cast<std::size_t>(at)]);
}

// `total` runs a cell for so many operations and returns what the tool has counted.
template <class Total>
double per_operation(std::uint64_t count, Total total)
{
    return (total(3 * count) - total(count)) / (2.0 * static_cast<double>(count));
}

run_options under(std::vector<std::string> tool)
{
    return {.wrapper = std::move(tool), .limit = std::chrono::seconds(120)};
}

} // namespace

double instructions_per_operation(const cell& c, std::uint64_t count)
{
    require_tool("valgrind");
    return per_operation(count,
                         [&](std::uint64_t n)
                         {
                             const temporary_file report;
                             run_cell(c, n,
                                      under({"valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
                                             "--log-file=" + report.path()}));
                             return number_near(report.path(), "Collected", 2);
                         });
}

double system_calls_per_operation(const cell& c, std::uint64_t count)
{
    require_tool("strace");
    return per_operation(count,
                         [&](std::uint64_t n)
                         {
                             const temporary_file report;
                             run_cell(c, n, under({"strace", "-f", "-c", "-U", "calls,name", "-o", report.path()}));
                             return number_near(report.path(), "total", -1);
                         });
}

} // namespace perf
