// SPDX-License-Identifier: BSL-1.0
#pragma once

// The buffers of one transfer, where the kernel finds them for as long as the operation lasts.

#include <zsync/core/operation.hpp>

#include <boost/asio/buffer.hpp>
#include <boost/asio/detail/buffer_sequence_adapter.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include <sys/socket.h>
#include <sys/uio.h>

namespace zsync::detail
{

/// More than this moves in no single call: MAX_RW_COUNT of the kernel.
inline constexpr std::size_t most_bytes = 0x7ffff000;

/// Says whether a sequence is known to be one buffer by its type.
template <class Buffer, class Sequence>
inline constexpr bool is_single_buffer =
    boost::asio::detail::buffer_sequence_adapter<Buffer, Sequence>::is_single_buffer != 0;

/// A sequence of buffers as the kernel has it: an iovec array, and a msghdr for those calls that take one.
///
/// Like Asio's own objects, it uses the first 64 buffers of a longer sequence. Up to 16, which is what async_read and
/// async_write pass at a time, need no allocation of their own.
template <class Buffer, class Sequence>
class gathered_buffers
{
    static constexpr std::size_t inline_count = is_single_buffer<Buffer, Sequence> ? 1 : 16;
    static constexpr std::size_t most_count = 64;

public:
    explicit gathered_buffers(const Sequence& buffers)
    {
        const auto first = boost::asio::buffer_sequence_begin(buffers);
        const auto last = boost::asio::buffer_sequence_end(buffers);
        std::size_t wanted = 0;
        for (auto next = first; next != last && wanted < most_count; ++next)
            ++wanted;
        if (wanted > inline_count)
            more_ = std::make_unique<iovec[]>(wanted);
        message_.msg_iov = more_ ? more_.get() : few_.data();
        for (auto next = first; message_.msg_iovlen < wanted; ++next)
        {
            const Buffer piece(*next);
            message_.msg_iov[message_.msg_iovlen++] = {const_cast<void*>(static_cast<const void*>(piece.data())),
                                                       piece.size()};
            empty_ = empty_ && piece.size() == 0;
        }
    }

    gathered_buffers(const gathered_buffers&) = delete;
    gathered_buffers& operator=(const gathered_buffers&) = delete;

    bool empty() const noexcept { return empty_; }

    /// For recvmsg(2) and sendmsg(2), which may want more than the buffers.
    msghdr& message() noexcept { return message_; }

    /// Makes the record a call on these buffers: `one`, or `many` with a msghdr.
    void describe_message(operation& op, opcode one, opcode many) noexcept
    {
        if (describe_one(op, one))
            return;
        op.code = many;
        op.address = &message_;
    }

    /// The same with an iovec array.
    void describe_vector(operation& op, opcode one, opcode many) noexcept
    {
        if (describe_one(op, one))
            return;
        op.code = many;
        op.address = message_.msg_iov;
        op.length = static_cast<std::uint32_t>(message_.msg_iovlen);
    }

private:
    bool describe_one(operation& op, opcode one) noexcept
    {
        if (message_.msg_iovlen != 1)
            return false;
        op.code = one;
        op.address = message_.msg_iov->iov_base;
        op.length = static_cast<std::uint32_t>(std::min(message_.msg_iov->iov_len, most_bytes));
        return true;
    }

    std::array<iovec, inline_count> few_;
    std::unique_ptr<iovec[]> more_;
    msghdr message_{};
    bool empty_ = true;
};

/// The buffers of a call that takes one buffer as well as many.
template <class Buffer, class Sequence>
class transfer_buffers : public gathered_buffers<Buffer, Sequence>
{
public:
    using gathered_buffers<Buffer, Sequence>::gathered_buffers;
};

/// The same for the types that are known to be one buffer: nothing but the buffer.
template <class Buffer, class Sequence>
    requires is_single_buffer<Buffer, Sequence>
class transfer_buffers<Buffer, Sequence>
{
public:
    explicit transfer_buffers(const Sequence& buffers) noexcept
        : buffer_(boost::asio::detail::buffer_sequence_adapter<Buffer, Sequence>::first(buffers))
    {
    }

    bool empty() const noexcept { return buffer_.size() == 0; }

    void describe_message(operation& op, opcode one, opcode) noexcept
    {
        op.code = one;
        op.address = const_cast<void*>(static_cast<const void*>(buffer_.data()));
        op.length = static_cast<std::uint32_t>(std::min(buffer_.size(), most_bytes));
    }

    void describe_vector(operation& op, opcode one, opcode many) noexcept { describe_message(op, one, many); }

private:
    Buffer buffer_;
};

} // namespace zsync::detail
