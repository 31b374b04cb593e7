// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/buffer_view.hpp>
#include <zsync/net/detail/stream_transfers.hpp>
#include <zsync/net/receive_options.hpp>
#include <zsync/net/socket.hpp>
#include <zsync/net/source.hpp>

#include <boost/asio/basic_stream_socket.hpp>

#include <cstddef>
#include <tuple>
#include <utility>

namespace zsync
{

namespace detail
{

/// A buffer that a source has filled.
struct view_maker
{
    using value_type = buffer_view;

    std::tuple<boost::system::error_code, buffer_view> operator()(const source_core& core,
                                                                  const source_item& item) const noexcept
    {
        if (item.result <= 0)
            return {item_error(item), buffer_view()};
        return {boost::system::error_code(), buffer_view(core.pool(), item.buffer, core.pool()->data(item.buffer),
                                                         static_cast<std::size_t>(item.result))};
    }
};

} // namespace detail

/// Bytes as they arrive, in buffers of their own: see stream::receive_many().
using view_source = source<detail::view_maker>;

namespace detail
{

view_source make_view_source(const boost::asio::any_io_executor& executor, const descriptor_ptr& core,
                             const receive_options& options);

} // namespace detail

/// A connected stream socket, TCP or local, on any context. Models Asio's AsyncReadStream and AsyncWriteStream, so that
/// asio::async_read, async_write and async_read_until, and Beast, take it.
///
/// Its transfers are async_read_some(), async_write_some(), async_receive() and async_send(): see
/// detail::stream_transfers. Each takes up to 16 buffers and moves what one system call does. The end of the stream is
/// boost::asio::error::eof; a transfer of no bytes succeeds at once. Cancellation of every operation: all types; bytes
/// that have moved by then are reported as success instead. Nothing raises SIGPIPE. On the blocking engine an operation
/// is performed while it is initiated, and blocks that thread. Handlers are posted; buffers must stay valid until the
/// handler is called. See handle for immediate executors, for one reader and one writer, and for thread safety.
class stream : public detail::stream_transfers<socket>
{
public:
    /// Closed; async_connect() opens it. @throws nothing but what copying the executor throws.
    explicit stream(const executor_type& executor) noexcept : stream_transfers(executor) {}

    template <executing_context Context>
    explicit stream(Context& context) : stream_transfers(executor_type(context.get_executor()))
    {
    }

    /// Takes over a descriptor, as assign(). @throws boost::system::system_error
    stream(const executor_type& executor, native_handle_type descriptor) : stream_transfers(executor)
    {
        assign(descriptor);
    }

    /// For the library's own layers.
    stream(const executor_type& executor, descriptor_ptr core) noexcept : stream_transfers(executor, std::move(core)) {}

    /// Takes over what an Asio socket has. @throws boost::system::system_error; it is closed then.
    template <class Protocol, class Executor>
    explicit stream(boost::asio::basic_stream_socket<Protocol, Executor>&& other)
        : stream_transfers(executor_type(other.get_executor()))
    {
        take_over(other.release());
    }

    /// Gives the descriptor to an Asio socket of the same executor. Operations in flight complete with
    /// operation_aborted. @throws boost::system::system_error, operation_not_supported for another family; the stream
    /// is then as it was.
    template <class Protocol>
    typename Protocol::socket to_asio_socket()
    {
        using asio_endpoint_type = typename Protocol::endpoint;
        const auto protocol = local_endpoint().template to_asio<asio_endpoint_type>().protocol();
        check_family(protocol.family());
        typename Protocol::socket other(get_executor());
        other.assign(protocol, native_handle());
        release();
        return other;
    }

    /// Opens a socket for an address family, in the place of the one before. async_connect() does so by itself.
    void open(int family);
    void open(int family, boost::system::error_code& ec) { open_as(family, SOCK_STREAM, ec); }

    /// Sends what was started first, then ends one direction or both.
    void shutdown(shutdown_type what);
    void shutdown(shutdown_type what, boost::system::error_code& ec) noexcept;

    /// Connects; opens a socket of the endpoint's family first if none is open. Signature: void(error_code).
    template <boost::asio::completion_token_for<void(boost::system::error_code)> Token>
    auto async_connect(const endpoint& peer, Token&& token)
    {
        return connect_as(SOCK_STREAM, peer, std::forward<Token>(token));
    }

    /// Makes each later send of at least so many bytes one that the kernel does not copy: it sends from the buffers
    /// themselves, and the send completes when they may be used again, which over a network is when the peer has
    /// acknowledged them. For large sends, and peers that answer: who destroys a context, leaves the run function of
    /// one for one thread, or forks, waits for that as well (TCP_USER_TIMEOUT bounds it). Loopback copies all the same
    /// (metrics::zero_copy_copied). Does nothing, and returns operation_not_supported, for local sockets and without a
    /// ring of Linux 6.1. Never blocks.
    boost::system::error_code zero_copy_from(std::size_t bytes) noexcept;

    /// Receives by one operation, into buffers of a pool: a connection that is idle holds none, and data is handed out
    /// in the buffer in which it arrived. The source is the one reader while it receives: another read then fails with
    /// already_started. When the pool runs dry, data waits in the socket until a view is destroyed. Never blocks. Linux
    /// 6.0, with a ring. @throws std::bad_alloc
    view_source receive_many(const receive_options& options = {})
    {
        return detail::make_view_source(get_executor(), core(), options);
    }

    /// Says whether receive_many() can work. Never blocks.
    bool supports_receive_many() const noexcept { return is_open() && core()->io().supports(opcode::receive_many); }

private:
    void take_over(int descriptor);
    void check_family(int wanted) const;
};

/// Makes two local streams that are connected to each other. @throws boost::system::system_error
std::pair<stream, stream> make_stream_pair(const stream::executor_type& executor);

} // namespace zsync
