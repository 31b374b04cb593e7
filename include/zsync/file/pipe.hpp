// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/transfer.hpp>
#include <zsync/engine/handle.hpp>

#include <boost/asio/buffer.hpp>

#include <cstddef>
#include <utility>

#include <poll.h>

namespace zsync
{

/// One end of a pipe, or a FIFO, a terminal, standard input or output: whatever is read and written without a position.
/// Models Asio's AsyncReadStream and AsyncWriteStream.
///
/// A transfer takes up to 16 buffers and moves what one system call does. The end of the stream is
/// boost::asio::error::eof; a transfer of no bytes succeeds at once. Writing to a pipe that nobody reads fails with
/// broken_pipe, and raises SIGPIPE first, as Asio's stream_descriptor: programs ignore that signal. On the blocking
/// engine an operation is performed while it is initiated. Cancellation of every operation: all types; bytes that have
/// moved by then are reported as success instead. Handlers are posted; buffers must stay valid until the handler is
/// called. See handle for one reader and one writer, and for thread safety.
class pipe : public handle
{
public:
    /// Closed.
    explicit pipe(const executor_type& executor) noexcept : handle(executor) {}

    template <executing_context Context>
    explicit pipe(Context& context) : handle(executor_type(context.get_executor()))
    {
    }

    /// Takes over a descriptor, as assign(). @throws boost::system::system_error
    pipe(const executor_type& executor, native_handle_type descriptor) : handle(executor) { assign(descriptor); }

    /// For the library's own layers.
    pipe(const executor_type& executor, descriptor_ptr core) noexcept : handle(executor, std::move(core)) {}

    /// Reads what there is, at least one byte. Signature: void(error_code, std::size_t bytes).
    template <class Buffers, boost::asio::completion_token_for<void(boost::system::error_code, std::size_t)> Token>
    requires boost::asio::is_mutable_buffer_sequence<Buffers>::value auto async_read_some(const Buffers& buffers,
                                                                                          Token&& token)
    {
        return start<void(boost::system::error_code, std::size_t)>(
            std::forward<Token>(token), detail::file_transfer<direction::in, false, Buffers>(buffers));
    }

    /// Writes what there is room for, at least one byte. Signature: void(error_code, std::size_t bytes).
    template <class Buffers, boost::asio::completion_token_for<void(boost::system::error_code, std::size_t)> Token>
    requires boost::asio::is_const_buffer_sequence<Buffers>::value auto async_write_some(const Buffers& buffers,
                                                                                         Token&& token)
    {
        return start<void(boost::system::error_code, std::size_t)>(
            std::forward<Token>(token), detail::file_transfer<direction::out, false, Buffers>(buffers));
    }

    /// Waits until there is something to read, or the end. Signature: void(error_code). Fails with
    /// operation_not_supported for a file.
    template <boost::asio::completion_token_for<void(boost::system::error_code)> Token>
    auto async_wait_read(Token&& token)
    {
        return start<void(boost::system::error_code)>(std::forward<Token>(token), detail::poll_request(POLLIN));
    }

    /// Waits until there is room to write, or nobody who would read. Signature: void(error_code).
    template <boost::asio::completion_token_for<void(boost::system::error_code)> Token>
    auto async_wait_write(Token&& token)
    {
        return start<void(boost::system::error_code)>(std::forward<Token>(token), detail::poll_request(POLLOUT));
    }
};

/// The two ends of a pipe.
struct pipe_ends
{
    pipe read_end;
    pipe write_end;
};

/// Makes a pipe. Never blocks. @throws boost::system::system_error
pipe_ends make_pipe(const pipe::executor_type& executor);

/// Takes a duplicate of a descriptor, which is to be closed like others; the descriptor itself stays the caller's. The
/// two share their flags: O_NONBLOCK is left as it is. @throws boost::system::system_error
pipe duplicate_pipe(const pipe::executor_type& executor, int descriptor);

/// The standard streams, borrowed: never closed, and never made non-blocking, because other programs share them. A
/// file, too, if that is what it was redirected to. Several handles of one stream may exist, but cancelling or closing
/// one of them cancels what is in flight on all. @throws boost::system::system_error bad_descriptor if there is none.
pipe standard_input(const pipe::executor_type& executor);
pipe standard_output(const pipe::executor_type& executor);
pipe standard_error(const pipe::executor_type& executor);

} // namespace zsync
