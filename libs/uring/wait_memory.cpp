// SPDX-License-Identifier: BSL-1.0
#include <zsync/uring/detail/wait_memory.hpp>

#include <algorithm>

namespace zsync::detail
{

// To be called with no block free: nothing of the list needs to be kept.
void wait_memory::grow()
{
    const std::size_t more = std::clamp<std::size_t>(block_count_, 16, 1024); // 1 KiB, then twice as much, up to 64
    const std::size_t count = block_count_ + more;
    if (count > room_)
    {
        const std::size_t room = std::max(count, 2 * room_);
        free_ = std::make_unique_for_overwrite<void*[]>(room);
        room_ = room;
    }
    auto& chunk = chunks_.emplace_back();
    chunk = std::make_unique_for_overwrite<block[]>(more);
    for (std::size_t i = more; i != 0; --i)
        free_[free_count_++] = &chunk[i - 1];
    block_count_ = count;
}

} // namespace zsync::detail
