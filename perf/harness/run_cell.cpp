// SPDX-License-Identifier: BSL-1.0
#include "run_cell.hpp"

#include "pinning.hpp"
#include "process.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/value_to.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <span>
#include <stdexcept>

#include <unistd.h>

namespace perf
{

namespace
{

namespace json = boost::json;

std::string path_of(const std::string& program)
{
    return std::filesystem::read_symlink("/proc/self/exe").parent_path() / "cells" / program;
}

// The cell gets the first CPUs, the load the next one; if there is none left, the last.
struct placement
{
    explicit placement(unsigned wanted) : all(allowed_cpus())
    {
        if (all.empty())
            throw std::runtime_error("the CPUs this process may use cannot be told");
        const std::size_t n = std::min<std::size_t>(wanted, all.size());
        cell = std::span(all).first(n);
        load = std::span(all).subspan(std::min(n, all.size() - 1), 1);
        apart = n < all.size();
    }

    std::vector<int> all;
    std::span<const int> cell;
    std::span<const int> load;
    bool apart; ///< cell and load have no CPU in common
};

// proc(5), /proc/stat: CPU time of all CPUs that the hypervisor gave to somebody else.
double stolen_seconds()
{
    std::ifstream file("/proc/stat");
    std::string cpu;
    double ticks = 0;
    file >> cpu;
    for (int column = 1; column <= 8; ++column)
        file >> ticks;
    return file ? ticks / static_cast<double>(::sysconf(_SC_CLK_TCK)) : 0;
}

json::object parse(const std::optional<std::string>& line, const std::string& program)
{
    boost::system::error_code ec;
    json::value parsed = json::parse(line.value_or(""), ec);
    if (ec || !parsed.is_object())
        throw std::runtime_error(program + " printed no result");
    return std::move(parsed.get_object());
}

// A row must not compare epoll with epoll because there was no ring, nor call native what was not.
void check_engine(const cell& c, const json::object& result, std::uint64_t count)
{
    if (c.does == engine::any)
        return;
    const auto name = json::value_to<std::string>(result.at("engine"));
    if (name != (c.does == engine::epoll ? "epoll" : "uring"))
        throw std::runtime_error(c.name + " ran on " + name);
    const auto native = json::value_to<double>(result.at("native_operations"));
    const bool was_native = native >= static_cast<double>(count);
    if (was_native != (c.does == engine::native))
        throw std::runtime_error(c.name + ": " + std::to_string(static_cast<std::uint64_t>(native)) +
                                 " native operations");
}

void take_numbers(const json::object& from, measurement& to)
{
    for (const auto& [name, value] : from)
        if (value.is_number())
            to[std::string(name)] = value.to_number<double>();
}

} // namespace

measurement run_cell(const cell& c, std::uint64_t count, const run_options& options)
{
    const auto start = std::chrono::steady_clock::now();
    const auto deadline = start + options.limit;
    const double stolen = stolen_seconds();
    const placement where(c.cpus);

    const std::string program = path_of(c.program);
    if (::access(program.c_str(), X_OK) != 0)
        throw std::runtime_error(c.program + " has not been built: what compiles it is not installed");
    std::vector<std::string> command = options.wrapper;
    command.push_back(program);
    command.insert(command.end(), c.arguments.begin(), c.arguments.end());
    command.push_back("count=" + std::to_string(count));
    process measured(command, where.cell, deadline);

    measurement result;
    double disturbed = 0;
    if (!c.load.empty())
    {
        const json::object hello = parse(measured.read_line(), c.program);
        std::vector<std::string> load = {path_of("tcp_load")};
        load.insert(load.end(), c.load.begin(), c.load.end());
        load.push_back("port=" + std::to_string(hello.at("port").to_number<std::uint64_t>()));
        load.push_back("pid=" + std::to_string(hello.at("pid").to_number<std::uint64_t>()));
        load.push_back("count=" + std::to_string(count));
        process client(load, where.load, deadline);
        take_numbers(parse(client.finish(), "tcp_load"), result);
        disturbed = client.waited();
    }
    const json::object last = parse(measured.finish(), c.program);
    check_engine(c, last, count);
    take_numbers(last, result);

    disturbed = where.apart || c.load.empty() ? std::max(disturbed, measured.waited()) : 0;
    const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - start;
    result[std::string(disturbance)] = std::max(disturbed, (stolen_seconds() - stolen) / wall.count());
    return result;
}

} // namespace perf
