// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/loop_executor.hpp>
#include <zsync/core/metrics.hpp>
#include <zsync/file/file.hpp>
#include <zsync/file/pipe.hpp>
#include <zsync/io/buffers.hpp>
#include <zsync/io/close.hpp>
#include <zsync/io/connect.hpp>
#include <zsync/io/copy.hpp>
#include <zsync/io/datagram.hpp>
#include <zsync/io/detail/action_steps.hpp>
#include <zsync/io/model.hpp>
#include <zsync/io/operation.hpp>
#include <zsync/io/sleep.hpp>
#include <zsync/io/transfer.hpp>
#include <zsync/net/acceptor.hpp>
#include <zsync/net/datagram.hpp>
#include <zsync/net/direct_stream.hpp>
#include <zsync/net/stream.hpp>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

namespace zsync
{

class blocking_context;
class fiber_context;

/// A handle whose bytes come and go in order, and that has a descriptor: a stream, a file, a pipe.
template <class H>
concept descriptor_handle = std::derived_from<H, stream> || std::derived_from<H, file> || std::derived_from<H, pipe>;

/// The same, or a direct_stream, which may have none.
template <class H>
concept byte_handle = descriptor_handle<H> || std::derived_from<H, direct_stream>;

/// Does input and output for a function that need not know how it is run: the same code blocks its thread, or suspends
/// its fiber, with the same results.
///
/// A value, cheap to copy: names a context, which must outlive it and its operations, and bears a deadline and a
/// cancellation token that its operations and children inherit. Thread safety: distinct objects: safe; const use of
/// one: safe.
///
/// Each verb returns an io_operation, and does nothing before that is awaited; see there for what holds of all of them.
/// Handles are taken by reference, and operations share what is behind them. Buffers: see mutable_bytes and
/// const_bytes. A verb moves bytes as its system call does, on its model:
/// - blocking: by the plain call; with a deadline or a token, poll(2) first, and a call that does not wait;
/// - green: by the context's engine. Files are then read and written by the kernel's threads where the engine is
///   io_uring, and by the loop's thread, which waits for the storage, where it is epoll.
///
/// @code
/// void echo(zsync::io io, zsync::stream peer)
/// {
///     std::array<char, 4096> data;
///     while (auto n = io.read(peer, data).await())
///         io.write(peer, std::span(data).first(n)).await();
/// }
/// @endcode
class io
{
public:
    using clock = std::chrono::steady_clock;

    /// The blocking model, on whatever thread uses it.
    io(blocking_context& context);

    /// The green model, on the context's fibers.
    io(fiber_context& context);

    /// For the library's own layers.
    explicit io(const detail::settings& settings) noexcept : settings_(settings) {}
    const detail::settings& settings() const noexcept { return settings_; }

    zsync::model model() const noexcept { return settings_.model; }
    engine_kind engine() const noexcept { return settings_.owner->io().kind(); }

    /// One system call can move several buffers: always.
    static constexpr bool supports_vectored() noexcept { return true; }

    /// The kernel can copy from one file to another: copy_file_range(2), since Linux 4.5, unless it is forbidden. Where
    /// it cannot, copy_file_range() reads and writes. Asks the kernel: one system call; never blocks.
    static bool supports_zero_copy() noexcept;

    /// The counters of the context. The blocking model's plain calls are not among them.
    zsync::metrics metrics() const noexcept { return settings_.owner->io().counters(); }

    /// The context's loop, for the library's own layers.
    loop& owner() const noexcept { return *settings_.owner; }

    loop_executor get_executor() const noexcept { return loop_executor(*settings_.owner); }

    /// The same with a deadline, or with the present one if that is earlier.
    io with_deadline(clock::time_point deadline) const;

    template <class Rep, class Period>
    io with_deadline(const std::chrono::duration<Rep, Period>& from_now) const
    {
        return with_deadline(after(from_now));
    }

    /// The same with another token instead of the present one. For both, make the token from a source whose parent is
    /// cancellation().
    io with_cancellation(cancellation_token token) const;

