// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/buffer_pool.hpp>

#include <cstdint>

namespace zsync
{

/// How a receive_many() is to receive.
struct receive_options
{
    /// Where to: made by make_buffers() for the same context; null: the context's own, whose size is one of its
    /// options.
    buffer_pool_ptr buffers = nullptr;

    /// Buffers that wait in the source, about: with more, it stops receiving until half of them are taken.
    std::uint32_t limit = 16;

    /// Lets one result of the kernel fill several buffers, where it can (Linux 6.10). For much data in small buffers.
    bool bundles = false;
};

} // namespace zsync
