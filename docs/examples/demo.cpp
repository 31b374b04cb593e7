// SPDX-License-Identifier: BSL-1.0

// Shows one function, demo/tour.hpp, on the blocking model and on fibers over io_uring and over epoll. Each cell of the
// table is a child process, run once as it is and once under strace(1), if that is installed. Then fiber_echo_server,
// which stands beside this program, with a client that checks every byte.
//
//   demo                       the tables; exit code 1 if any result differs
//   demo --cell MODEL,ENGINE [DIRECTORY]
//                              one tour: prints what it did as lines of key=value. DIRECTORY has the file "original".

#include "demo/child.hpp"
#include "demo/echo_client.hpp"
#include "demo/tour.hpp"

#include <zsync/io/run.hpp>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <sys/prctl.h>
#include <unistd.h>

namespace fs = std::filesystem;
using clock_type = std::chrono::steady_clock;

struct cell
{
    std::string_view name;
    zsync::model model;
    zsync::engine_kind engine;
};

constexpr cell cells[] = {
    {"blocking,system", zsync::model::blocking, zsync::engine_kind::blocking},
    {"green,io_uring", zsync::model::green, zsync::engine_kind::uring},
    {"green,epoll", zsync::model::green, zsync::engine_kind::reactor},
};

constexpr int not_here = 3; // exit code of a cell whose engine cannot be had

// ---- A cell ---------------------------------------------------------------------------------------------------------

/// A directory with a file to copy; gone with this.
class workplace
{
public:
    workplace()
    {
        std::string pattern = (fs::temp_directory_path() / "zsync-demo-XXXXXX").string();
        if (!::mkdtemp(pattern.data()))
            throw std::system_error(errno, std::system_category(), pattern);
        path_ = pattern;
        std::ofstream original(path_ / "original", std::ios::binary);
        std::string content(demo::file_bytes, '\0');
        std::uint32_t number = 1;
        for (char& byte : content)
            byte = static_cast<char>((number = number * 1664525 + 1013904223) >> 24);
        if (!(original << content << std::flush))
            throw std::runtime_error("no room in " + path_.string());
    }

    ~workplace()
    {
        std::error_code ignored;
        fs::remove_all(path_, ignored);
    }

    workplace(const workplace&) = delete;
    workplace& operator=(const workplace&) = delete;

    std::string path() const { return path_.string(); }

private:
    fs::path path_;
};

/// Counts the threads of this process beside the first: its own, and those that the kernel has added for io_uring.
std::pair<unsigned, unsigned> other_threads()
{
    std::pair<unsigned, unsigned> count{};
    for (const auto& each : fs::directory_iterator("/proc/self/task"))
    {
        std::string name;
        std::getline(std::ifstream(each.path() / "comm") >> std::ws, name);
        if (name.starts_with("iou-"))
            ++count.second;
        else if (each.path().filename() != std::to_string(::getpid()))
            ++count.first;
    }
    return count;
}

int run_cell(const cell& which, const std::string& directory)
try
{
    const auto measured = [&](zsync::io io)
    {
        const auto start = clock_type::now();
        const demo::report made = demo::tour(io, directory);
        const auto time = std::chrono::duration_cast<std::chrono::microseconds>(clock_type::now() - start);
        const auto [own, kernels] = other_threads();
        std::cout << "model=" << to_string(io.model()) << "\nengine=" << to_string(io.engine())
                  << "\noperations=" << made.operations << "\nbytes=" << made.bytes << "\nhash=" << std::hex
                  << made.hash << std::dec << "\nequal=" << (made.equal ? "yes" : "no")
                  << "\nmicroseconds=" << time.count() << "\nthreads_started=" << own << "\nkernel_workers=" << kernels
                  << std::endl;
        return made.equal ? 0 : 1;
    };
    if (which.model == zsync::model::blocking)
        return zsync::run_blocking(measured);
    return zsync::run_green(measured, {.engine = which.engine});
}
catch (const boost::system::system_error& failure)
{
    std::cout << "failed=" << failure.what() << std::endl;
    const bool forbidden =
        failure.code() == std::errc::operation_not_permitted || failure.code() == std::errc::function_not_supported;
    return which.engine == zsync::engine_kind::uring && forbidden ? not_here : 1;
}

