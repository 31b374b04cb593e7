// SPDX-License-Identifier: BSL-1.0
#pragma once

// What each asynchronous operation of a stock socket asks of the kernel, and what it tells its handler: the Actions of
// socket_operation.

#include <zsync/core/operation.hpp>

#include <boost/asio/buffer.hpp>
#include <boost/asio/detail/bind_handler.hpp>
#include <boost/asio/detail/buffer_sequence_adapter.hpp>
#include <boost/asio/detail/socket_holder.hpp>
#include <boost/asio/error.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <memory>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

namespace zsync::detail
{

/// Returns the error that a finished record stands for, as Asio would have reported it.
inline boost::system::error_code error_of(const operation& op) noexcept
{
    if (op.result >= 0)
        return {};
    return {-op.result, boost::asio::error::get_system_category()};
}

/// More than this moves in no single call: MAX_RW_COUNT of the kernel.
inline constexpr std::size_t most_bytes = 0x7ffff000;

/// The buffers of one send or receive, where the kernel finds them for as long as the operation lasts.
///
/// Like Asio's own sockets, it uses the first 64 buffers of a longer sequence. Up to 16, which is what async_read and
/// async_write pass at a time, need no allocation of their own.
template <class Buffer, class Sequence>
class socket_buffers
{
    static constexpr std::size_t inline_count = 16;
    static constexpr std::size_t most_count = 64;

public:
    explicit socket_buffers(const Sequence& buffers)
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

    socket_buffers(const socket_buffers&) = delete;
    socket_buffers& operator=(const socket_buffers&) = delete;

    bool empty() const noexcept { return empty_; }

    /// Makes the record one for these buffers: as `one` or `many` of them.
    void describe(operation& op, opcode one, opcode many) noexcept
    {
        if (message_.msg_iovlen == 1)
        {
            op.code = one;
            op.address = message_.msg_iov->iov_base;
            op.length = static_cast<std::uint32_t>(std::min(message_.msg_iov->iov_len, most_bytes));
        }
        else
        {
            op.code = many;
            op.address = &message_;
        }
    }

private:
    std::array<iovec, inline_count> few_;
    std::unique_ptr<iovec[]> more_;
    msghdr message_{};
    bool empty_ = true;
};

/// The same for the types that are known to be one buffer: nothing but the buffer.
template <class Buffer, class Sequence>
    requires(boost::asio::detail::buffer_sequence_adapter<Buffer, Sequence>::is_single_buffer != 0)
class socket_buffers<Buffer, Sequence>
{
public:
    explicit socket_buffers(const Sequence& buffers) noexcept
        : buffer_(boost::asio::detail::buffer_sequence_adapter<Buffer, Sequence>::first(buffers))
    {
    }

    bool empty() const noexcept { return buffer_.size() == 0; }

    void describe(operation& op, opcode one, opcode) noexcept
    {
        op.code = one;
        op.address = const_cast<void*>(static_cast<const void*>(buffer_.data()));
        op.length = static_cast<std::uint32_t>(std::min(buffer_.size(), most_bytes));
    }

private:
    Buffer buffer_;
};

/// What the handlers of sends and receives are told: error and bytes.
struct transfer_result
{
    template <class Handler>
    auto bind(Handler& handler, const boost::system::error_code& error, std::size_t bytes)
    {
        return boost::asio::detail::binder2<Handler, boost::system::error_code, std::size_t>(handler, error, bytes);
    }
};

template <class Sequence>
class receive_action : transfer_result
{
public:
    receive_action(const Sequence& buffers, int flags) : buffers_(buffers), flags_(flags) {}

    bool done_at_once(operation&) const noexcept { return buffers_.empty(); }

    void describe(operation& op) noexcept
    {
        buffers_.describe(op, opcode::receive, opcode::receive_message);
        // Asio's descriptors do not block, and on those MSG_WAITALL waits for nothing.
        op.flags = static_cast<std::uint32_t>(flags_ & ~MSG_WAITALL);
        op.ready_first = flags_ & MSG_OOB ? POLLPRI : 0;
    }

    template <class Handler>
    auto outcome(Handler& handler, operation& op, bool)
    {
        auto error = error_of(op);
        if (op.result == 0 && !buffers_.empty())
            error = boost::asio::error::eof;
        return bind(handler, error, static_cast<std::size_t>(std::max(op.result, 0)));
    }

private:
    socket_buffers<boost::asio::mutable_buffer, Sequence> buffers_;
    int flags_;
};

template <class Sequence>
class send_action : transfer_result
{
public:
    send_action(const Sequence& buffers, int flags) : buffers_(buffers), flags_(flags) {}

    bool done_at_once(operation&) const noexcept { return buffers_.empty(); }

    void describe(operation& op) noexcept
    {
        buffers_.describe(op, opcode::send, opcode::send_message);
        op.flags = static_cast<std::uint32_t>((flags_ & ~MSG_WAITALL) | MSG_NOSIGNAL);
    }

