// SPDX-License-Identifier: BSL-1.0
#pragma once

// The Actions of connections: to make one, and to take one.

#include <zsync/uring/detail/asio_actions.hpp>

#include <boost/asio/detail/socket_holder.hpp>

#include <cerrno>

#include <fcntl.h>
#include <sys/socket.h>

namespace zsync::detail
{

/// Says whether a connect by this protocol never takes time. A local one succeeds at once, or fails at once where the
/// ring would wait for room in the listener's queue. One of datagrams only notes the address.
template <class Protocol>
bool connects_at_once(const Protocol& protocol)
{
    return protocol.family() == AF_UNIX || protocol.type() == SOCK_DGRAM || protocol.type() == SOCK_RAW;
}

template <class Endpoint>
class connect_action
{
public:
    connect_action(const Endpoint& peer, bool at_once) : peer_(peer), at_once_(at_once) {}

    bool done_at_once(operation& op) noexcept
    {
        if (!at_once_)
            return false;
        const bool may_wait = peer_.protocol().family() == AF_UNIX;
        const int mode = may_wait ? ::fcntl(op.descriptor, F_GETFL) : 0;
        if (may_wait)
            ::fcntl(op.descriptor, F_SETFL, mode | O_NONBLOCK);
        const auto* const address = static_cast<const sockaddr*>(peer_.data());
        op.result = ::connect(op.descriptor, address, static_cast<socklen_t>(peer_.size())) < 0 ? -errno : 0;
        if (may_wait)
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
        return bind_error(handler, error_of(op));
    }

private:
    Endpoint peer_;
    bool at_once_;
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
        return bind_error(handler, this->hand_to(peer_, op, wanted));
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
