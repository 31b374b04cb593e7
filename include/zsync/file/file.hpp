// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/transfer.hpp>
#include <zsync/engine/handle.hpp>

#include <boost/asio/buffer.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <tuple>
#include <utility>

#include <fcntl.h>

namespace zsync
{

/// How a file is opened: Asio's file_base flags, which Asio has only where it was built for io_uring.
enum class open_flags : std::uint32_t
{
    read_only = O_RDONLY,
    write_only = O_WRONLY,
    read_write = O_RDWR,
    append = O_APPEND,
    create = O_CREAT,
    exclusive = O_EXCL,
    truncate = O_TRUNC,
    sync_all_on_write = O_SYNC,
};

constexpr open_flags operator|(open_flags a, open_flags b) noexcept
{
    return static_cast<open_flags>(static_cast<std::uint32_t>(a) | static_cast<std::uint32_t>(b));
}

constexpr open_flags operator&(open_flags a, open_flags b) noexcept
{
    return static_cast<open_flags>(static_cast<std::uint32_t>(a) & static_cast<std::uint32_t>(b));
}

/// From where file::seek() counts.
enum class seek_basis : int
{
    begin = SEEK_SET,
    current = SEEK_CUR,
    end = SEEK_END,
};

class file;

namespace detail
{

/// openat(2), as an Action. It owns the path, and the new descriptor until somebody has the file.
class open_request
{
public:
    static constexpr direction way = direction::none;

    open_request(const boost::asio::any_io_executor& executor, const io_place& where, std::string path,
                 open_flags flags, unsigned mode)
        : executor_(executor), where_(where), path_(std::move(path)), flags_(flags), mode_(mode)
    {
    }

    bool describe(operation& record) noexcept;
    std::tuple<boost::system::error_code, file> outcome(const operation& record) const noexcept;

private:
    boost::asio::any_io_executor executor_;
    io_place where_;
    std::string path_;
    open_flags flags_;
    unsigned mode_;
};

/// fsync(2) or fdatasync(2), as an Action.
class sync_request
{
public:
    static constexpr direction way = direction::none;
    explicit sync_request(bool data_only) noexcept : data_only_(data_only) {}

    bool describe(operation& record) const noexcept
    {
        record.code = opcode::sync;
        record.flags = data_only_;
        return true;
    }

    static std::tuple<boost::system::error_code> outcome(const operation& record) noexcept
    {
        return {record_error(record)};
    }

private:
    bool data_only_;
};

} // namespace detail

/// An open file: a regular one, or whatever else a path names. Reading a directory fails with EISDIR.
///
/// A transfer takes up to 16 buffers and moves what one system call does. The end of the file is
/// boost::asio::error::eof; a transfer of no bytes succeeds at once. Transfers at an offset are independent of each
/// other and of the file's own position, and any number may be in flight; of those at its position one in each
/// direction: see handle. On an epoll engine they take as long as the storage does, on the thread that runs the
/// context; on a ring the kernel's own threads wait instead. On the blocking engine an operation is performed while it
/// is initiated.
///
/// Cancellation of every operation: all types; it comes too late for what the storage is at already, which completes
/// with its own result. Handlers are posted; buffers must stay valid until the handler is called.
class file : public handle
{
public:
    /// Closed.
    explicit file(const executor_type& executor) noexcept : handle(executor) {}

    template <executing_context Context>
    explicit file(Context& context) : handle(executor_type(context.get_executor()))
    {
    }

    /// Opens at once, as open(). @throws boost::system::system_error
    file(const executor_type& executor, const std::string& path, open_flags flags, unsigned mode = default_mode)
        : handle(executor)
    {
        open(path, flags, mode);
    }

    /// Takes over a descriptor, as assign(). @throws boost::system::system_error
    file(const executor_type& executor, native_handle_type descriptor) : handle(executor) { assign(descriptor); }

    /// For the library's own layers.
    file(const executor_type& executor, descriptor_ptr core) noexcept : handle(executor, std::move(core)) {}

    /// What a created file may be used for by whom, less the process's umask: rw-rw-rw-.
    static constexpr unsigned default_mode = 0666;

    /// Opens a path, in the place of the file before. Blocks the thread as long as the storage takes, and until there
    /// is a peer where the path names a FIFO. Errors: open(2)'s, such as errc::no_such_file_or_directory.
    void open(const std::string& path, open_flags flags, unsigned mode = default_mode);
    void open(const std::string& path, open_flags flags, unsigned mode, boost::system::error_code& ec);