    template <class Handler>
    auto outcome(Handler& handler, operation& op, bool)
    {
        return bind(handler, error_of(op), static_cast<std::size_t>(std::max(op.result, 0)));
    }

private:
    socket_buffers<boost::asio::const_buffer, Sequence> buffers_;
    int flags_;
};

/// Waits for readiness, for async_wait and for Asio's null_buffers.
class ready_action
{
public:
    explicit ready_action(std::uint32_t events) noexcept : events_(events) {}

    bool done_at_once(operation&) const noexcept { return false; }

    void describe(operation& op) const noexcept
    {
        op.code = opcode::poll;
        op.flags = events_;
    }

    template <class Handler>
    auto outcome(Handler& handler, operation& op, bool)
    {
        return boost::asio::detail::binder1<Handler, boost::system::error_code>(handler, error_of(op));
    }

private:
    std::uint32_t events_;
};

/// The same with the signature of a transfer of nothing.
class ready_to_transfer_action : public ready_action
{
public:
    using ready_action::ready_action;

    template <class Handler>
    auto outcome(Handler& handler, operation& op, bool)
    {
        return transfer_result().bind(handler, error_of(op), 0);
    }
};

template <class Endpoint>
class connect_action
{
public:
    explicit connect_action(const Endpoint& peer) : peer_(peer) {}

    /// A local connect never takes time: it succeeds, or fails at once where the ring would wait for room in the
    /// listener's queue.
    bool done_at_once(operation& op) noexcept
    {
        if (peer_.protocol().family() != AF_UNIX)
            return false;
        const int mode = ::fcntl(op.descriptor, F_GETFL);
        ::fcntl(op.descriptor, F_SETFL, mode | O_NONBLOCK);
        const auto* const address = static_cast<const sockaddr*>(peer_.data());
        op.result = ::connect(op.descriptor, address, static_cast<socklen_t>(peer_.size())) < 0 ? -errno : 0;
        ::fcntl(op.descriptor, F_SETFL, mode);
        return true;
    }

    void describe(operation& op) noexcept
    {
        op.code = opcode::connect;
        op.address = peer_.data();
        op.length = static_cast<std::uint32_t>(peer_.size());
    }

    template <class Handler>
    auto outcome(Handler& handler, operation& op, bool)
    {
        return boost::asio::detail::binder1<Handler, boost::system::error_code>(handler, error_of(op));
    }

private:
    Endpoint peer_;
};

/// What both forms of accept share: the record, and the descriptor that came.
template <class Protocol>
class accept_base
{
public:
    using endpoint_type = typename Protocol::endpoint;

    bool done_at_once(operation&) const noexcept { return false; }

    void describe(operation& op) noexcept
    {
        op.code = opcode::accept;
        op.flags = SOCK_CLOEXEC;
        if (peer_endpoint_)
        {
            op.address = peer_endpoint_->data();
            op.address_length = &address_bytes_;
        }
    }

protected:
    accept_base(const Protocol& protocol, endpoint_type* peer_endpoint) noexcept
        : protocol_(protocol),
          peer_endpoint_(peer_endpoint),
          address_bytes_(peer_endpoint ? static_cast<socklen_t>(peer_endpoint->capacity()) : 0)
    {
    }

    /// Gives the connection to `peer`, or closes it where nobody is left to be told.
    template <class Socket>
    boost::system::error_code hand_to(Socket& peer, operation& op, bool wanted)
    {
        auto error = error_of(op);
        boost::asio::detail::socket_holder connection;
        if (!error)
            connection.reset(op.result);
        if (error || !wanted)
            return error;
        if (peer_endpoint_)
            peer_endpoint_->resize(address_bytes_);
        peer.assign(protocol_, connection.get(), error);
        if (!error)
            connection.release();
        return error;
    }

private:
    Protocol protocol_;
    endpoint_type* peer_endpoint_;
    socklen_t address_bytes_;
};

template <class Protocol, class Socket>
class accept_action : public accept_base<Protocol>
{
public:
    accept_action(Socket& peer, const Protocol& protocol, typename Protocol::endpoint* peer_endpoint) noexcept
        : accept_base<Protocol>(protocol, peer_endpoint), peer_(peer)
    {
    }

    template <class Handler>
    auto outcome(Handler& handler, operation& op, bool wanted)
    {
        const auto error = this->hand_to(peer_, op, wanted);
        return boost::asio::detail::binder1<Handler, boost::system::error_code>(handler, error);
    }

private:
    Socket& peer_;
};

template <class Protocol, class PeerExecutor>
class move_accept_action : public accept_base<Protocol>
{
    using socket_type = typename Protocol::socket::template rebind_executor<PeerExecutor>::other;

public:
    move_accept_action(const PeerExecutor& executor, const Protocol& protocol,
                       typename Protocol::endpoint* peer_endpoint)
        : accept_base<Protocol>(protocol, peer_endpoint), peer_(executor)
    {
    }

    template <class Handler>
    auto outcome(Handler& handler, operation& op, bool wanted)
    {
        const auto error = this->hand_to(peer_, op, wanted);
        return boost::asio::detail::move_binder2<Handler, boost::system::error_code, socket_type>(
            0, std::move(handler), error, std::move(peer_));
    }

private:
    socket_type peer_;
};

} // namespace zsync::detail