    /// When operations time out: time_point::max() for never.
    clock::time_point deadline() const noexcept { return settings_.deadline; }
    const cancellation_token& cancellation() const noexcept { return settings_.cancellation; }

    /// Opens, binds and listens, at once; never blocks. @throws boost::system::system_error
    acceptor listen(const endpoint& local, int backlog = acceptor::max_listen_connections) const;

    /// The same; the acceptor is closed after an error.
    acceptor listen(const endpoint& local, boost::system::error_code& ec) const;

    /// Runs a function: perhaps here and now, perhaps on a fiber. Never fails. Returns its future. Defined in
    /// <zsync/io/async.hpp>.
    template <class F>
    auto async(F&& f) const;

    /// Runs a function that makes progress by itself, or fails with error::concurrency_unavailable. Defined there.
    template <class F>
    auto concurrent(F&& f) const;

    /// Reads what there is, at least one byte, to at most the buffer's size. Delivers the bytes; 0 is the end of the
    /// stream or file.
    template <byte_handle H, mutable_bytes B>
    auto read(H& from, B&& buffer) const
    {
        return transfer<direction::in, detail::reach::some>(from.core(), pieces(std::forward<B>(buffer)));
    }

    /// Fills the buffer. The end before that is boost::asio::error::eof; await(ec) tells how many bytes came first.
    template <byte_handle H, mutable_bytes B>
    auto read_exactly(H& from, B&& buffer) const
    {
        return transfer<direction::in, detail::reach::all>(from.core(), pieces(std::forward<B>(buffer)));
    }

    /// Reads to several buffers, one after the other, in one system call, which takes 16 of them: as read().
    template <byte_handle H, mutable_bytes... B>
        requires(sizeof...(B) > 1 && sizeof...(B) <= 16)
    auto readv(H& from, B&&... buffers) const
    {
        return transfer<direction::in, detail::reach::some>(from.core(), pieces(std::forward<B>(buffers)...));
    }
    template <byte_handle H, mutable_sequence S>
    auto readv(H& from, S&& buffers) const
    {
        return transfer<direction::in, detail::reach::some>(from.core(), sequence(std::forward<S>(buffers)));
    }

    /// Reads at an offset from the begin of a file, whose own position does not matter and does not move. Any number of
    /// these may be in flight. Otherwise as read().
    template <mutable_bytes B>
    auto read_at(const file& from, std::uint64_t offset, B&& buffer) const
    {
        return transfer<direction::in, detail::reach::some, direction::none>(from.core(),
                                                                             pieces(std::forward<B>(buffer)), offset);
    }

    /// Writes all of it, in as many system calls as that takes. Delivers the bytes: all, or with an error those that
    /// were written.
    template <byte_handle H, const_bytes B>
    auto write(H& to, B&& data) const
    {
        return transfer<direction::out, detail::reach::all>(to.core(), pieces(std::forward<B>(data)));
    }

    /// Writes all of it to standard output, whatever that is, and past the buffers of stdio and iostreams. Its flags
    /// stay as they are. If nobody reads what is a pipe, SIGPIPE is raised, as by write(2).
    template <const_bytes B>
    auto write(B&& data) const
    {
        auto held = pieces(std::forward<B>(data));
        using steps =
            detail::transfer_steps<direction::out, detail::reach::all, detail::standard_output_target, decltype(held)>;
        return make(steps(detail::standard_output_target(), std::move(held)));
    }

    /// Writes all of several buffers, one after the other: as write(). A system call takes 16 of a sequence.
    template <byte_handle H, const_bytes... B>
        requires(sizeof...(B) > 1 && sizeof...(B) <= 16)
    auto writev(H& to, B&&... data) const
    {
        return transfer<direction::out, detail::reach::all>(to.core(), pieces(std::forward<B>(data)...));
    }
    template <byte_handle H, const_sequence S>
    auto writev(H& to, S&& data) const
    {
        return transfer<direction::out, detail::reach::all>(to.core(), sequence(std::forward<S>(data)));
    }

