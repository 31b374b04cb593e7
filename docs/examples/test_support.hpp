// SPDX-License-Identifier: BSL-1.0
#pragma once

// What the tests of the examples share. Arguments of the test program: the directory of the programs, and that of this
// source tree.

#include <boost/test/unit_test.hpp>

#include <boost/asio/ip/tcp.hpp>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace test
{

using boost::asio::ip::tcp;

inline std::string argument(int number)
{
    const auto& suite = boost::unit_test::framework::master_test_suite();
    if (number >= suite.argc)
        throw std::invalid_argument("arguments: DIRECTORY_OF_PROGRAMS DIRECTORY_OF_SOURCES");
    return suite.argv[number];
}

/// Of a file of the source tree.
inline std::string content_of(const std::string& path)
{
    std::ifstream file(argument(2) + "/" + path);
    BOOST_REQUIRE_MESSAGE(file, path);
    return {std::istreambuf_iterator<char>(file), {}};
}

/// One of the examples, running. Ended with SIGKILL if it is left running.
class program
{
public:
    /// One of the examples; or `anywhere`, another program, looked for as a shell does.
    program(const std::string& name, const std::vector<std::string>& arguments, bool anywhere = false)
    {
        const std::string path = anywhere ? name : argument(1) + "/" + name;
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) != 0)
            throw std::system_error(errno, std::system_category(), "pipe2");
        pid_ = ::fork();
        if (pid_ == 0)
        {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            ::alarm(60); // survives the exec
            ::dup2(ends[1], STDOUT_FILENO);
            ::dup2(ends[1], STDERR_FILENO);
            std::vector<char*> words = {const_cast<char*>(path.c_str())};
            for (const std::string& each : arguments)
                words.push_back(const_cast<char*>(each.c_str()));
            words.push_back(nullptr);
            ::execvp(words[0], words.data());
            ::_exit(127);
        }
        ::close(ends[1]);
        output_ = ::fdopen(ends[0], "r");
    }

    ~program()
    {
        if (pid_ > 0)
        {
            ::kill(pid_, SIGKILL);
            wait();
        }
        std::fclose(output_);
    }

    program(const program&) = delete;
    program& operator=(const program&) = delete;

    void send_signal(int number) { ::kill(pid_, number); }

    /// Blocks for a line of what it prints; empty at the end.
    std::string line()
    {
        std::string text;
        for (int letter; (letter = std::getc(output_)) != EOF && letter != '\n';)
            text += static_cast<char>(letter);
        return text;
    }

    /// Blocks until it has nothing more to say.
    std::string rest()
    {
        std::string text;
        for (int letter; (letter = std::getc(output_)) != EOF;)
            text += static_cast<char>(letter);
        return text;
    }

    /// Blocks until it says where it listens.
    unsigned short port()
    {
        const std::string text = line();
        const auto at = text.find("127.0.0.1:");
        BOOST_REQUIRE_MESSAGE(at != text.npos, text);
        return static_cast<unsigned short>(std::stoi(text.substr(at + 10)));
    }

    /// Blocks until it has ended. Returns its exit code; that of a signal is 128 more.
    int wait()
    {
        int status = 0;
        while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR)
            ;
        pid_ = -1;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }

private:
    ::pid_t pid_;
    std::FILE* output_ = nullptr;
};

/// A connection with a deadline: past it, everything fails.
class client : public tcp::iostream
{
public:
    explicit client(unsigned short port)
    {
        expires_after(std::chrono::seconds(20));
        connect(tcp::endpoint(boost::asio::ip::address_v4::loopback(), port));
        BOOST_REQUIRE_MESSAGE(*this, error().message());
    }

    client& send(std::string_view text)
    {
        *this << text << std::flush;
        return *this;
    }

    std::string read_line()
    {
        std::string text;
        std::getline(*this, text);
        return text;
    }

    /// Blocks until the other side has closed; says whether it did so in order, with nothing more to read.
    bool at_end()
    {
        clear();
        return peek() == traits_type::eof() && (error() == boost::asio::error::eof || !error());
    }
};

} // namespace test
