// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/buffer_pool.hpp>
#include <zsync/core/multishot.hpp>

#include <liburing.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace zsync::detail
{

class ring;

/// The side of a buffer_pool that faces the kernel: a ring of free buffers (IORING_REGISTER_PBUF_RING, Linux 5.19),
/// from whose head the kernel takes one for each result, and to whose tail those that have come back are added.
///
/// The engine's lock guards it.
class provided_buffers
{
public:
    /// @throws std::bad_alloc
    provided_buffers(buffer_pool_ptr pool);
    ~provided_buffers();
    provided_buffers(const provided_buffers&) = delete;
    provided_buffers& operator=(const provided_buffers&) = delete;

    buffer_pool& pool() const noexcept { return *pool_; }
    const buffer_pool_ptr& share() const noexcept { return pool_; }

    /// Makes the ring known to an io_uring, unless it is. Returns 0 or a negated errno.
    int register_with(ring& where) noexcept;

    /// The io_uring has been replaced: whatever is not in a user's hands is free again.
    void start_over() noexcept;

    /// Gives the kernel what has come back. Returns how many buffers it has now.
    unsigned refill() noexcept;

    /// Tells `visit(index, bytes)` of each buffer that one result of the kernel has filled, beginning with `first`.
    /// More than one: the following in the order in which they were added.
    template <class Visitor>
    void take(std::uint32_t first, std::uint32_t bytes, Visitor visit) noexcept
    {
        for (std::uint16_t position = position_[first]; bytes != 0; ++position)
        {
            const std::uint32_t index = order_[position & mask_];
            const auto here = static_cast<std::uint32_t>(std::min<std::size_t>(bytes, pool_->bytes()));
            bytes -= here;
            hand_out(index);
            visit(index, here);
        }
    }

    /// A result of no bytes names a buffer. The kernel may have taken it, or left it where it was.
    void take_empty(ring& where, std::uint32_t index) noexcept;

    operation_list<&operation::queue> starved; ///< receives that wait for a buffer

private:
    void add(std::uint32_t index) noexcept;
    void publish() noexcept;
    void hand_out(std::uint32_t index) noexcept
    {
        is_out_[index] = true;
        --available_;
    }

    const buffer_pool_ptr pool_;
    const std::uint32_t mask_;
    io_uring_buf_ring* shared_; // memory that the kernel reads
    std::uint16_t tail_ = 0;
    unsigned available_ = 0; // added, and not handed out since
    bool registered_ = false;
    std::vector<std::uint16_t> order_;    // by position: the buffer that was added there last
    std::vector<std::uint16_t> position_; // by buffer: where it was added last
    std::vector<bool> is_out_;            // by buffer: filled and not yet added again
};

} // namespace zsync::detail
