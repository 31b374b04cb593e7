// SPDX-License-Identifier: BSL-1.0
#pragma once

// The socket service that a stock stream socket or acceptor finds behind it when it is native: Asio's own, with
// everything that would touch its reactor replaced. Synchronous calls and options are inherited. `reactor_data_` stays
// null, so that the descriptor never enters epoll.

#include <zsync/uring/detail/asio_actions.hpp>
#include <zsync/uring/detail/asio_ops.hpp>
#include <zsync/uring/detail/uring_service.hpp>

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/detail/handler_cont_helpers.hpp>
#include <boost/asio/detail/io_object_impl.hpp>
#include <boost/asio/detail/reactive_socket_service.hpp>
#include <boost/asio/detail/socket_ops.hpp>
#include <boost/asio/query.hpp>

#include <concepts>

#include <poll.h>

namespace zsync::detail
{

/// The protocols whose sockets are streams: tcp, local::stream_protocol, generic::stream_protocol.
template <class Protocol>
concept stream_protocol = std::same_as<typename Protocol::socket, boost::asio::basic_stream_socket<Protocol>>;

template <class Protocol>
using reactive_socket_service = boost::asio::detail::reactive_socket_service<Protocol>;

/// Cancels one operation when its slot is emitted. Terminal, partial and total all end it: bytes that have moved are
/// reported as success instead.
class operation_canceller
{
public:
    explicit operation_canceller(uring_engine& engine) noexcept : engine_(&engine) {}

    operation_id* id() noexcept { return &id_; }

    void operator()(boost::asio::cancellation_type type) noexcept
    {
        using boost::asio::cancellation_type;
        if ((type & (cancellation_type::terminal | cancellation_type::partial | cancellation_type::total)) !=
            cancellation_type::none)
            engine_->cancel(id_);
    }

private:
    uring_engine* engine_;
    operation_id id_;
};

/// Serves the stream sockets and acceptors of one protocol on a context: through the ring if it has one, as Asio would
/// if it has not.
template <stream_protocol Protocol>
class stream_service : public reactive_socket_service<Protocol>
{
    using base = reactive_socket_service<Protocol>;

public:
    using key_type = stream_service; // a service of its own beside Asio's, in the context's registry
    static inline boost::asio::detail::service_id<stream_service> id;

    using implementation_type = typename base::implementation_type;
    using endpoint_type = typename Protocol::endpoint;
    using error_code = boost::system::error_code;

    explicit stream_service(boost::asio::execution_context& context)
        : base(context), ring_(uring_service::find(context))
    {
    }

    /// Stops a native object from being taken for one of Asio's: a pointer to this service, converted to one to its
    /// base, would lose everything below without a word.
    stream_service* operator&() = delete;

    bool is_native() const noexcept { return ring_ != nullptr; }

    void move_assign(implementation_type& impl, stream_service& other_service, implementation_type& other)
    {
        detach(impl);
        base::move_assign(impl, other_service, other);
    }

    template <class Protocol1>
    void converting_move_construct(implementation_type& impl, stream_service<Protocol1>& other_service,
                                   typename stream_service<Protocol1>::implementation_type& other)
    {
        base::converting_move_construct(impl, other_service, other);
    }

    void destroy(implementation_type& impl)
    {
        detach(impl);
        base::destroy(impl);
    }

    error_code open(implementation_type& impl, const Protocol& protocol, error_code& ec)
    {
        if (!ring_)
            return base::open(impl, protocol, ec);
        if (this->is_open(impl))
            return ec = boost::asio::error::already_open;
        boost::asio::detail::socket_holder opened(boost::asio::detail::socket_ops::socket(
            protocol.family(), protocol.type() | SOCK_CLOEXEC, protocol.protocol(), ec));
        if (opened.get() == boost::asio::detail::invalid_socket)
            return ec;
        ec = ring_->engine().attach_descriptor(opened.get());
        if (!ec)
            take(impl, protocol, opened.release(), 0);
        return ec;
    }

    error_code assign(implementation_type& impl, const Protocol& protocol, int descriptor, error_code& ec)
    {
        if (!ring_)
            return base::assign(impl, protocol, descriptor, ec);
        if (this->is_open(impl))
            return ec = boost::asio::error::already_open;
        ec = ring_->engine().attach_descriptor(descriptor);
        if (!ec)
            take(impl, protocol, descriptor, boost::asio::detail::socket_ops::possible_dup);
        return ec;
    }

    error_code close(implementation_type& impl, error_code& ec)
    {
        detach(impl);
        return base::close(impl, ec);
    }

    int release(implementation_type& impl, error_code& ec)
    {
        detach(impl);
        return base::release(impl, ec);
    }

