// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "support/descriptors.hpp"

#include <sys/resource.h>
#include <unistd.h>

namespace test
{

/// As long as it lives, this process can open no descriptor: the soft limit is the lowest number that is free. What an
/// operation of a ring may open is decided by the limit that was there when it was handed over.
class no_descriptors_left
{
public:
    no_descriptors_left()
    {
        if (::getrlimit(RLIMIT_NOFILE, &before_) < 0)
            throw std::system_error(errno, std::system_category(), "getrlimit");
        descriptor lowest(::dup(STDERR_FILENO));
        const ::rlimit none{static_cast<::rlim_t>(lowest.get()), before_.rlim_max};
        lowest.reset();
        if (::setrlimit(RLIMIT_NOFILE, &none) < 0)
            throw std::system_error(errno, std::system_category(), "setrlimit");
    }
    ~no_descriptors_left() { ::setrlimit(RLIMIT_NOFILE, &before_); }
    no_descriptors_left(const no_descriptors_left&) = delete;
    no_descriptors_left& operator=(const no_descriptors_left&) = delete;

private:
    ::rlimit before_{};
};

} // namespace test
