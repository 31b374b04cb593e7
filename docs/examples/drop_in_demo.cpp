// SPDX-License-Identifier: BSL-1.0

// Shows the same Asio server on io_context and on uring_context. Each cell of the tables is a child process that runs
// the echo server below on one kind of context; this process is the client of all, checks every byte that comes back,
// and counts their system calls with strace(1) if that is installed.
//
//   drop_in_demo               the tables; exit code 1 if the contexts' results differ
//   drop_in_demo --cell NAME   one server: prints its port, serves until SIGTERM, prints what it did

#include <zsync/drop_in.hpp> // first: makes the stock sockets below native where their context has a ring

#include "demo/child.hpp"
#include "demo/echo_client.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <concepts>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <iomanip>
#include <iostream>
#include <iterator>
#include <map>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using clock_type = std::chrono::steady_clock;
using demo::child;
using demo::exchange;
using demo::request_bytes;
using demo::workload;

constexpr auto token = asio::as_tuple(asio::use_awaitable);

constexpr workload timed = {32, 1000};
constexpr workload traced = {16, 100};

// ---- The server: stock Asio, the same on every context --------------------------------------------------------------

struct tally
{
    std::uint64_t requests = 0;
    std::uint64_t bytes = 0;
};

asio::awaitable<void> echo(tcp::socket peer, tally& done)
{
    std::array<char, request_bytes> data;
    for (;;)
    {
        const auto [read_error, received] = co_await asio::async_read(peer, asio::buffer(data), token);
        if (read_error)
            co_return;
        const auto [write_error, sent] = co_await asio::async_write(peer, asio::buffer(data, received), token);
        if (write_error)
            co_return;
        ++done.requests;
        done.bytes += sent;
    }
}

asio::awaitable<void> listen(tcp::acceptor& listener, tally& done)
{
    for (;;)
    {
        auto [error, peer] = co_await listener.async_accept(token);
        if (error)
            co_return;
        asio::co_spawn(listener.get_executor(), echo(std::move(peer), done), asio::detached);
    }
}

std::ptrdiff_t entries_of(const char* directory)
{
    using std::filesystem::directory_iterator;
    return std::distance(directory_iterator(directory), directory_iterator());
}

template <class Context>
int serve(Context& ctx)
{
    tally done;
    std::ptrdiff_t threads = 0;
    tcp::acceptor listener(ctx, {asio::ip::address_v4::loopback(), 0});
    asio::signal_set signals(ctx, SIGTERM);
    signals.async_wait(
        [&](error_code, int)
        {
            threads = entries_of("/proc/self/task");
            ctx.stop();
        });
    asio::co_spawn(ctx, listen(listener, done), asio::detached);
    std::cout << ::getpid() << " " << listener.local_endpoint().port() << std::endl;
    ctx.run();

    rusage used{};
    ::getrusage(RUSAGE_SELF, &used);
    const auto microseconds = [](timeval time) { return time.tv_sec * 1'000'000LL + time.tv_usec; };
    std::uint64_t native = 0;
    std::string_view engine = "epoll";
    std::string why = "a plain boost::asio::io_context";
    if constexpr (std::same_as<Context, zsync::uring_context>)
    {
        native = ctx.counters().operations_started;
        engine = to_string(ctx.engine());
        why = ctx.why();
    }
    std::cout << done.requests << " " << done.bytes << " " << native << " " << threads << " "
              << microseconds(used.ru_utime) + microseconds(used.ru_stime) << " " << engine << " " << why << std::endl;
    return 0;
}

// Takes io_uring away from this process, as the default seccomp profiles of container managers do.
void forbid_io_uring()
{
    static_assert(__NR_io_uring_setup + 1 == __NR_io_uring_enter && __NR_io_uring_setup + 2 == __NR_io_uring_register);
    sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, __NR_io_uring_setup, 0, 2),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, __NR_io_uring_register, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog filter = {static_cast<unsigned short>(std::size(program)), program};
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0)
        throw std::system_error(errno, std::system_category(), "seccomp");
}