    error_code cancel(implementation_type& impl, error_code& ec)
    {
        if (!ring_)
            return base::cancel(impl, ec);
        if (!this->is_open(impl))
            return ec = boost::asio::error::bad_descriptor;
        BOOST_ASIO_HANDLER_OPERATION((this->reactor_.context(), "socket", &impl, impl.socket_, "cancel"));
        ring_->engine().cancel_descriptor(impl.socket_);
        return ec = {};
    }

    // What was started before a shutdown or a synchronous send goes out before it, as it would with Asio, which tries
    // at once.
    error_code shutdown(implementation_type& impl, boost::asio::socket_base::shutdown_type what, error_code& ec)
    {
        if (ring_ && this->is_open(impl))
            ring_->engine().try_sends(impl.socket_);
        return base::shutdown(impl, what, ec);
    }

    template <class Buffers>
    std::size_t send(implementation_type& impl, const Buffers& buffers, boost::asio::socket_base::message_flags flags,
                     error_code& ec)
    {
        if (ring_ && this->is_open(impl))
            ring_->engine().try_sends(impl.socket_);
        return base::send(impl, buffers, flags, ec);
    }

    template <class Handler, class IoExecutor>
    void async_wait(implementation_type& impl, boost::asio::socket_base::wait_type what, Handler& handler,
                    const IoExecutor& io_executor)
    {
        if (!ring_ || poll_events(what) == 0)
            return base::async_wait(impl, what, handler, io_executor);
        start<ready_action>(impl, "async_wait", handler, io_executor, poll_events(what));
    }

    template <class Buffers, class Handler, class IoExecutor>
    void async_send(implementation_type& impl, const Buffers& buffers, boost::asio::socket_base::message_flags flags,
                    Handler& handler, const IoExecutor& io_executor)
    {
        if (!ring_)
            return base::async_send(impl, buffers, flags, handler, io_executor);
        if constexpr (std::same_as<Buffers, boost::asio::null_buffers>)
            start<ready_to_transfer_action>(impl, "async_send(null_buffers)", handler, io_executor, POLLOUT);
        else
            start<send_action<Buffers>>(impl, "async_send", handler, io_executor, buffers, flags);
    }

    template <class Buffers, class Handler, class IoExecutor>
    void async_receive(implementation_type& impl, const Buffers& buffers, boost::asio::socket_base::message_flags flags,
                       Handler& handler, const IoExecutor& io_executor)
    {
        if (!ring_)
            return base::async_receive(impl, buffers, flags, handler, io_executor);
        if constexpr (std::same_as<Buffers, boost::asio::null_buffers>)
            start<ready_to_transfer_action>(impl, "async_receive(null_buffers)", handler, io_executor,
                                            flags & MSG_OOB ? POLLPRI : POLLIN);
        else
            start<receive_action<Buffers>>(impl, "async_receive", handler, io_executor, buffers, flags);
    }

    template <class Socket, class Handler, class IoExecutor>
    void async_accept(implementation_type& impl, Socket& peer, endpoint_type* peer_endpoint, Handler& handler,
                      const IoExecutor& io_executor)
    {
        if (!ring_ || peer.is_open()) // which is an error, and Asio's to report
            return base::async_accept(impl, peer, peer_endpoint, handler, io_executor);
        start<accept_action<Protocol, Socket>>(impl, "async_accept", handler, io_executor, peer, impl.protocol_,
                                               peer_endpoint);
    }

    template <class PeerExecutor, class Handler, class IoExecutor>
    void async_move_accept(implementation_type& impl, const PeerExecutor& peer_executor, endpoint_type* peer_endpoint,
                           Handler& handler, const IoExecutor& io_executor)
    {
        if (!ring_)
            return base::async_move_accept(impl, peer_executor, peer_endpoint, handler, io_executor);
        start<move_accept_action<Protocol, PeerExecutor>>(impl, "async_accept", handler, io_executor, peer_executor,
                                                          impl.protocol_, peer_endpoint);
    }

    template <class Handler, class IoExecutor>
    void async_connect(implementation_type& impl, const endpoint_type& peer, Handler& handler,
                       const IoExecutor& io_executor)
    {
        if (!ring_)
            return base::async_connect(impl, peer, handler, io_executor);
        start<connect_action<endpoint_type>>(impl, "async_connect", handler, io_executor, peer);
    }

private:
    static constexpr std::uint32_t poll_events(boost::asio::socket_base::wait_type what) noexcept
    {
        switch (what)
        {
        case boost::asio::socket_base::wait_read:
            return POLLIN;
        case boost::asio::socket_base::wait_write:
            return POLLOUT;
        case boost::asio::socket_base::wait_error:
            return POLLPRI;
        default:
            return 0;
        }
    }

