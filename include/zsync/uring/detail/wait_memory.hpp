// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <vector>

namespace zsync::detail
{

/// Memory for the waits of stock timers: blocks of one cache line, kept until the end for the next waits. The list of
/// free blocks is apart from them, so that to take one reads nothing that has long left the cache.
///
/// Whoever owns it locks. Never blocks.
class wait_memory
{
public:
    static constexpr std::size_t block_bytes = 64;

    wait_memory() = default;
    wait_memory(const wait_memory&) = delete;
    wait_memory& operator=(const wait_memory&) = delete;

    /// Returns a block. @throws std::bad_alloc
    void* take()
    {
        if (free_count_ == 0)
            grow();
        --free_count_;
        __builtin_prefetch(free_[free_count_ - std::min(free_count_, fetch_ahead)], 1);
        return free_[free_count_];
    }

    void give_back(void* taken) noexcept { free_[free_count_++] = taken; }

private:
    struct alignas(block_bytes) block
    {
        std::byte bytes[block_bytes];
    };

    // So many blocks from now: what is about to be written should have arrived. Chosen.
    static constexpr std::size_t fetch_ahead = 8;

    void grow();

    std::unique_ptr<void*[]> free_; // has room for all blocks
    std::size_t free_count_ = 0;
    std::size_t block_count_ = 0;
    std::size_t room_ = 0;
    std::vector<std::unique_ptr<block[]>> chunks_;
};

} // namespace zsync::detail