struct cell
{
    const char* name;
    const char* title;
    int (*serve)();
};

const cell cells[] = {
    {"io_context", "io_context",
     []
     {
         boost::asio::io_context ctx;
         return serve(ctx);
     }},
    {"uring_context", "uring_context",
     []
     {
         zsync::uring_context ctx;
         return serve(ctx);
     }},
    {"one_thread", "  .one_thread = true",
     []
     {
         zsync::uring_context ctx({.one_thread = true});
         return serve(ctx);
     }},
    {"forbidden", "  where it is forbidden",
     []
     {
         forbid_io_uring();
         zsync::uring_context ctx;
         return serve(ctx);
     }},
};

// ---- The runs -------------------------------------------------------------------------------------------------------

struct result
{
    exchange client;
    tally server;
    std::uint64_t native = 0;
    unsigned threads = 0;
    double cpu = 0;  // seconds, of the server
    double wall = 0; // seconds, of the client
    std::string engine;
    std::string why;
    std::map<std::string, std::uint64_t> calls; // system calls, if they were counted

    bool same_as(const result& other) const
    {
        return client.requests == other.client.requests && client.hash == other.client.hash &&
               server.requests == other.server.requests && server.bytes == other.server.bytes;
    }
};

// Runs one cell under one workload; nothing if it did not come to that. `why_not` then says why, as far as is known.
std::optional<result> run_cell(const cell& which, workload load, bool trace, std::string& why_not)
{
    std::vector<std::string> command = {std::filesystem::read_symlink("/proc/self/exe").string(), "--cell", which.name};
    if (trace)
        command.insert(command.begin(), {"strace", "-f", "-c", "-qq"});
    child server(command, trace);

    ::pid_t pid = 0;
    std::uint16_t port = 0;
    if (!(std::istringstream(server.line()) >> pid >> port))
    {
        why_not = server.error_line();
        const int status = server.wait();
        if (why_not.empty())
            why_not = status == 127 ? "strace is not installed" : "exit code " + std::to_string(status);
        return {};
    }

    result made;
    const auto start = clock_type::now();
    made.client = demo::run_client(port, load);
    made.wall = std::chrono::duration<double>(clock_type::now() - start).count();
    ::kill(pid, SIGTERM);

    std::istringstream said(server.line());
    double microseconds = 0;
    said >> made.server.requests >> made.server.bytes >> made.native >> made.threads >> microseconds >> made.engine;
    std::getline(said >> std::ws, made.why);
    made.cpu = microseconds / 1e6;

    if (trace)
        made.calls = demo::calls_counted_by_strace(server);
    if (const int status = server.wait(); status != 0 || !said)
    {
        why_not = "exit code " + std::to_string(status);
        return {};
    }
    return made;
}

// ---- The tables -----------------------------------------------------------------------------------------------------

constexpr int first_width = 24;
constexpr int width = 10;

