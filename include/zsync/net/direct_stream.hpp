// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/direct_name.hpp>
#include <zsync/engine/handle.hpp>
#include <zsync/net/detail/stream_transfers.hpp>
#include <zsync/net/receive_options.hpp>
#include <zsync/net/stream.hpp>

#include <boost/asio/socket_base.hpp>

#include <cstddef>
#include <tuple>
#include <utility>

namespace zsync
{

namespace detail
{

/// shutdown(2), as an Action: by the ring for what has no number, else at once.
class shutdown_request
{
public:
    static constexpr direction way = direction::none;
    shutdown_request(const descriptor_ptr& core, int how) noexcept : core_(core), how_(how) {}

    bool describe(operation& record) const noexcept;
    static std::tuple<boost::system::error_code> outcome(const operation& record) noexcept
    {
        return {record_error(record)};
    }

private:
    descriptor_ptr core_;
    int how_;
};

/// A second descriptor of a connection, as an Action that makes a stream.
class to_stream_request
{
public:
    static constexpr direction way = direction::none;
    to_stream_request(const boost::asio::any_io_executor& executor, const descriptor_ptr& core) noexcept
        : executor_(executor), core_(core)
    {
    }

    bool describe(operation& record) const noexcept;
    std::tuple<boost::system::error_code, stream> outcome(const operation& record) const noexcept;

private:
    boost::asio::any_io_executor executor_;
    descriptor_ptr core_;
};

} // namespace detail

/// A connection that stands in the table of files of its context's ring instead of the process's: the kernel need not
/// look a descriptor up for each operation, nor count its users. Made by acceptor::async_accept_direct(); the table is
/// an option of the context. Models Asio's AsyncReadStream and AsyncWriteStream. See detail::stream_transfers for its
/// transfers, stream for what holds of every one, and handle for one reader and one writer.
///
/// It has no number, and so can do less than a stream: no options (those of the listener are inherited), no names, no
/// waiting, no other context, and it goes with its ring. When that is replaced, which happens in a child after fork(2)
/// and when another thread takes over a context for one, every operation fails with connection_aborted. Whoever needs
/// more of one connection makes a stream of it: async_to_stream().
///
/// Where the table was full, or there is none (an option not set, epoll, a kernel before 5.19), it holds a descriptor
/// and behaves alike, but that it survives its ring: is_direct() tells.
///
/// Thread safety: as a handle. It is closed by the thread that runs the context: see close().
class direct_stream : private detail::stream_transfers<handle>, public boost::asio::socket_base
{
public:
    using handle::executor_type;

    /// Closed.
    explicit direct_stream(const executor_type& executor) noexcept : stream_transfers(executor) {}

    /// For the library's own layers.
    direct_stream(const executor_type& executor, descriptor_ptr core) noexcept
        : stream_transfers(executor, std::move(core))
    {
    }

    direct_stream(direct_stream&&) noexcept = default;
    direct_stream& operator=(direct_stream&&) noexcept = default;
    ~direct_stream() = default;

    using handle::async_close;
    using handle::cancel;
    using handle::core;
    using handle::engine;
    using handle::get_executor;
    using handle::is_open;

    // As of a stream.
    using stream_transfers::async_read_some;
    using stream_transfers::async_receive;
    using stream_transfers::async_send;
    using stream_transfers::async_write_some;

    /// Says whether it stands in the ring's table. Never blocks.
    bool is_direct() const noexcept { return core() && zsync::is_direct(core()->native()); }

    /// Closes; what is in flight completes with operation_aborted. Sends that were started before are handed to the
    /// kernel first; what finds no room in the socket is aborted. Never blocks.
    ///
    /// The thread that runs the context has the kernel close it before this returns. From any other, that thread does
    /// so in its next turn, which may be late if it is not in a run function. Destroying the context closes all.
    void close() noexcept
    {
        boost::system::error_code none;
        handle::close(none);
    }

    /// Receives by one operation, into buffers of a pool: as stream::receive_many().
    view_source receive_many(const receive_options& options = {})
    {
        return detail::make_view_source(get_executor(), core(), options);
    }

    /// Says whether receive_many() can work. Never blocks.
    bool supports_receive_many() const noexcept { return is_open() && core()->io().supports(opcode::receive_many); }

    /// Sends what was started first, then ends one direction or both. Signature: void(error_code). Errors:
    /// not_connected. A direct stream's is performed on a thread of the kernel's (io-wq): where all is over, close()
    /// costs less.
    template <boost::asio::completion_token_for<void(boost::system::error_code)> Token>
    auto async_shutdown(shutdown_type what, Token&& token)
    {
        return start<void(boost::system::error_code)>(std::forward<Token>(token),
                                                      detail::shutdown_request(core(), what));
    }

    /// Makes a stream of the same connection, with a descriptor, which may do all that this one cannot. This one is
    /// not changed: close it, or do not use both. Signature: void(error_code, stream). Errors: too_many_files_open;
    /// operation_not_supported for a direct stream before Linux 6.8. Cancellation: all types, to no effect once the
    /// kernel has it.
    template <boost::asio::completion_token_for<void(boost::system::error_code, stream)> Token>
    auto async_to_stream(Token&& token)
    {
        return start<void(boost::system::error_code, stream)>(std::forward<Token>(token),
                                                              detail::to_stream_request(get_executor(), core()));
    }

    /// Says whether async_to_stream() can work. Never blocks.
    bool supports_to_stream() const noexcept
    {
        return is_open() && (!is_direct() || core()->io().supports(opcode::install));
    }
};

} // namespace zsync
