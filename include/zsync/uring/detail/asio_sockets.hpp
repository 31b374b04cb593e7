// SPDX-License-Identifier: BSL-1.0
#pragma once

// The socket service that a stock socket or acceptor of any protocol finds behind it when it is native: Asio's own,
// with everything that would touch its reactor replaced. Synchronous calls and options are inherited. `reactor_data_`
// stays null, so that the descriptor never enters epoll.

#include <zsync/uring/detail/asio_connect_actions.hpp>
#include <zsync/uring/detail/asio_message_actions.hpp>
#include <zsync/uring/detail/asio_object.hpp>
#include <zsync/uring/detail/asio_service.hpp>

#include <boost/asio/detail/reactive_socket_service.hpp>
#include <boost/asio/detail/socket_holder.hpp>
#include <boost/asio/detail/socket_ops.hpp>

#include <concepts>

namespace zsync::detail
{

template <class Protocol>
using reactive_socket_service = boost::asio::detail::reactive_socket_service<Protocol>;

/// Serves the sockets and acceptors of one protocol on a context: through the ring if it has one, as Asio would if it
/// has not.
template <class Protocol>
class socket_service : public reactive_socket_service<Protocol>, public ring_client
{
    using base = reactive_socket_service<Protocol>;
    using flags_type = boost::asio::socket_base::message_flags;

public:
    using key_type = socket_service; // a service of its own beside Asio's, in the context's registry
    static inline boost::asio::detail::service_id<socket_service> id;

    using implementation_type = typename base::implementation_type;
    using endpoint_type = typename Protocol::endpoint;
    using error_code = boost::system::error_code;

    explicit socket_service(boost::asio::execution_context& context) : base(context), ring_client(context) {}

    /// Stops a native object from being taken for one of Asio's: a pointer to this service, converted to one to its
    /// base, would lose everything below without a word.
    socket_service* operator&() = delete;

    void move_assign(implementation_type& impl, socket_service& other_service, implementation_type& other)
    {
        detach(impl.socket_);
        base::move_assign(impl, other_service, other);
    }

    template <class Protocol1>
    void converting_move_construct(implementation_type& impl, socket_service<Protocol1>& other_service,
                                   typename socket_service<Protocol1>::implementation_type& other)
    {
        base::converting_move_construct(impl, other_service, other);
    }

    void destroy(implementation_type& impl)
    {
        detach(impl.socket_);
        base::destroy(impl);
    }

    error_code open(implementation_type& impl, const Protocol& protocol, error_code& ec)
    {
        if (!ring())
            return base::open(impl, protocol, ec);
        if (this->is_open(impl))
            return ec = boost::asio::error::already_open;
        boost::asio::detail::socket_holder opened(boost::asio::detail::socket_ops::socket(
            protocol.family(), protocol.type() | SOCK_CLOEXEC, protocol.protocol(), ec));
        if (opened.get() == boost::asio::detail::invalid_socket)
            return ec;
        ec = ring()->engine().attach_descriptor(opened.get());
        if (!ec)
            take(impl, protocol, opened.release(), 0);
        return ec;
    }

    error_code assign(implementation_type& impl, const Protocol& protocol, int descriptor, error_code& ec)
    {
        if (!ring())
            return base::assign(impl, protocol, descriptor, ec);
        if (this->is_open(impl))
            return ec = boost::asio::error::already_open;
        ec = ring()->engine().attach_descriptor(descriptor);
        if (!ec)
            take(impl, protocol, descriptor, boost::asio::detail::socket_ops::possible_dup);
        return ec;
    }

    error_code close(implementation_type& impl, error_code& ec)
    {
        detach(impl.socket_);
        return base::close(impl, ec);
    }

    int release(implementation_type& impl, error_code& ec)
    {
        detach(impl.socket_);
        return base::release(impl, ec);
    }

    error_code cancel(implementation_type& impl, error_code& ec)
    {
        if (!ring())
            return base::cancel(impl, ec);
        if (!this->is_open(impl))
            return ec = boost::asio::error::bad_descriptor;
        BOOST_ASIO_HANDLER_OPERATION((this->reactor_.context(), "socket", &impl, impl.socket_, "cancel"));
        cancel_all(impl.socket_);
        return ec = {};
    }

