// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/engine.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <string>

namespace zsync
{

struct engine_request
{
    std::optional<engine_kind> kind{}; ///< none: io_uring where a ring can be had, else epoll
    unsigned ring_entries = 256;
    std::chrono::microseconds spin_for{0}; ///< see uring_engine_options; epoll does not
    buffer_options receive_buffers{};
    unsigned direct_descriptors = 0; ///< see uring_engine_options; epoll does not
};

/// An engine, and why it is the one that it is, as a sentence for people.
struct made_engine
{
    std::unique_ptr<zsync::engine> engine;
    std::string why;
};

/// Makes the engine of a context that is run by one thread at a time.
///
/// @throws boost::system::system_error if the kind that was asked for cannot be had, with the set-up's error.
made_engine make_engine(const engine_request& request);

} // namespace zsync