    /// Writes all of it at an offset: as read_at(). A file opened with open_flags::append is written at its end.
    template <const_bytes B>
    auto write_at(const file& to, std::uint64_t offset, B&& data) const
    {
        return transfer<direction::out, detail::reach::all, direction::none>(to.core(), pieces(std::forward<B>(data)),
                                                                             offset);
    }

    /// Receives one datagram, of which the kernel drops what exceeds the buffer, and stores where it came from; that
    /// must live until the operation has ended. 0 bytes is a datagram like others.
    template <mutable_bytes B>
    auto receive_from(const datagram& on, B&& buffer, endpoint& sender) const
    {
        auto bytes = detail::hold(std::forward<B>(buffer));
        return make(detail::datagram_steps<direction::in, decltype(bytes)>(
            detail::handle_target<direction::in>(on.core()), std::move(bytes), endpoint(), &sender));
    }

    /// Sends one datagram.
    template <const_bytes B>
    auto send_to(const datagram& on, B&& data, const endpoint& peer) const
    {
        auto bytes = detail::hold(std::forward<B>(data));
        return make(detail::datagram_steps<direction::out, decltype(bytes)>(
            detail::handle_target<direction::out>(on.core()), std::move(bytes), peer, nullptr));
    }

    /// Accepts a connection, and delivers it as a stream on the acceptor's executor. Any number may be in flight.
    auto accept(const acceptor& on) const
    {
        using action = detail::accept_request;
        using target = detail::handle_target<direction::none>;
        const bool blocking = settings_.owner->io().kind() == engine_kind::blocking;
        return make(detail::action_steps<stream, action, target>(
            target(on.core()), on.get_executor(),
            action(on.get_executor(), on.core() ? on.core()->where() : io_place(), blocking)));
    }

    /// The same into the ring's own table, where there is one: see acceptor::async_accept_direct().
    auto accept_direct(const acceptor& on) const
    {
        using action = detail::accept_direct_request;
        using target = detail::handle_target<direction::none>;
        return make(detail::action_steps<direct_stream, action, target>(
            target(on.core()), on.get_executor(),
            action(on.get_executor(), on.core(), &settings_.owner->io(), nullptr)));
    }

    /// Connects to an endpoint. Delivers the stream.
    auto connect(const endpoint& peer) const { return make(detail::connect_steps(get_executor(), peer)); }

    /// Looks up a host and a service (by number or by name), and connects to the first of the addresses that lets it,
    /// in the resolver's order; the last one's error counts. Numbers are not looked up. The look-up blocks the thread
    /// in the blocking model, where it cannot be ended early; else it is a helper thread's, which goes on for nobody
    /// when the operation has ended. Errors of the look-up: boost::asio::error's host_not_found, service_not_found, ...
    auto connect(std::string host, std::string service) const
    {
        return make(detail::connect_by_name_steps(get_executor(), std::move(host), std::move(service)));
    }
    auto connect(std::string host, std::uint16_t port) const { return connect(std::move(host), std::to_string(port)); }

    /// Opens a path, and delivers the file. See zsync::async_open() for FIFOs.
    auto open(std::string path, open_flags flags = open_flags::read_only, unsigned mode = file::default_mode) const
    {
        using action = detail::open_request;
        const loop_executor executor = get_executor();
        return make(detail::action_steps<file, action, detail::no_target>(
            {}, executor,
            action(executor, {&settings_.owner->context(), &settings_.owner->io(), settings_.owner}, std::move(path),
                   flags, mode)));
    }

    /// Closes a handle, and waits until nothing is in flight on it: that ends with operation_aborted. A closed handle
    /// succeeds. Ended early by nothing. Blocks the thread as long as close(2) does: SO_LINGER, files on a network.
    auto close(const handle& what) const { return make(detail::close_steps(what.core())); }
    auto close(const direct_stream& what) const { return make(detail::close_steps(what.core())); }