    void take(implementation_type& impl, const Protocol& protocol, int descriptor, unsigned char extra)
    {
        impl.socket_ = descriptor;
        impl.state_ = boost::asio::detail::socket_ops::stream_oriented | extra;
        impl.protocol_ = protocol;
    }

    void detach(implementation_type& impl) noexcept
    {
        if (ring_ && this->is_open(impl))
            ring_->engine().detach_descriptor(impl.socket_);
    }

    template <class Action, class Handler, class IoExecutor, class... Arguments>
    void start(implementation_type& impl, [[maybe_unused]] const char* name, Handler& handler,
               const IoExecutor& io_executor, Arguments&&... arguments)
    {
        const bool is_continuation = boost_asio_handler_cont_helpers::is_continuation(handler);
        auto slot = boost::asio::get_associated_cancellation_slot(handler);

        using op = socket_operation<Action, Handler, IoExecutor>;
        typename op::ptr memory = {std::addressof(handler), op::ptr::allocate(handler), 0};
        memory.p = new (memory.v) op(handler, io_executor, std::forward<Arguments>(arguments)...);
        op& started = *memory.p;
        started.descriptor = impl.socket_;
        started.waits_when_drained = impl.protocol_.family() == AF_UNIX;
        started.describe(started);

        BOOST_ASIO_HANDLER_CREATION((this->reactor_.context(), started, "socket", &impl, impl.socket_, name));

        if (!this->is_open(impl))
            started.result = -EBADF;
        if (!this->is_open(impl) || started.done_at_once(started))
        {
            ring_->post(started, is_continuation);
        }
        else
        {
            operation_id* named = nullptr;
            if (slot.is_connected())
                named = slot.template emplace<operation_canceller>(ring_->engine()).id();
            ring_->start(started, named, is_continuation);
        }
        memory.v = memory.p = nullptr;
    }

    uring_service* ring_;
};

/// The implementation half of a native I/O object: what Asio's io_object_impl is to its own services.
template <stream_protocol Protocol, class Executor>
class stream_object
{
public:
    using service_type = stream_service<Protocol>;
    using implementation_type = typename service_type::implementation_type;
    using executor_type = Executor;

    explicit stream_object(int, const Executor& executor) : service_(find(context_of(executor))), executor_(executor)
    {
        service_->construct(implementation_);
    }

    template <class ExecutionContext>
    explicit stream_object(int, int, ExecutionContext& context)
        : service_(find(context)), executor_(context.get_executor())
    {
        service_->construct(implementation_);
    }

    stream_object(stream_object&& other) noexcept : service_(other.service_), executor_(other.executor_)
    {
        service_->move_construct(implementation_, other.implementation_);
    }

    /// From an object of the same protocol with another executor type: the service is the same.
    template <class Executor1>
    stream_object(stream_object<Protocol, Executor1>&& other)
        : service_(std::addressof(other.get_service())), executor_(other.get_executor())
    {
        service_->move_construct(implementation_, other.get_implementation());
    }

    /// From an object of a protocol that this one includes.
    template <class Protocol1, class Executor1>
    stream_object(stream_object<Protocol1, Executor1>&& other)
        : service_(find(context_of(other.get_executor()))), executor_(other.get_executor())
    {
        service_->converting_move_construct(implementation_, other.get_service(), other.get_implementation());
    }

    ~stream_object() { service_->destroy(implementation_); }

    stream_object& operator=(stream_object&& other)
    {
        if (this != &other)
        {
            service_->move_assign(implementation_, *other.service_, other.implementation_);
            std::destroy_at(&executor_);
            std::construct_at(&executor_, other.executor_);
            service_ = other.service_;
        }
        return *this;
    }

    const Executor& get_executor() noexcept { return executor_; }
    service_type& get_service() { return *service_; }
    const service_type& get_service() const { return *service_; }
    implementation_type& get_implementation() { return implementation_; }
    const implementation_type& get_implementation() const { return implementation_; }

private:
    static boost::asio::execution_context& context_of(const Executor& executor)
    {
        if constexpr (boost::asio::execution::is_executor<Executor>::value)
            return boost::asio::query(executor, boost::asio::execution::context);
        else
            return executor.context();
    }

    template <class ExecutionContext>
    static service_type* find(ExecutionContext& context)
    {
        return std::addressof(boost::asio::use_service<service_type>(context));
    }

    service_type* service_;
    implementation_type implementation_;
    Executor executor_;
};

} // namespace zsync::detail
