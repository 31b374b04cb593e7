// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "support/descriptors.hpp"
#include "support/fake_root.hpp"

#include <cstdlib>
#include <optional>
#include <string>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace test
{

/// Sets a variable of the environment, for a scope. Null: takes it out. While no other thread reads the environment.
class environment_variable
{
public:
    environment_variable(const char* name, const char* value) : name_(name)
    {
        if (const char* const before = std::getenv(name))
            before_ = before;
        set(value);
    }
    ~environment_variable() { set(before_ ? before_->c_str() : nullptr); }
    environment_variable(const environment_variable&) = delete;
    environment_variable& operator=(const environment_variable&) = delete;

private:
    void set(const char* value) const
    {
        if (value)
            ::setenv(name_, value, 1);
        else
            ::unsetenv(name_);
    }

    const char* const name_;
    std::optional<std::string> before_;
};

/// Stands for the system: a FIFO that MEMORY_PRESSURE_WATCH names, to be told through that memory is short.
class pressure_fifo
{
public:
    pressure_fifo()
    {
        if (::mkfifo(path_.c_str(), 0600) != 0)
            throw std::system_error(errno, std::system_category(), "mkfifo");
        end_ = descriptor(::open(path_.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK));
    }

    const std::string& path() const { return path_; }

    void tell() const
    {
        if (::write(end_.get(), "now", 3) != 3)
            throw std::system_error(errno, std::system_category(), "write");
    }

    /// Bytes that nobody has taken.
    bool empty() const
    {
        int left = 0;
        ::ioctl(end_.get(), FIONREAD, &left);
        return left == 0;
    }

private:
    const fake_root directory_;
    const std::string path_ = directory_.string() + "/pressure";
    descriptor end_;
    const environment_variable watch_{"MEMORY_PRESSURE_WATCH", path_.c_str()};
    const environment_variable write_{"MEMORY_PRESSURE_WRITE", nullptr};
};

} // namespace test