    /// Ends a stream's sending, its receiving, or both. What has been started is sent first. Does not wait, but for the
    /// ring, if it is a direct stream.
    auto shutdown(const stream& what, stream::shutdown_type which) const
    {
        return make(detail::shutdown_steps(what.core(), which));
    }
    auto shutdown(const direct_stream& what, stream::shutdown_type which) const
    {
        return make(detail::shutdown_steps(what.core(), which));
    }

    /// Waits for a time, from the moment that it is awaited.
    template <class Rep, class Period>
    auto sleep(const std::chrono::duration<Rep, Period>& time) const
    {
        using duration = clock::duration;
        const bool endless = std::chrono::duration<double>(time) >= std::chrono::duration<double>(duration::max());
        return make(detail::sleep_steps(endless ? duration::max() : std::chrono::ceil<duration>(time)));
    }

    /// Sends bytes of a file to a stream, a pipe or another file by sendfile(2): up to `count`, from `offset` on, or up
    /// to the file's end. Delivers the bytes, in any case those that were sent.
    ///
    /// In the blocking model with neither deadline nor token it is plain calls. In the green one, which has no
    /// asynchronous form of it, the loop's thread makes the calls, 1 MiB at a time (other fibers run in between), and
    /// waits for the storage where the file is not in memory; it never waits for the receiver. Where sendfile(2) is not
    /// to be had, or would wait for the receiver (a descriptor that was given to us without O_NONBLOCK; a deadline in
    /// the blocking model), the bytes are read and written, 64 KiB at a time. Nothing raises SIGPIPE on a stream.
    template <descriptor_handle H>
    auto send_file(const H& to, const file& from, std::uint64_t offset, std::size_t count) const
    {
        return make(
            detail::copy_steps(detail::copy_call::send_file, to.core(), from.core(), count, std::nullopt, offset));
    }

    /// Copies bytes from one file to another by copy_file_range(2), up to `count` or the end of the first: from and to
    /// the files' positions, which move, or offsets from their begins. Otherwise as send_file(); files that the
    /// kernel cannot copy between are read and written.
    auto copy_file_range(const file& from, const file& to, std::size_t count,
                         std::optional<std::uint64_t> from_offset = std::nullopt,
                         std::optional<std::uint64_t> to_offset = std::nullopt) const
    {
        return make(detail::copy_steps(detail::copy_call::copy_file_range, to.core(), from.core(), count, to_offset,
                                       from_offset));
    }

private:
    template <class Steps>
    io_operation<Steps> make(Steps&& steps) const
    {
        return io_operation<Steps>(settings_, [&]() -> Steps { return std::move(steps); });
    }

    template <class... B>
    static auto pieces(B&&... bytes)
    {
        return detail::held_pieces<detail::held<B>...>(detail::hold(std::forward<B>(bytes))...);
    }

    template <class S>
    static auto sequence(S&& buffers)
    {
        return detail::held_sequence<std::decay_t<S>>(std::forward<S>(buffers));
    }

    template <direction Way, detail::reach Reach, direction Place = Way, class Pieces>
    auto transfer(const descriptor_ptr& core, Pieces held, std::uint64_t offset = operation::current_position) const
    {
        using steps = detail::transfer_steps<Way, Reach, detail::handle_target<Place>, Pieces>;
        return io_operation<steps>(settings_, [&] { return steps(core, std::move(held), offset); });
    }

    template <class Duration>
    static clock::time_point after(const Duration& time)
    {
        const auto now = clock::now();
        if (std::chrono::duration<double>(time) >= std::chrono::duration<double>(clock::time_point::max() - now))
            return clock::time_point::max();
        return now + std::chrono::ceil<clock::duration>(time);
    }

    detail::settings settings_;
};

template <class>
auto detail::make_io(const settings& with)
{
    return io(with);
}

} // namespace zsync

// What is declared above, and has to be defined wherever it is used.
#include <zsync/io/async.hpp>
