// SPDX-License-Identifier: BSL-1.0
#include <zsync/net/datagram_batch.hpp>

#include <boost/assert.hpp>

#include <cstring>

#include <netinet/in.h>
#include <netinet/udp.h>

namespace zsync
{

void detail::request_segments(msghdr& message, char* room, std::uint16_t segment_bytes) noexcept
{
    message.msg_control = room;
    message.msg_controllen = CMSG_SPACE(sizeof segment_bytes);
    cmsghdr* const head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_UDP;
    head->cmsg_type = UDP_SEGMENT;
    head->cmsg_len = CMSG_LEN(sizeof segment_bytes);
    std::memcpy(CMSG_DATA(head), &segment_bytes, sizeof segment_bytes);
}

std::size_t detail::segment_bytes_of(const msghdr& message) noexcept
{
    auto& of = const_cast<msghdr&>(message); // which CMSG_NXTHDR does not change
    for (cmsghdr* head = CMSG_FIRSTHDR(&of); head; head = CMSG_NXTHDR(&of, head))
    {
        if (head->cmsg_level != SOL_UDP || head->cmsg_type != UDP_GRO)
            continue;
        int bytes = 0;
        std::memcpy(&bytes, CMSG_DATA(head), sizeof bytes);
        return bytes > 0 ? static_cast<std::size_t>(bytes) : 0;
    }
    return 0;
}

datagram_batch::datagram_batch(std::size_t capacity) : entries_(capacity), headers_(capacity) {}

void datagram_batch::add(boost::asio::const_buffer data, const endpoint& peer, std::uint16_t segment_bytes) noexcept
{
    BOOST_ASSERT(size_ < capacity());
    entry& place = entries_[size_++];
    place.peer = peer;
    place.piece = {const_cast<void*>(data.data()), data.size()};
    place.segment = segment_bytes;
}

void datagram_batch::add(boost::asio::mutable_buffer data) noexcept
{
    add(boost::asio::const_buffer(data));
}

std::size_t datagram_batch::segment_bytes(std::size_t index) const noexcept
{
    return entries_[index].segment;
}

mmsghdr* datagram_batch::headers(bool receive) noexcept
{
    for (std::size_t index = 0; index != size_; ++index)
    {
        entry& place = entries_[index];
        msghdr message{};
        message.msg_iov = &place.piece;
        message.msg_iovlen = 1;
        if (receive)
        {
            message.msg_name = place.peer.data();
            message.msg_namelen = static_cast<socklen_t>(endpoint::capacity());
            message.msg_control = place.control;
            message.msg_controllen = sizeof place.control;
        }
        else
        {
            if (place.peer.size() != 0)
            {
                message.msg_name = place.peer.data();
                message.msg_namelen = static_cast<socklen_t>(place.peer.size());
            }
            if (place.segment != 0)
                detail::request_segments(message, place.control, place.segment);
        }
        headers_[index] = {message, 0};
    }
    return headers_.data();
}

void datagram_batch::finish_receive(std::size_t count) noexcept
{
    for (std::size_t index = 0; index != count; ++index)
    {
        const msghdr& message = headers_[index].msg_hdr;
        *entries_[index].peer.size_address() = message.msg_namelen;
        entries_[index].segment = static_cast<std::uint16_t>(detail::segment_bytes_of(message));
    }
}

} // namespace zsync
