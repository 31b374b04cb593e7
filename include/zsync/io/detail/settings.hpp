// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/cancellation.hpp>
#include <zsync/core/loop.hpp>
#include <zsync/io/model.hpp>

#include <chrono>

namespace zsync::detail
{

/// What an io hands on to its operations.
struct settings
{
    using clock = std::chrono::steady_clock;

    static constexpr clock::time_point no_deadline = clock::time_point::max();

    loop* owner;
    zsync::model model;
    clock::time_point deadline = no_deadline;
    cancellation_token cancellation{};

    bool has_deadline() const noexcept { return deadline != no_deadline; }

    /// Something besides the running task may end an operation early.
    bool limited() const noexcept { return has_deadline() || cancellation.can_be_cancelled(); }
};

} // namespace zsync::detail
