// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/operation.hpp>

#include <liburing.h>

#include <cstdint>

namespace zsync::detail
{

/// Completions that concern no record: those of cancel requests.
inline constexpr std::uint64_t no_operation = ~std::uint64_t{0};

constexpr std::uint64_t to_user_data(operation_id id) noexcept
{
    return (std::uint64_t{id.index} << 32) | id.generation;
}

constexpr operation_id from_user_data(std::uint64_t data) noexcept
{
    return {static_cast<std::uint32_t>(data >> 32), static_cast<std::uint32_t>(data)};
}

/// Fills a submission entry with what the record asks for now: the wait for readiness, or the operation proper.
///
/// @param poll_first spares a receive the first attempt, where it is known to find nothing (Linux 5.19).
void prepare(io_uring_sqe& sqe, const operation& op, bool poll_first = false) noexcept;

/// Fills a submission entry with a request to cancel what was submitted as `id`.
void prepare_cancel(io_uring_sqe& sqe, operation_id id, bool skip_success) noexcept;

/// Says whether a descriptor can be waited for: whether epoll takes it, which is all that knows. Never blocks.
bool can_be_watched(int descriptor) noexcept;

/// The poll(2) events after which an operation that found its descriptor not ready can succeed; 0 if it never waits.
std::uint32_t readiness_of(const operation& op) noexcept;

} // namespace zsync::detail