    using base::shutdown; // the service's own
    error_code shutdown(implementation_type& impl, boost::asio::socket_base::shutdown_type what, error_code& ec)
    {
        send_what_was_started(impl.socket_);
        return base::shutdown(impl, what, ec);
    }

    /// Of a socket that is no stream, an option may say how each message is to go.
    template <class Option>
    error_code set_option(implementation_type& impl, const Option& option, error_code& ec)
    {
        if (!is_stream(impl))
            send_what_was_started(impl.socket_);
        return base::set_option(impl, option, ec);
    }

    /// And a connect, where they go.
    error_code connect(implementation_type& impl, const endpoint_type& peer, error_code& ec)
    {
        if (!is_stream(impl))
            send_what_was_started(impl.socket_);
        return base::connect(impl, peer, ec);
    }

    template <class Buffers>
    std::size_t send(implementation_type& impl, const Buffers& buffers, flags_type flags, error_code& ec)
    {
        send_what_was_started(impl.socket_);
        return base::send(impl, buffers, flags, ec);
    }

    template <class Buffers>
    std::size_t send_to(implementation_type& impl, const Buffers& buffers, const endpoint_type& receiver,
                        flags_type flags, error_code& ec)
    {
        send_what_was_started(impl.socket_);
        return base::send_to(impl, buffers, receiver, flags, ec);
    }

    template <class Handler, class IoExecutor>
    void async_wait(implementation_type& impl, boost::asio::socket_base::wait_type what, Handler& handler,
                    const IoExecutor& io_executor)
    {
        const std::uint32_t events = events_of<boost::asio::socket_base>(what);
        if (!ring() || events == 0)
            return base::async_wait(impl, what, handler, io_executor);
        start<ready_action>(on(impl, "async_wait"), handler, io_executor, events);
    }

    template <class Buffers, class Handler, class IoExecutor>
    [[gnu::always_inline]] void async_send(implementation_type& impl, const Buffers& buffers, flags_type flags,
                                           Handler& handler, const IoExecutor& io_executor)
    {
        if (!ring())
            return base::async_send(impl, buffers, flags, handler, io_executor);
        if constexpr (std::same_as<Buffers, boost::asio::null_buffers>)
            start_wait(impl, "async_send(null_buffers)", POLLOUT, handler, io_executor);
        else
            start<send_action<Buffers>>(on(impl, "async_send"), handler, io_executor, buffers, flags, is_stream(impl));
    }

    template <class Buffers, class Handler, class IoExecutor>
    void async_send_to(implementation_type& impl, const Buffers& buffers, const endpoint_type& receiver,
                       flags_type flags, Handler& handler, const IoExecutor& io_executor)
    {
        if (!ring())
            return base::async_send_to(impl, buffers, receiver, flags, handler, io_executor);
        if constexpr (std::same_as<Buffers, boost::asio::null_buffers>)
            start_wait(impl, "async_send_to(null_buffers)", POLLOUT, handler, io_executor);
        else
            start<send_to_action<Buffers, endpoint_type>>(on(impl, "async_send_to"), handler, io_executor, buffers,
                                                          receiver, flags);
    }

    template <class Buffers, class Handler, class IoExecutor>
    [[gnu::always_inline]] void async_receive(implementation_type& impl, const Buffers& buffers, flags_type flags,
                                              Handler& handler, const IoExecutor& io_executor)
    {
        if (!ring())
            return base::async_receive(impl, buffers, flags, handler, io_executor);
        if constexpr (std::same_as<Buffers, boost::asio::null_buffers>)
            start_wait(impl, "async_receive(null_buffers)", receive_events(flags), handler, io_executor);
        else
            start<receive_action<Buffers>>(on(impl, "async_receive", waits_when_drained(impl)), handler, io_executor,
                                           buffers, flags, is_stream(impl));
    }

