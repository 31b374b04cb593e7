// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <map>
#include <sstream>
#include <string>
#include <system_error>
#include <vector>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace demo
{

/// A program that runs: reads what it says, and waits for its end. Kills it if this is left early. Its functions block.
class child
{
public:
    /// Starts a program, without a shell. `error_output`: reads its standard error, too, apart.
    child(const std::vector<std::string>& command, bool error_output)
    {
        int out[2];
        int err[2] = {-1, -1};
        if (::pipe2(out, O_CLOEXEC) != 0 || (error_output && ::pipe2(err, O_CLOEXEC) != 0))
            throw std::system_error(errno, std::system_category(), "pipe");
        pid_ = ::fork();
        if (pid_ < 0)
            throw std::system_error(errno, std::system_category(), "fork");
        if (pid_ == 0)
        {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            ::alarm(30); // survives the exec: whatever goes wrong, it ends
            ::dup2(out[1], STDOUT_FILENO);
            if (error_output)
                ::dup2(err[1], STDERR_FILENO);
            std::vector<char*> arguments;
            for (const std::string& argument : command)
                arguments.push_back(const_cast<char*>(argument.c_str()));
            arguments.push_back(nullptr);
            ::execvp(arguments[0], arguments.data());
            ::_exit(127);
        }
        ::close(out[1]);
        out_ = ::fdopen(out[0], "r");
        if (error_output)
        {
            ::close(err[1]);
            err_ = ::fdopen(err[0], "r");
        }
    }

    ~child()
    {
        if (pid_ > 0)
        {
            ::kill(pid_, SIGKILL);
            wait();
        }
        std::fclose(out_);
        if (err_)
            std::fclose(err_);
    }

    child(const child&) = delete;
    child& operator=(const child&) = delete;

    /// Blocks for a line; empty at the end.
    std::string line() { return line_of(out_); }
    std::string error_line() { return err_ ? line_of(err_) : std::string(); }

    /// Asks it to end.
    void terminate() { ::kill(pid_, SIGTERM); }

    /// Blocks until it has ended, and returns its exit code, or 128 and the number of the signal that ended it.
    int wait()
    {
        int status = 0;
        while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR)
            ;
        pid_ = -1;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }

private:
    static std::string line_of(std::FILE* from)
    {
        std::string text;
        for (int letter; (letter = std::getc(from)) != EOF && letter != '\n';)
            text += static_cast<char>(letter);
        return text;
    }

    ::pid_t pid_;
    std::FILE* out_ = nullptr;
    std::FILE* err_ = nullptr;
};

/// Reads what `strace -c` says: how often each system call was made.
inline std::map<std::string, std::uint64_t> calls_counted_by_strace(child& traced)
{
    std::map<std::string, std::uint64_t> calls;
    // % time, seconds, usecs/call, calls, errors (or blank), syscall
    for (std::string line; !(line = traced.error_line()).empty();)
    {
        std::istringstream columns(line);
        std::string percent, seconds, each, name, word;
        std::uint64_t number = 0;
        if (!(columns >> percent >> seconds >> each >> number))
            continue;
        while (columns >> word)
            name = word;
        if (name != "total")
            calls[name] += number;
    }
    return calls;
}

} // namespace demo