// ---- The table ------------------------------------------------------------------------------------------------------

using facts = std::map<std::string, std::string>;

struct outcome
{
    facts said;
    int exit_code = 0;
    std::map<std::string, std::uint64_t> calls; // system calls, if they were counted
};

outcome run_child(std::string_view name, bool trace)
{
    std::vector<std::string> command = {fs::read_symlink("/proc/self/exe").string(), "--cell", std::string(name)};
    if (trace)
        command.insert(command.begin(), {"strace", "-f", "-c", "-qq"});
    demo::child running(command, trace);
    outcome made;
    for (std::string line; !(line = running.line()).empty();)
        if (const auto sign = line.find('='); sign != line.npos)
            made.said[line.substr(0, sign)] = line.substr(sign + 1);
    if (trace)
        made.calls = demo::calls_counted_by_strace(running);
    made.exit_code = running.wait();
    return made;
}

/// What must not depend on where a tour was made.
bool same(const outcome& a, const outcome& b)
{
    for (const char* key : {"greeting", "operations", "bytes", "hash", "equal"})
    {
        const auto one = a.said.find(key);
        const auto other = b.said.find(key);
        if (one == a.said.end() || other == b.said.end() || one->second != other->second)
            return false;
    }
    return true;
}

std::uint64_t sum_of(const std::map<std::string, std::uint64_t>& calls)
{
    std::uint64_t sum = 0;
    for (const auto& [name, number] : calls)
        sum += number;
    return sum;
}

std::string milliseconds(const std::string& microseconds)
{
    std::ostringstream text;
    text << std::fixed << std::setprecision(1) << std::stod(microseconds) / 1000 << " ms";
    return text.str();
}

void print_row(const std::vector<std::string>& columns)
{
    constexpr int widths[] = {10, 10, 11, 10, 10, 13, 16, 7};
    for (std::size_t at = 0; at < columns.size(); ++at)
        std::cout << (at < 2 ? std::left : std::right) << std::setw(widths[at]) << columns[at];
    std::cout << std::endl;
}

/// Prints how often the calls were made that carry the work out, one column a cell.
void print_calls(const std::vector<std::pair<std::string_view, outcome>>& counted)
{
    // Not those that every process makes while it starts.
    const std::set<std::string> shown = {
        "read",   "write",   "readv",      "writev",       "pread64",   "copy_file_range", "sendfile",
        "socket", "connect", "accept4",    "recvfrom",     "sendto",    "shutdown",        "poll",
        "clone",  "clone3",  "epoll_wait", "epoll_pwait2", "epoll_ctl", "io_uring_setup",  "io_uring_enter"};
    std::cout << "\nOf these:\n\n" << std::left << std::setw(18) << "system call" << std::right;
    for (const auto& [name, made] : counted)
        std::cout << std::setw(18) << name;
    std::cout << "\n";
    for (const std::string& call : shown)
    {
        std::uint64_t sum = 0;
        for (const auto& [name, made] : counted)
            sum += made.calls.count(call) ? made.calls.at(call) : 0;
        if (sum == 0)
            continue;
        std::cout << std::left << std::setw(18) << call << std::right;
        for (const auto& [name, made] : counted)
            std::cout << std::setw(18) << (made.calls.count(call) ? made.calls.at(call) : 0);
        std::cout << "\n";
    }
}