    template <class Buffers, class Handler, class IoExecutor>
    void async_receive_from(implementation_type& impl, const Buffers& buffers, endpoint_type& sender, flags_type flags,
                            Handler& handler, const IoExecutor& io_executor)
    {
        if (!ring())
            return base::async_receive_from(impl, buffers, sender, flags, handler, io_executor);
        if constexpr (std::same_as<Buffers, boost::asio::null_buffers>)
        {
            sender = endpoint_type(); // as Asio's: there is no sensible value yet
            start_wait(impl, "async_receive_from(null_buffers)", receive_events(flags), handler, io_executor);
        }
        else
        {
            start<receive_from_action<Buffers, endpoint_type>>(on(impl, "async_receive_from"), handler, io_executor,
                                                               buffers, sender, flags);
        }
    }

    template <class Buffers, class Handler, class IoExecutor>
    void async_receive_with_flags(implementation_type& impl, const Buffers& buffers, flags_type flags,
                                  flags_type& out_flags, Handler& handler, const IoExecutor& io_executor)
    {
        if (!ring())
            return base::async_receive_with_flags(impl, buffers, flags, out_flags, handler, io_executor);
        if constexpr (std::same_as<Buffers, boost::asio::null_buffers>)
        {
            out_flags = 0;
            start_wait(impl, "async_receive_with_flags(null_buffers)", receive_events(flags), handler, io_executor);
        }
        else
        {
            start<receive_with_flags_action<Buffers>>(on(impl, "async_receive_with_flags"), handler, io_executor,
                                                      buffers, flags, out_flags);
        }
    }

    template <class Socket, class Handler, class IoExecutor>
    void async_accept(implementation_type& impl, Socket& peer, endpoint_type* peer_endpoint, Handler& handler,
                      const IoExecutor& io_executor)
    {
        if (!ring() || peer.is_open()) // which is an error, and Asio's to report
            return base::async_accept(impl, peer, peer_endpoint, handler, io_executor);
        start<accept_action<Protocol, Socket>>(on(impl, "async_accept"), handler, io_executor, peer, impl.protocol_,
                                               peer_endpoint);
    }

    template <class PeerExecutor, class Handler, class IoExecutor>
    void async_move_accept(implementation_type& impl, const PeerExecutor& peer_executor, endpoint_type* peer_endpoint,
                           Handler& handler, const IoExecutor& io_executor)
    {
        if (!ring())
            return base::async_move_accept(impl, peer_executor, peer_endpoint, handler, io_executor);
        start<move_accept_action<Protocol, PeerExecutor>>(on(impl, "async_accept"), handler, io_executor, peer_executor,
                                                          impl.protocol_, peer_endpoint);
    }

    template <class Handler, class IoExecutor>
    void async_connect(implementation_type& impl, const endpoint_type& peer, Handler& handler,
                       const IoExecutor& io_executor)
    {
        if (!ring())
            return base::async_connect(impl, peer, handler, io_executor);
        const bool at_once = connects_at_once(impl.protocol_);
        if (at_once)
            send_what_was_started(impl.socket_);
        start<connect_action<endpoint_type>>(on(impl, "async_connect"), handler, io_executor, peer, at_once);
    }

private:
    // Not by its state: a protocol's type is mostly a constant.
    static bool is_stream(const implementation_type& impl) { return impl.protocol_.type() == SOCK_STREAM; }

    static bool waits_when_drained(const implementation_type& impl)
    {
        return is_stream(impl) && impl.protocol_.family() == AF_UNIX;
    }

    subject on(implementation_type& impl, const char* operation, bool waits_when_drained = false)
    {
        return {this->reactor_.context(), "socket", &impl, impl.socket_, operation, waits_when_drained};
    }

    template <class Handler, class IoExecutor>
    void start_wait(implementation_type& impl, const char* operation, std::uint32_t events, Handler& handler,
                    const IoExecutor& io_executor)
    {
        start<ready_to_transfer_action>(on(impl, operation), handler, io_executor, events);
    }

    static void take(implementation_type& impl, const Protocol& protocol, int descriptor, unsigned char extra)
    {
        using namespace boost::asio::detail;
        impl.socket_ = descriptor;
        impl.state_ = extra;
        if (protocol.type() == SOCK_STREAM)
            impl.state_ |= socket_ops::stream_oriented;
        else if (protocol.type() == SOCK_DGRAM)
            impl.state_ |= socket_ops::datagram_oriented;
        impl.protocol_ = protocol;
    }
};

} // namespace zsync::detail
