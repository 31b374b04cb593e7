// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/net/direct_stream.hpp>
#include <zsync/net/socket.hpp>
#include <zsync/net/source.hpp>
#include <zsync/net/stream.hpp>

#include <boost/asio/basic_socket_acceptor.hpp>

#include <cstddef>
#include <tuple>
#include <utility>

namespace zsync
{

namespace detail
{

/// accept4(2), as an Action that makes a stream. It owns the new descriptor until somebody has the stream.
class accept_request
{
public:
    static constexpr direction way = direction::none;

    accept_request(const boost::asio::any_io_executor& executor, const io_place& where, bool blocking) noexcept
        : executor_(executor), where_(where), blocking_(blocking)
    {
    }

    bool describe(operation& record) const noexcept;
    std::tuple<boost::system::error_code, stream> outcome(const operation& record) const noexcept;

private:
    boost::asio::any_io_executor executor_; // of the new stream
    io_place where_;
    bool blocking_;
};

/// accept4(2) into the ring's own table where that has a free place, as an Action that makes a direct_stream.
class accept_direct_request
{
public:
    static constexpr direction way = direction::none;

    /// `by`: the engine that is to perform it; null if there is no listener. `peer`: is told the peer's name, or null.
    accept_direct_request(const boost::asio::any_io_executor& executor, const descriptor_ptr& listener, engine* by,
                          endpoint* peer) noexcept
        : executor_(executor), listener_(listener), by_(by), peer_(peer)
    {
    }

    bool describe(operation& record) noexcept;
    std::tuple<boost::system::error_code, direct_stream> outcome(const operation& record) const noexcept;

private:
    boost::asio::any_io_executor executor_; // of the new stream
    descriptor_ptr listener_;
    engine* by_;
    endpoint* peer_;
    int place_ = -1;
};

/// A connection that a source has accepted, as a stream.
struct connection_maker
{
    using value_type = stream;

    boost::asio::any_io_executor executor;
    io_place where;

    std::tuple<boost::system::error_code, stream> operator()(const source_core& core,
                                                             const source_item& item) const noexcept;
};

} // namespace detail

/// Connections as they are accepted: see acceptor::accept_many().
using connection_source = source<detail::connection_maker>;

/// A stream socket that listens, TCP or local. See stream for what holds of every operation; any number of accepts may
/// be in flight.
class acceptor : public socket
{
public:
    /// Closed.
    explicit acceptor(const executor_type& executor) noexcept : socket(executor) {}

    template <executing_context Context>
    explicit acceptor(Context& context) : socket(executor_type(context.get_executor()))
    {
    }

    /// Opens, binds, listens; with reuse_address. Never blocks. @throws boost::system::system_error
    acceptor(const executor_type& executor, const endpoint& local, int backlog = max_listen_connections)
        : socket(executor)
    {
        listen_on(local, backlog);
    }

    template <executing_context Context>
    acceptor(Context& context, const endpoint& local, int backlog = max_listen_connections)
        : acceptor(executor_type(context.get_executor()), local, backlog)
    {
    }

    /// Takes over a descriptor that listens, as assign(). @throws boost::system::system_error
    acceptor(const executor_type& executor, native_handle_type descriptor) : socket(executor) { assign(descriptor); }

    /// For the library's own layers.
    acceptor(const executor_type& executor, descriptor_ptr core) noexcept : socket(executor, std::move(core)) {}

    /// Takes over what an Asio acceptor has. @throws boost::system::system_error; it is closed then.
    template <class Protocol, class Executor>
    explicit acceptor(boost::asio::basic_socket_acceptor<Protocol, Executor>&& other)
        : socket(executor_type(other.get_executor()))
    {
        take_over(other.release());
    }

    /// Opens, binds and listens, in the place of the socket before, if any.
    void listen_on(const endpoint& local, int backlog = max_listen_connections);
    void listen_on(const endpoint& local, int backlog, boost::system::error_code& ec);

    void open(int family);
    void open(int family, boost::system::error_code& ec) { open_as(family, SOCK_STREAM, ec); }
    void listen(int backlog = max_listen_connections);
    void listen(int backlog, boost::system::error_code& ec) noexcept;

    /// Accepts a connection, as a stream on this acceptor's executor. Signature: void(error_code, stream). Errors:
    /// too_many_files_open, with which the connection goes on waiting; operation_aborted. Cancellation: all types; a
    /// connection that has been accepted by then is delivered.
    template <boost::asio::completion_token_for<void(boost::system::error_code, stream)> Token>
    auto async_accept(Token&& token)
    {
        return start<void(boost::system::error_code, stream)>(
            std::forward<Token>(token), action(get_executor(), is_open() ? core()->where() : io_place()));
    }

    /// The same for a stream on another executor, whose context may be another one.
    template <boost::asio::completion_token_for<void(boost::system::error_code, stream)> Token>
    auto async_accept(const executor_type& executor, Token&& token)
    {
        return start<void(boost::system::error_code, stream)>(std::forward<Token>(token),
                                                              action(executor, place_of(executor)));
    }

    /// Accepts one connection into the ring's own table of files, as a direct_stream, which can do less, and whose
    /// operations cost the kernel no look-up. Where the table is full, or there is none, the stream holds a descriptor
    /// like any other; no connection is lost. Signature: void(error_code, direct_stream). Errors and cancellation: as
    /// async_accept().
    template <boost::asio::completion_token_for<void(boost::system::error_code, direct_stream)> Token>
    auto async_accept_direct(Token&& token)
    {
        return start<void(boost::system::error_code, direct_stream)>(std::forward<Token>(token),
                                                                     direct_action(nullptr));
    }

    /// The same, and tells the peer's name, which a direct stream cannot be asked for. `peer` must stay valid until the
    /// handler is called.
    template <boost::asio::completion_token_for<void(boost::system::error_code, direct_stream)> Token>
    auto async_accept_direct(endpoint& peer, Token&& token)
    {
        return start<void(boost::system::error_code, direct_stream)>(std::forward<Token>(token), direct_action(&peer));
    }

    /// Says whether its context has a table for direct streams. Never blocks.
    bool supports_direct() const noexcept { return is_open() && core()->io().supports(opcode::accept_direct); }

    /// Accepts connections by one operation: they are accepted as soon as they come, and handed out one by one, as
    /// streams on this acceptor's executor. Up to about `limit` wait in the source; more wait in the backlog. Those
    /// that nobody takes are closed with the source. Errors beside source's: too_many_files_open, with which
    /// connections go on waiting; the next call tries again. Never blocks. Linux 5.19, with a ring.
    connection_source accept_many(std::uint32_t limit = 64);

    /// Says whether accept_many() can work. Never blocks.
    bool supports_accept_many() const noexcept { return is_open() && core()->io().supports(opcode::accept_many); }

private:
    static detail::accept_request action(const executor_type& executor, const io_place& where) noexcept
    {
        return {executor, where, where.io && where.io->kind() == engine_kind::blocking};
    }
    detail::accept_direct_request direct_action(endpoint* peer) const noexcept
    {
        return {get_executor(), core(), core() ? &core()->io() : nullptr, peer};
    }
    void take_over(int descriptor);
};

} // namespace zsync