/// Returns whether all results are equal.
bool show_tours()
{
    std::cout << "One function, demo/tour.hpp, wherever it runs: a greeting; a file of " << demo::file_bytes
              << " bytes read with readv,\nwritten with writev, copied by copy_file_range and by send_file; "
              << demo::rounds << " messages of " << demo::message_bytes << " bytes echoed over TCP.\n\n";
    print_row({"model", "engine", "operations", "bytes", "wall", "system calls", "threads started", "equal"});
    bool all_equal = true;
    std::optional<outcome> first;
    std::vector<std::pair<std::string_view, outcome>> counted;
    unsigned long workers = 0;
    for (const cell& each : cells)
    {
        outcome plain = run_child(each.name, false);
        const std::string model(to_string(each.model));
        const std::string engine(each.name.substr(each.name.find(',') + 1));
        if (plain.exit_code == not_here)
        {
            print_row({model, engine, "not here: " + plain.said["failed"]});
            continue;
        }
        outcome traced = run_child(each.name, true);
        if (!first)
            first = plain;
        const bool counts = traced.exit_code == plain.exit_code && !traced.calls.empty();
        const bool equal = plain.exit_code == 0 && plain.said["equal"] == "yes" && same(plain, *first) &&
                           (!counts || same(traced, *first));
        all_equal = all_equal && equal;
        if (plain.said.count("failed") || !plain.said.count("microseconds"))
        {
            print_row({model, engine, "failed: " + plain.said["failed"]});
            continue;
        }
        print_row({model, engine, plain.said["operations"], plain.said["bytes"],
                   milliseconds(plain.said["microseconds"]), counts ? std::to_string(sum_of(traced.calls)) : "-",
                   plain.said["threads_started"], equal ? "yes" : "NO"});
        workers = std::max(workers, std::stoul(plain.said["kernel_workers"]));
        if (counts)
            counted.emplace_back(each.name, std::move(traced));
    }
    std::cout << "\nequal: every byte read is the one that was written, and all cells agree on operations, bytes and\n"
                 "their hash. wall: of the tour, once: not a benchmark. system calls: of the whole process, its start\n"
                 "included, by strace -f -c in a run of its own.\n";
    if (workers)
        std::cout << "The kernel added up to " << workers << " of its own workers for io_uring.\n";
    if (counted.empty())
        std::cout << "System calls were not counted: strace is missing, or may not trace here.\n";
    else
        print_calls(counted);
    return all_equal;
}

// ---- A server -------------------------------------------------------------------------------------------------------

/// Returns whether every answer was right.
bool show_server()
{
    constexpr demo::workload load = {64, 500};
    const fs::path program = fs::read_symlink("/proc/self/exe").parent_path() / "fiber_echo_server";
    demo::child server({program.string(), "0"}, false);
    const std::string greeting = server.line();
    const auto colon = greeting.rfind(':');
    if (colon == greeting.npos)
    {
        std::cout << "\n" << program.filename().string() << " did not start: " << greeting << std::endl;
        return false;
    }
    const auto start = clock_type::now();
    const demo::exchange got =
        demo::run_client(static_cast<std::uint16_t>(std::stoul(greeting.substr(colon + 1))), load);
    const double seconds = std::chrono::duration<double>(clock_type::now() - start).count();
    server.terminate();
    const std::string goodbye = server.line();
    const int exit_code = server.wait();
    const bool equal = exit_code == 0 && got.requests == std::uint64_t{load.connections} * load.requests;
    std::cout << "\nAn echo server with a fiber for each connection, " << greeting.substr(greeting.find(", ") + 2)
              << ": " << load.connections << " connections, " << load.requests << " messages each.\n"
              << got.requests << " answers came back as they were sent, in " << std::fixed << std::setprecision(2)
              << seconds << " s. After SIGTERM it " << goodbye << ", exit code " << exit_code << ".\n"
              << (equal ? "" : "This is NOT what was to be expected.\n") << std::flush;
    return equal;
}

int main(int argc, char** argv)
try
{
    const std::vector<std::string_view> arguments(argv + 1, argv + argc);
    if (arguments.empty())
    {
        const bool tours = show_tours();
        return show_server() && tours ? 0 : 1;
    }
    if ((arguments.size() == 2 || arguments.size() == 3) && arguments[0] == "--cell")
        for (const cell& each : cells)
            if (arguments[1] == each.name)
            {
                ::prctl(PR_SET_PDEATHSIG, SIGKILL); // of strace, too
                if (arguments.size() == 3)
                    return run_cell(each, std::string(arguments[2]));
                const workplace place;
                return run_cell(each, place.path());
            }
    std::cerr << "usage: " << argv[0] << " [--cell blocking,system|green,io_uring|green,epoll [DIRECTORY]]\n";
    return 2;
}
catch (const std::exception& failure)
{
    std::cerr << argv[0] << ": " << failure.what() << "\n";
    return 1;
}
