// SPDX-License-Identifier: BSL-1.0
#pragma once

// The service that a stock posix::stream_descriptor, posix::descriptor, readable_pipe or writable_pipe finds behind it
// when it is native: Asio's own, as with sockets.

#include <zsync/uring/detail/asio_actions.hpp>
#include <zsync/uring/detail/asio_object.hpp>
#include <zsync/uring/detail/asio_service.hpp>

#include <boost/asio/detail/descriptor_ops.hpp>
#include <boost/asio/detail/reactive_descriptor_service.hpp>

#include <concepts>

namespace zsync::detail
{

using reactive_descriptor_service = boost::asio::detail::reactive_descriptor_service;

// What an object of Asio's holds is its service's own; this one is derived, and is no friend. See core/detail/asio.hpp.
struct descriptor_member
{
    using type = int reactive_descriptor_service::implementation_type::*;
    friend constexpr type exposed(descriptor_member) noexcept;
};

struct descriptor_state_member
{
    using type = boost::asio::detail::descriptor_ops::state_type reactive_descriptor_service::implementation_type::*;
    friend constexpr type exposed(descriptor_state_member) noexcept;
};

template struct expose_member<descriptor_member, &reactive_descriptor_service::implementation_type::descriptor_>;
template struct expose_member<descriptor_state_member, &reactive_descriptor_service::implementation_type::state_>;

/// Serves descriptors and pipes on a context: through the ring if it has one, as Asio would if it has not.
///
/// Asio sets O_NONBLOCK on the descriptors it is given, which others may have, too. A native one stays as it is: either
/// way the ring waits for it.
class descriptor_service : public reactive_descriptor_service, public ring_client
{
    using base = reactive_descriptor_service;
    using wait_type = boost::asio::posix::descriptor_base::wait_type;

public:
    using key_type = descriptor_service; // a service of its own beside Asio's, in the context's registry
    static inline boost::asio::detail::service_id<descriptor_service> id;

    using implementation_type = base::implementation_type;
    using error_code = boost::system::error_code;

    explicit descriptor_service(boost::asio::execution_context& context)
        : base(context), ring_client(context), context_(context)
    {
    }

    /// As socket_service's.
    descriptor_service* operator&() = delete;

    void move_assign(implementation_type& impl, descriptor_service& other_service, implementation_type& other)
    {
        detach(native_handle(impl));
        base::move_assign(impl, other_service, other);
    }

    void destroy(implementation_type& impl)
    {
        detach(native_handle(impl));
        base::destroy(impl);
    }

    error_code assign(implementation_type& impl, int descriptor, error_code& ec)
    {
        if (!ring())
            return base::assign(impl, descriptor, ec);
        if (is_open(impl))
            return ec = boost::asio::error::already_open;
        ec = ring()->engine().attach_descriptor(descriptor);
        if (!ec)
        {
            impl.*exposed(descriptor_member{}) = descriptor;
            impl.*exposed(descriptor_state_member{}) = boost::asio::detail::descriptor_ops::possible_dup;
        }
        return ec;
    }

    error_code close(implementation_type& impl, error_code& ec)
    {
        detach(native_handle(impl));
        return base::close(impl, ec);
    }

    int release(implementation_type& impl)
    {
        detach(native_handle(impl));
        return base::release(impl);
    }

    int release(implementation_type& impl, error_code& ec)
    {
        ec = {};
        return release(impl);
    }

    error_code cancel(implementation_type& impl, error_code& ec)
    {
        if (!ring())
            return base::cancel(impl, ec);
        if (!is_open(impl))
            return ec = boost::asio::error::bad_descriptor;
        BOOST_ASIO_HANDLER_OPERATION((context_, "descriptor", &impl, native_handle(impl), "cancel"));
        cancel_all(native_handle(impl));
        return ec = {};
    }

    template <class Buffers>
    std::size_t write_some(implementation_type& impl, const Buffers& buffers, error_code& ec)
    {
        send_what_was_started(native_handle(impl));
        return base::write_some(impl, buffers, ec);
    }

    template <class Handler, class IoExecutor>
    void async_wait(implementation_type& impl, wait_type what, Handler& handler, const IoExecutor& io_executor)
    {
        const std::uint32_t events = events_of<boost::asio::posix::descriptor_base>(what);
        if (!ring() || events == 0)
            return base::async_wait(impl, what, handler, io_executor);
        start<ready_action>(on(impl, "async_wait"), handler, io_executor, events);
    }

    template <class Buffers, class Handler, class IoExecutor>
    void async_write_some(implementation_type& impl, const Buffers& buffers, Handler& handler,
                          const IoExecutor& io_executor)
    {
        if (!ring())
            return base::async_write_some(impl, buffers, handler, io_executor);
        if constexpr (std::same_as<Buffers, boost::asio::null_buffers>)
            start<ready_to_transfer_action>(on(impl, "async_write_some(null_buffers)"), handler, io_executor, POLLOUT);
        else
            start<write_action<Buffers>>(on(impl, "async_write_some"), handler, io_executor, buffers);
    }

    template <class Buffers, class Handler, class IoExecutor>
    void async_read_some(implementation_type& impl, const Buffers& buffers, Handler& handler,
                         const IoExecutor& io_executor)
    {
        if (!ring())
            return base::async_read_some(impl, buffers, handler, io_executor);
        if constexpr (std::same_as<Buffers, boost::asio::null_buffers>)
            start<ready_to_transfer_action>(on(impl, "async_read_some(null_buffers)"), handler, io_executor, POLLIN);
        else
            start<read_action<Buffers>>(on(impl, "async_read_some"), handler, io_executor, buffers);
    }

private:
    subject on(implementation_type& impl, const char* operation)
    {
        return {context_, "descriptor", std::addressof(impl), native_handle(impl), operation};
    }

    boost::asio::execution_context& context_;
};

} // namespace zsync::detail
