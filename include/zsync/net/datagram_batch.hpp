// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/net/endpoint.hpp>

#include <boost/asio/buffer.hpp>

#include <cstddef>
#include <cstdint>
#include <vector>

#include <sys/socket.h>
#include <sys/uio.h>

namespace zsync
{

/// Datagrams to be sent, or received, by one operation: see datagram::async_send_batch() and async_receive_batch().
///
/// Holds what the kernel needs of each, so that the operations allocate nothing; refers to the data, and does not hold
/// it. An operation in flight reads and writes it: it must then stay where it is, and as it is. Not thread-safe. No
/// function blocks.
class datagram_batch
{
public:
    /// @throws std::bad_alloc
    explicit datagram_batch(std::size_t capacity);
    datagram_batch(const datagram_batch&) = delete;
    datagram_batch& operator=(const datagram_batch&) = delete;

    std::size_t capacity() const noexcept { return entries_.size(); }
    std::size_t size() const noexcept { return size_; }
    void clear() noexcept { size_ = 0; }

    /// Adds a datagram to send: to `peer`, or if it is empty to the connected one. With `segment_bytes` the kernel cuts
    /// the data into datagrams of so many bytes, the last may be shorter (UDP_SEGMENT, Linux 4.18): at most 64, and
    /// 65507 bytes in all. Requires that there is room.
    void add(boost::asio::const_buffer data, const endpoint& peer = {}, std::uint16_t segment_bytes = 0) noexcept;

    /// Adds room for a datagram to receive. Requires that there is room.
    void add(boost::asio::mutable_buffer data) noexcept;

    // What has been received, of index below the number of datagrams that the operation has told.

    std::size_t bytes(std::size_t index) const noexcept { return headers_[index].msg_len; }
    const char* data(std::size_t index) const noexcept
    {
        return static_cast<const char*>(entries_[index].piece.iov_base);
    }
    const endpoint& sender(std::size_t index) const noexcept { return entries_[index].peer; }

    /// Several datagrams of one sender may have been put together, of so many bytes each, but for the last: see
    /// datagram::set_receive_coalescing(). 0: it is one.
    std::size_t segment_bytes(std::size_t index) const noexcept;

    /// Says whether it was longer than its room.
    bool truncated(std::size_t index) const noexcept { return (headers_[index].msg_hdr.msg_flags & MSG_TRUNC) != 0; }

    // For the operations.

    mmsghdr* headers(bool receive) noexcept;
    void finish_receive(std::size_t count) noexcept;

private:
    struct entry
    {
        endpoint peer;
        iovec piece{};
        std::uint16_t segment = 0;
        alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    };

    std::vector<entry> entries_;
    std::vector<mmsghdr> headers_;
    std::size_t size_ = 0;
};

namespace detail
{

/// Puts the request to cut the data into a message's control data. `room` must last as long as the message.
void request_segments(msghdr& message, char* room, std::uint16_t segment_bytes) noexcept;

/// Finds out of how many bytes the datagrams are that were put together; 0: it is one.
std::size_t segment_bytes_of(const msghdr& message) noexcept;

} // namespace detail

} // namespace zsync
