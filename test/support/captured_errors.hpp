// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/test/unit_test.hpp>

#include <array>
#include <string>

#include <sys/mman.h>
#include <unistd.h>

namespace test
{

/// What a child says on standard error, its first 4 KiB.
class captured_errors
{
public:
    captured_errors() : fd_(::memfd_create("zsync-stderr", MFD_CLOEXEC)) { BOOST_REQUIRE(fd_ >= 0); }

    ~captured_errors() { ::close(fd_); }
    captured_errors(const captured_errors&) = delete;
    captured_errors& operator=(const captured_errors&) = delete;

    /// For the child.
    void redirect() const { ::dup2(fd_, STDERR_FILENO); }

    std::string text() const
    {
        std::array<char, 4096> buffer;
        const ssize_t size = ::pread(fd_, buffer.data(), buffer.size(), 0);
        return {buffer.data(), size > 0 ? static_cast<std::size_t>(size) : 0};
    }

private:
    int fd_;
};

} // namespace test
