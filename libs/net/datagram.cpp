// SPDX-License-Identifier: BSL-1.0
#include <zsync/net/datagram.hpp>

#include <boost/asio/error.hpp>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <netinet/in.h>
#include <netinet/udp.h>
#include <unistd.h>

namespace zsync
{

namespace
{

// What the kernel writes at the head of a buffer of opcode::receive_message_many (struct io_uring_recvmsg_out).
struct message_head
{
    std::uint32_t name_bytes;
    std::uint32_t control_bytes;
    std::uint32_t payload_bytes;
    std::uint32_t flags;
};

constexpr std::size_t control_room = CMSG_SPACE(sizeof(int));

} // namespace

std::tuple<boost::system::error_code, received_datagram>
detail::datagram_maker::operator()(const source_core& core, const source_item& item) const noexcept
{
    if (item.result < 0)
        return {item_error(item), received_datagram()};
    const msghdr& room = core.message();
    const std::size_t before = sizeof(message_head) + room.msg_namelen + room.msg_controllen;
    const auto bytes = static_cast<std::size_t>(item.result);
    char* const memory = core.pool()->data(item.buffer);
    received_datagram made;
    made.data = buffer_view(core.pool(), item.buffer, memory, bytes);
    if (bytes < before) // never: the kernel writes all of it
        return {boost::asio::error::message_size, std::move(made)};

    message_head head;
    std::memcpy(&head, memory, sizeof head);
    made.data.remove_prefix(before);
    const std::size_t name_bytes = std::min<std::size_t>(head.name_bytes, room.msg_namelen);
    std::memcpy(made.sender.data(), memory + sizeof head, name_bytes);
    *made.sender.size_address() = static_cast<socklen_t>(name_bytes);
    made.truncated = (head.flags & MSG_TRUNC) != 0;
    msghdr control{};
    control.msg_control = memory + sizeof head + room.msg_namelen;
    control.msg_controllen = std::min<std::size_t>(head.control_bytes, room.msg_controllen);
    made.segment_bytes = segment_bytes_of(control);
    return {boost::system::error_code(), std::move(made)};
}

datagram_source datagram::receive_many(const receive_options& options)
{
    buffer_pool_ptr pool;
    int refused = !is_open() ? EBADF : supports_receive_many() ? 0 : EOPNOTSUPP;
    if (!refused)
        pool = options.buffers ? options.buffers : core()->io().buffers();
    detail::source_core::pointer received(new detail::source_core(
        core(), std::move(pool),
        {.code = opcode::receive_message_many, .limit = options.limit, .control_bytes = control_room}, refused));
    return {get_executor(), std::move(received), {}};
}

void datagram::set_receive_coalescing(bool on, boost::system::error_code& ec) noexcept
{
    const int value = on;
    ec.clear();
    if (::setsockopt(native_handle(), SOL_UDP, UDP_GRO, &value, sizeof value) < 0)
        ec.assign(errno, boost::system::system_category());
}

void datagram::set_receive_coalescing(bool on)
{
    boost::system::error_code ec;
    set_receive_coalescing(on, ec);
    throw_if(ec, "set_receive_coalescing");
}

void datagram::open(int family)
{
    boost::system::error_code ec;
    open(family, ec);
    throw_if(ec, "open");
}

void datagram::take_over(int descriptor)
{
    boost::system::error_code ec;
    assign(descriptor, ec);
    if (!ec)
        return;
    ::close(descriptor);
    throw_if(ec, "datagram");
}

} // namespace zsync
