// SPDX-License-Identifier: BSL-1.0
#include "process.hpp"

#include "pinning.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace perf
{

namespace
{

// proc(5), /proc/pid/schedstat: ns on a CPU, ns of waiting for one. Still there when the process has exited.
std::chrono::duration<double> run_queue_wait(pid_t pid)
{
    std::ifstream file("/proc/" + std::to_string(pid) + "/schedstat");
    double on_cpu = 0;
    double waiting = 0;
    file >> on_cpu >> waiting;
    return std::chrono::duration<double, std::nano>(waiting);
}

} // namespace

process::process(const std::vector<std::string>& command, std::span<const int> cpus, time_point deadline)
    : name_(std::filesystem::path(command.at(0)).filename()),
      start_(std::chrono::steady_clock::now()),
      deadline_(deadline)
{
    std::vector<char*> arguments;
    for (const std::string& word : command)
        arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);

    std::array<int, 2> pipe{};
    if (::pipe2(pipe.data(), O_CLOEXEC) != 0)
        throw std::system_error(errno, std::system_category(), "pipe2");
    const pid_t driver = ::getpid();
    pid_ = ::fork();
    if (pid_ < 0)
        throw std::system_error(errno, std::system_category(), "fork");
    if (pid_ == 0)
    {
        ::setpgid(0, 0);
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::getppid() != driver || !pin_to(cpus) || ::dup2(pipe[1], STDOUT_FILENO) < 0)
            ::_exit(126);
        ::execvp(arguments[0], arguments.data());
        ::_exit(127);
    }
    ::setpgid(pid_, pid_); // whoever comes first
    ::close(pipe[1]);
    output_ = pipe[0];
}

process::~process()
{
    if (output_ >= 0)
        ::close(output_);
    if (pid_ > 0)
    {
        ::kill(-pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
}

std::optional<std::string> process::read_line()
{
    for (;;)
    {
        if (const std::size_t end = unread_.find('\n'); end != unread_.npos)
        {
            std::string line = unread_.substr(0, end);
            unread_.erase(0, end + 1);
            return line;
        }
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline_ - std::chrono::steady_clock::now());
        pollfd ready{output_, POLLIN, 0};
        if (left.count() <= 0 || ::poll(&ready, 1, static_cast<int>(left.count())) == 0)
            throw std::runtime_error(name_ + " takes too long");
        std::array<char, 4096> data;
        const ssize_t n = ::read(output_, data.data(), data.size());
        if (n == 0)
            return std::nullopt;
        if (n > 0)
            unread_.append(data.data(), static_cast<std::size_t>(n));
        else if (errno != EINTR)
            throw std::system_error(errno, std::system_category(), "read");
    }
}

std::optional<std::string> process::finish()
{
    std::optional<std::string> last;
    while (std::optional<std::string> line = read_line())
        last = std::move(line);
    // At the end of its output a child of ours has nothing left to do but to exit.
    siginfo_t exited{};
    if (::waitid(P_PID, static_cast<id_t>(pid_), &exited, WEXITED | WNOWAIT) == 0)
        waited_ = run_queue_wait(pid_) / (std::chrono::steady_clock::now() - start_);
    int status = 0;
    const pid_t reaped = ::waitpid(std::exchange(pid_, -1), &status, 0);
    if (reaped < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        throw std::runtime_error(
            name_ + (reaped > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 127 ? " cannot be started" : " failed"));
    return last;
}

std::optional<std::string> output_of(const std::vector<std::string>& command)
try
{
    process child(command, allowed_cpus(), std::chrono::steady_clock::now() + std::chrono::seconds(10));
    std::string all;
    while (std::optional<std::string> line = child.read_line())
        all += *line + '\n';
    child.finish();
    return all;
}
catch (const std::exception&)
{
    return std::nullopt;
}

} // namespace perf
