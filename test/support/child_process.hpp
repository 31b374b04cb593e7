// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <exception>
#include <ostream>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace test
{

/// Tells how a child process ended.
struct child_result
{
    int status = -1;        ///< What it returned; -1 if a signal ended it.
    int signal = 0;         ///< The signal that ended it; SIGKILL where the deadline passed.
    bool timed_out = false; ///< It was killed at the deadline.
    std::string text;       ///< What it said, up to `most_text` bytes.

    static constexpr std::size_t most_text = 64 * 1024;

    bool ok() const noexcept { return status == 0; }

    friend std::ostream& operator<<(std::ostream& out, const child_result& result)
    {
        return out << "status " << result.status << ", signal " << result.signal
                   << (result.timed_out ? ", timed out" : "") << ", said: " << result.text;
    }
};

/// What a child speaks to its parent through. Each call is one write(2): what was said survives a crash.
class child_voice
{
public:
    explicit child_voice(int fd) noexcept : fd_(fd) {}

    void say(std::string_view text) const noexcept
    {
        while (!text.empty())
        {
            const ssize_t written = ::write(fd_, text.data(), text.size());
            if (written < 0 && errno == EINTR)
                continue;
            if (written <= 0)
                return;
            text.remove_prefix(static_cast<std::size_t>(written));
        }
    }

    /// Says `claim` if it does not hold; returns whether it does.
    bool check(bool holds, std::string_view claim) const noexcept
    {
        if (!holds)
            say(std::string("failed: ").append(claim) += '\n');
        return holds;
    }

private:
    int fd_;
};

/// Runs `f(const child_voice&)` in a forked child: it returns the exit status, or nothing for 0. For what must not
/// happen to the test process: seccomp filters, lowered limits, crashes. Blocks until the child is gone, and kills it
/// at the deadline. The child leaves by _exit: no destructors of the parent's objects, no leak check, nothing flushed.
/// In it, use no Boost.Test macro; a fault ends it with its signal, an exception with status 125. Throws
/// std::system_error where there is no pipe or no process to be had.
template <class Function>
child_result run_in_child(Function&& f, std::chrono::milliseconds deadline = std::chrono::seconds(20))
{
    using clock = std::chrono::steady_clock;

    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0)
        throw std::system_error(errno, std::system_category(), "pipe2");
    const ::pid_t parent = ::getpid();
    std::fflush(nullptr); // else ThreadSanitizer's _exit writes the child's copy of what is buffered
    const ::pid_t child = ::fork();
    if (child < 0)
    {
        const int error = errno;
        ::close(ends[0]);
        ::close(ends[1]);
        throw std::system_error(error, std::system_category(), "fork");
    }

    if (child == 0)
    {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::getppid() != parent)
            ::_exit(126);
        ::close(ends[0]);
        // The test framework's handlers would jump into the parent's frames.
        for (int number : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGALRM, SIGCHLD})
            std::signal(number, SIG_DFL);
        std::signal(SIGPIPE, SIG_IGN);

        const child_voice voice(ends[1]);
        int status = 0;
        try
        {
            if constexpr (std::is_void_v<std::invoke_result_t<Function, const child_voice&>>)
                std::forward<Function>(f)(voice);
            else
                status = static_cast<int>(std::forward<Function>(f)(voice));
        }
        catch (const std::exception& e)
        {
            voice.say(std::string("exception: ") + e.what());
            status = 125;
        }
        catch (...)
        {
            voice.say("exception");
            status = 125;
        }
        ::_exit(status);
    }

    ::close(ends[1]);
    child_result result;
    const auto end = clock::now() + deadline;
    int wait_status = 0;
    const auto drain = [&](int quiet_ms)
    {
        // Returns once the pipe is silent for `quiet_ms` milliseconds, or closed.
        for (::pollfd ready{ends[0], POLLIN, 0}; ::poll(&ready, 1, quiet_ms) > 0;)
        {
            char buffer[4096];
            const ssize_t size = ::read(ends[0], buffer, sizeof buffer);
            if (size <= 0)
                return false;
            const std::size_t room = child_result::most_text - result.text.size();
            result.text.append(buffer, std::min(room, static_cast<std::size_t>(size)));
            if (clock::now() >= end)
                break;
        }
        return true;
    };

    for (bool open = true;;)
    {
        open = open && drain(5);
        const ::pid_t gone = ::waitpid(child, &wait_status, WNOHANG);
        if (gone == child)
            break;
        if (gone < 0 && errno != EINTR)
        {
            // Somebody else reaped it: its status is lost.
            wait_status = -1;
            break;
        }
        if (!result.timed_out && clock::now() >= end)
        {
            result.timed_out = true;
            ::kill(child, SIGKILL);
        }
        if (!open)
            ::poll(nullptr, 0, 1);
    }
    drain(0);
    ::close(ends[0]);

    if (wait_status != -1 && WIFEXITED(wait_status))
        result.status = WEXITSTATUS(wait_status);
    else if (wait_status != -1 && WIFSIGNALED(wait_status))
        result.signal = WTERMSIG(wait_status);
    return result;
}

} // namespace test