int show()
{
    std::cout << "The same echo server, written with stock Asio types, on each context: " << timed.connections
              << " connections,\n"
              << timed.requests << " requests of " << request_bytes << " bytes each.\n\n"
              << std::left << std::setw(first_width) << "context" << std::right;
    for (const char* column : {"engine", "requests", "bytes", "equal", "native", "threads", "CPU", "wall"})
        std::cout << std::setw(width) << column;
    std::cout << "\n" << std::fixed << std::setprecision(2);

    bool all_equal = true;
    bool uring_works = false;
    std::string why_not;
    std::optional<result> first;
    std::vector<std::string> notes;
    for (const cell& each : cells)
    {
        const auto made = run_cell(each, timed, false, why_not);
        std::cout << std::left << std::setw(first_width) << each.title << std::right;
        if (!made)
        {
            std::cout << "  failed: " << why_not << std::endl;
            all_equal = false;
            continue;
        }
        if (!first)
            first = made;
        const bool equal =
            made->same_as(*first) && made->client.requests == std::uint64_t{timed.connections} * timed.requests;
        all_equal = all_equal && equal;
        uring_works = uring_works || made->engine == "io_uring";
        std::cout << std::setw(width) << made->engine << std::setw(width) << made->server.requests << std::setw(width)
                  << made->server.bytes << std::setw(width) << (equal ? "yes" : "NO") << std::setw(width)
                  << made->native << std::setw(width) << made->threads << std::setw(width - 2) << made->cpu << " s"
                  << std::setw(width - 2) << made->wall << " s" << std::endl;
        notes.push_back(std::string(each.title) + ": " + made->why);
    }
    std::cout << "\nWhy that engine:\n";
    for (const std::string& note : notes)
        std::cout << "  " << note.substr(note.find_first_not_of(' ')) << "\n";
    if (!uring_works)
        std::cout << "There is no io_uring to be had here; the program ran on epoll, with the same results.\n";
    std::cout
        << "\nequal: the client got every byte back, and the same ones from all. native: operations the ring did.\n"
           "threads: entries of the server's /proc/self/task. CPU: the server's. wall: the client's, on the same\n"
           "processors, once: not a benchmark.\n\n";

    std::vector<result> counted;
    std::map<std::string, std::uint64_t> sums;
    for (const cell& each : cells)
    {
        auto made = run_cell(each, traced, true, why_not);
        if (!made || made->calls.empty())
        {
            std::cout << "System calls were not counted: " << (why_not.empty() ? "strace said nothing" : why_not)
                      << "\n";
            return all_equal ? 0 : 1;
        }
        for (const auto& [name, calls] : made->calls)
            sums[name] += calls;
        all_equal = all_equal && (counted.empty() || made->same_as(counted.front()));
        counted.push_back(std::move(*made));
    }

    std::vector<std::pair<std::string, std::uint64_t>> names(sums.begin(), sums.end());
    std::sort(names.begin(), names.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
    const std::size_t shown = std::min<std::size_t>(names.size(), 7);
    std::cout << "System calls of the whole server process (strace -f -c) for " << traced.connections * traced.requests
              << " requests on " << traced.connections << " connections:\n\n"
              << std::left << std::setw(first_width) << "system call" << std::right;
    for (const cell& each : cells)
        std::cout << std::setw(15) << each.name;
    std::cout << "\n";
    const auto row = [&](const std::string& name, auto value_of)
    {
        std::cout << std::left << std::setw(first_width) << name << std::right;
        for (result& each : counted)
            std::cout << std::setw(15) << value_of(each.calls);
        std::cout << "\n";
    };
    const auto sum_from = [&](std::map<std::string, std::uint64_t>& calls, std::size_t at)
    {
        std::uint64_t sum = 0;
        for (; at < names.size(); ++at)
            sum += calls[names[at].first];
        return sum;
    };
    for (std::size_t at = 0; at < shown; ++at)
        row(names[at].first, [&](auto& calls) { return calls[names[at].first]; });
    row("others", [&](auto& calls) { return sum_from(calls, shown); });
    row("all", [&](auto& calls) { return sum_from(calls, 0); });
    std::cout << std::flush;
    return all_equal ? 0 : 1;
}

int main(int argc, char** argv)
try
{
    const std::vector<std::string_view> arguments(argv + 1, argv + argc);
    if (arguments.empty())
        return show();
    if (arguments.size() == 2 && arguments[0] == "--cell")
        for (const cell& each : cells)
            if (arguments[1] == each.name)
            {
                ::prctl(PR_SET_PDEATHSIG, SIGKILL); // of strace, too
                return each.serve();
            }
    std::cerr << "usage: " << argv[0] << " [--cell io_context|uring_context|one_thread|forbidden]\n";
    return 2;
}
catch (const std::exception& failure)
{
    std::cerr << argv[0] << ": " << failure.what() << "\n";
    return 1;
}