    std::uint64_t size() const;
    std::uint64_t size(boost::system::error_code& ec) const noexcept;

    /// Cuts, or grows with zero bytes.
    void resize(std::uint64_t bytes);
    void resize(std::uint64_t bytes, boost::system::error_code& ec) noexcept;

    /// Moves the file's own position; returns the new one, from the file's begin.
    std::uint64_t seek(std::int64_t offset, seek_basis whence);
    std::uint64_t seek(std::int64_t offset, seek_basis whence, boost::system::error_code& ec) noexcept;

    /// Writes what the system has cached to the storage. Blocks the thread until that is done.
    void sync_all();
    void sync_all(boost::system::error_code& ec) noexcept;

    /// The same, asynchronously. Signature: void(error_code). `data`: without metadata that reading does not need.
    template <boost::asio::completion_token_for<void(boost::system::error_code)> Token>
    auto async_sync_all(Token&& token)
    {
        return start<void(boost::system::error_code)>(std::forward<Token>(token), detail::sync_request(false));
    }

    template <boost::asio::completion_token_for<void(boost::system::error_code)> Token>
    auto async_sync_data(Token&& token)
    {
        return start<void(boost::system::error_code)>(std::forward<Token>(token), detail::sync_request(true));
    }

    /// Reads or writes at the file's own position, and moves it. Signature: void(error_code, std::size_t bytes).
    template <class Buffers, boost::asio::completion_token_for<void(boost::system::error_code, std::size_t)> Token>
    requires boost::asio::is_mutable_buffer_sequence<Buffers>::value auto async_read_some(const Buffers& buffers,
                                                                                          Token&& token)
    {
        return transfer<direction::in, false>(operation::current_position, buffers, std::forward<Token>(token));
    }

    template <class Buffers, boost::asio::completion_token_for<void(boost::system::error_code, std::size_t)> Token>
    requires boost::asio::is_const_buffer_sequence<Buffers>::value auto async_write_some(const Buffers& buffers,
                                                                                         Token&& token)
    {
        return transfer<direction::out, false>(operation::current_position, buffers, std::forward<Token>(token));
    }

    /// The same at `offset` bytes from the begin. A write to a file opened with `append` goes to its end all the same.
    template <class Buffers, boost::asio::completion_token_for<void(boost::system::error_code, std::size_t)> Token>
    requires boost::asio::is_mutable_buffer_sequence<Buffers>::value auto
    async_read_some_at(std::uint64_t offset, const Buffers& buffers, Token&& token)
    {
        return transfer<direction::in, true>(offset, buffers, std::forward<Token>(token));
    }

    template <class Buffers, boost::asio::completion_token_for<void(boost::system::error_code, std::size_t)> Token>
    requires boost::asio::is_const_buffer_sequence<Buffers>::value auto
    async_write_some_at(std::uint64_t offset, const Buffers& buffers, Token&& token)
    {
        return transfer<direction::out, true>(offset, buffers, std::forward<Token>(token));
    }

    /// Where async_open() would open a file of this executor: for its helpers.
    static io_place place_for(const executor_type& executor) { return place_of(executor); }

private:
    template <direction Way, bool AtOffset, class Buffers, class Token>
    auto transfer(std::uint64_t offset, const Buffers& buffers, Token&& token)
    {
        return start<void(boost::system::error_code, std::size_t)>(
            std::forward<Token>(token), detail::file_transfer<Way, AtOffset, Buffers>(buffers, offset));
    }
};

/// Opens a path. Signature: void(error_code, file). Errors: open(2)'s, such as errc::no_such_file_or_directory.
/// Except on a ring it blocks the thread that runs the context as long as the storage takes, and until there is a peer
/// where the path names a FIFO. Cancellation: all types; a file that has been opened by then is delivered. See file for
/// what holds of every operation.
template <boost::asio::completion_token_for<void(boost::system::error_code, file)> Token>
auto async_open(const boost::asio::any_io_executor& executor, std::string path, open_flags flags, Token&& token,
                unsigned mode = file::default_mode)
{
    const io_place where = file::place_for(executor);
    return boost::asio::async_initiate<Token, void(boost::system::error_code, file)>(
        detail::operation_initiation(executor, *where.io), token,
        detail::open_request(executor, where, std::move(path), flags, mode));
}

} // namespace zsync
