// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/buffer_view.hpp>
#include <zsync/net/datagram_batch.hpp>
#include <zsync/net/receive_options.hpp>
#include <zsync/net/socket.hpp>
#include <zsync/net/source.hpp>

#include <boost/asio/basic_datagram_socket.hpp>
#include <boost/asio/buffer.hpp>

#include <cstddef>
#include <cstdint>
#include <tuple>
#include <utility>

namespace zsync
{

namespace detail
{

/// One sendmsg(2) or recvmsg(2) of a datagram, as an Action. What is received must not exceed the buffers: the kernel
/// drops the rest.
template <direction Way, class Buffers>
class datagram_transfer
{
public:
    static constexpr direction way = Way;

    /// `sender`, where it is wanted, receives the peer's endpoint.
    datagram_transfer(const Buffers& buffers, int flags, const endpoint& peer, endpoint* sender = nullptr)
        : buffers_(buffers), flags_(flags), peer_(peer), sender_(sender)
    {
    }

    bool describe(operation& record) noexcept
    {
        bool many = false;
        kernel_.describe(buffers_, record, many);
        if (many)
        {
            message_.msg_iov = static_cast<iovec*>(record.address);
            message_.msg_iovlen = record.length;
        }
        else
        {
            one_ = {record.address, record.length};
            message_.msg_iov = &one_;
            message_.msg_iovlen = 1;
        }
        if (sender_ || peer_.size() != 0)
        {
            message_.msg_name = peer_.data();
            message_.msg_namelen = static_cast<socklen_t>(sender_ ? endpoint::capacity() : peer_.size());
        }
        record.address = &message_;
        record.length = 1;
        record.code = Way == direction::in ? opcode::receive_message : opcode::send_message;
        record.flags = static_cast<std::uint32_t>(flags_) | (Way == direction::in ? 0 : MSG_NOSIGNAL);
        return true;
    }

    std::tuple<boost::system::error_code, std::size_t> outcome(const operation& record) noexcept
    {
        if (record.result < 0)
            return {record_error(record), 0};
        if (sender_)
        {
            *peer_.size_address() = message_.msg_namelen; // not above the capacity: no family has longer ones
            *sender_ = peer_;
        }
        return {boost::system::error_code(), static_cast<std::size_t>(record.result)};
    }

private:
    Buffers buffers_;
    int flags_;
    endpoint peer_;
    endpoint* sender_;
    msghdr message_{};
    iovec one_{};
    [[no_unique_address]] kernel_buffers<Buffers> kernel_;
};

/// The same with control data: the length of the datagrams that the kernel is to make, or has put together.
template <direction Way, class Buffers>
class segments_transfer
{
public:
    static constexpr direction way = Way;

    segments_transfer(const Buffers& buffers, const endpoint& peer, endpoint* sender, std::uint16_t segment_bytes)
        : transfer_(buffers, 0, peer, sender), segment_bytes_(segment_bytes)
    {
    }

    bool describe(operation& record) noexcept
    {
        transfer_.describe(record);
        auto& message = *static_cast<msghdr*>(record.address);
        if constexpr (Way == direction::in)
        {
            message.msg_control = control_;
            message.msg_controllen = sizeof control_;
        }
        else
            request_segments(message, control_, segment_bytes_);
        return true;
    }

    auto outcome(const operation& record) noexcept
    {
        const auto [ec, bytes] = transfer_.outcome(record);
        if constexpr (Way == direction::in)
            return std::tuple(ec, bytes, ec ? 0 : segment_bytes_of(*static_cast<const msghdr*>(record.address)));
        else
            return std::tuple(ec, bytes);
    }

private:
    datagram_transfer<Way, Buffers> transfer_;
    std::uint16_t segment_bytes_;
    alignas(cmsghdr) char control_[CMSG_SPACE(sizeof(int))]{};
};

/// sendmmsg(2) or recvmmsg(2), as an Action.
template <direction Way>
class batch_transfer
{
public:
    static constexpr direction way = Way;
    explicit batch_transfer(datagram_batch& batch) noexcept : batch_(&batch) {}

    bool describe(operation& record) noexcept
    {
        record.code = Way == direction::in ? opcode::receive_messages : opcode::send_messages;
        record.address = batch_->headers(Way == direction::in);
        record.length = static_cast<std::uint32_t>(batch_->size());
        record.flags = Way == direction::in ? 0 : MSG_NOSIGNAL;
        return record.length != 0;
    }

    std::tuple<boost::system::error_code, std::size_t> outcome(const operation& record) noexcept
    {
        if (record.result < 0)
            return {record_error(record), 0};
        const auto count = static_cast<std::size_t>(record.result);
        if constexpr (Way == direction::in)
            batch_->finish_receive(count);
        return {boost::system::error_code(), count};
    }

private:
    datagram_batch* batch_;
};

} // namespace detail

/// A datagram that a source has received: see datagram::receive_many().
struct received_datagram
{
    buffer_view data;
    endpoint sender;
    std::size_t segment_bytes = 0; ///< several were put together, of so many bytes each but for the last; 0: it is one
    bool truncated = false;        ///< it was longer than its buffer
};

namespace detail
{

/// A buffer in which the kernel has left a datagram and what it tells of it.
struct datagram_maker
{
    using value_type = received_datagram;

    std::tuple<boost::system::error_code, received_datagram> operator()(const source_core& core,
                                                                        const source_item& item) const noexcept;
};

} // namespace detail

using datagram_source = source<detail::datagram_maker>;

/// A datagram socket, UDP or local. See stream for what holds of every operation; there is no end of the stream, and
/// datagrams of no bytes are sent and received like others. One datagram takes up to 16 buffers: a longer sequence is
/// cut there.
class datagram : public socket
{
public:
    /// Closed; async_connect() opens it.
    explicit datagram(const executor_type& executor) noexcept : socket(executor) {}

    template <executing_context Context>
    explicit datagram(Context& context) : socket(executor_type(context.get_executor()))
    {
    }

    /// Opens and binds. @throws boost::system::system_error
    datagram(const executor_type& executor, const endpoint& local) : socket(executor)
    {
        open(local.family());
        bind(local);
    }

    template <executing_context Context>
    datagram(Context& context, const endpoint& local) : datagram(executor_type(context.get_executor()), local)
    {
    }

    /// Takes over a descriptor, as assign(). @throws boost::system::system_error
    datagram(const executor_type& executor, native_handle_type descriptor) : socket(executor) { assign(descriptor); }

    /// For the library's own layers.
    datagram(const executor_type& executor, descriptor_ptr core) noexcept : socket(executor, std::move(core)) {}

    /// Takes over what an Asio socket has. @throws boost::system::system_error; it is closed then.
    template <class Protocol, class Executor>
    explicit datagram(boost::asio::basic_datagram_socket<Protocol, Executor>&& other)
        : socket(executor_type(other.get_executor()))
    {
        take_over(other.release());
    }

    /// Opens a socket for an address family, in the place of the one before.
    void open(int family);
    void open(int family, boost::system::error_code& ec) { open_as(family, SOCK_DGRAM, ec); }

    /// Sets where async_send() sends to and from where async_receive() receives. Signature: void(error_code).
    template <boost::asio::completion_token_for<void(boost::system::error_code)> Token>
    auto async_connect(const endpoint& peer, Token&& token)
    {
        return connect_as(SOCK_DGRAM, peer, std::forward<Token>(token));
    }

    /// Sends one datagram. Signature of this and the following: void(error_code, std::size_t bytes).
    template <class Buffers, boost::asio::completion_token_for<void(boost::system::error_code, std::size_t)> Token>
    requires boost::asio::is_const_buffer_sequence<Buffers>::value auto
    async_send_to(const Buffers& buffers, const endpoint& peer, Token&& token)
    {
        return transfer<direction::out>(buffers, peer, nullptr, std::forward<Token>(token));
    }

    /// Receives one datagram; `sender` is written before the handler is called, and must live until then.
    template <class Buffers, boost::asio::completion_token_for<void(boost::system::error_code, std::size_t)> Token>
    requires boost::asio::is_mutable_buffer_sequence<Buffers>::value auto
    async_receive_from(const Buffers& buffers, endpoint& sender, Token&& token)
    {
        return transfer<direction::in>(buffers, endpoint(), &sender, std::forward<Token>(token));
    }

    /// Sends one datagram to the connected peer.
    template <class Buffers, boost::asio::completion_token_for<void(boost::system::error_code, std::size_t)> Token>
    requires boost::asio::is_const_buffer_sequence<Buffers>::value auto async_send(const Buffers& buffers,
                                                                                   Token&& token)
    {
        return transfer<direction::out>(buffers, endpoint(), nullptr, std::forward<Token>(token));
    }

    /// Receives one datagram.
    template <class Buffers, boost::asio::completion_token_for<void(boost::system::error_code, std::size_t)> Token>
    requires boost::asio::is_mutable_buffer_sequence<Buffers>::value auto async_receive(const Buffers& buffers,
                                                                                        Token&& token)
    {
        return transfer<direction::in>(buffers, endpoint(), nullptr, std::forward<Token>(token));
    }

    /// Sends several datagrams by one call: the kernel cuts the data into pieces of `segment_bytes`, the last may be
    /// shorter; at most 64 and 65507 bytes (UDP_SEGMENT, Linux 4.18). To the connected peer if `peer` is empty. Errors
    /// beside those of async_send(): invalid_argument or message_size for too many or too long ones. Signature:
    /// void(error_code, std::size_t bytes).
    template <class Buffers, boost::asio::completion_token_for<void(boost::system::error_code, std::size_t)> Token>
    requires boost::asio::is_const_buffer_sequence<Buffers>::value auto
    async_send_segments(const Buffers& buffers, std::uint16_t segment_bytes, const endpoint& peer, Token&& token)
    {
        return start<void(boost::system::error_code, std::size_t)>(
            std::forward<Token>(token),
            detail::segments_transfer<direction::out, Buffers>(buffers, peer, nullptr, segment_bytes));
    }

    /// Lets the kernel put datagrams of one sender together, up to 64 KiB (UDP_GRO, Linux 5.0): to be received by
    /// async_receive_segments(), by batches or by receive_many(), which tell where one ends. Never blocks.
    void set_receive_coalescing(bool on);
    void set_receive_coalescing(bool on, boost::system::error_code& ec) noexcept;

    /// Receives one datagram, or several that were put together: then of `segment_bytes` each, but for the last. Else
    /// that is 0. Signature: void(error_code, std::size_t bytes, std::size_t segment_bytes). See async_receive_from().
    template <class Buffers,
              boost::asio::completion_token_for<void(boost::system::error_code, std::size_t, std::size_t)> Token>
    requires boost::asio::is_mutable_buffer_sequence<Buffers>::value auto
    async_receive_segments(const Buffers& buffers, endpoint& sender, Token&& token)
    {
        return start<void(boost::system::error_code, std::size_t, std::size_t)>(
            std::forward<Token>(token),
            detail::segments_transfer<direction::in, Buffers>(buffers, endpoint(), &sender, 0));
    }

    /// Sends what is in the batch, by one system call, as much as there is room for: at least one, if there is one.
    /// Signature: void(error_code, std::size_t datagrams). An error is that of the first one.
    template <boost::asio::completion_token_for<void(boost::system::error_code, std::size_t)> Token>
    auto async_send_batch(datagram_batch& batch, Token&& token)
    {
        return start<void(boost::system::error_code, std::size_t)>(std::forward<Token>(token),
                                                                   detail::batch_transfer<direction::out>(batch));
    }

    /// Receives the datagrams that are there, by one system call; waits for one. Signature: void(error_code,
    /// std::size_t datagrams).
    template <boost::asio::completion_token_for<void(boost::system::error_code, std::size_t)> Token>
    auto async_receive_batch(datagram_batch& batch, Token&& token)
    {
        return start<void(boost::system::error_code, std::size_t)>(std::forward<Token>(token),
                                                                   detail::batch_transfer<direction::in>(batch));
    }

    /// Receives by one operation, into buffers of a pool: as stream::receive_many(). Of each buffer, 168 bytes are for
    /// the sender and what the kernel tells; a longer datagram than what remains is cut. There is no end.
    /// @throws std::bad_alloc
    datagram_source receive_many(const receive_options& options = {});

    /// Says whether receive_many() can work. Never blocks.
    bool supports_receive_many() const noexcept
    {
        return is_open() && core()->io().supports(opcode::receive_message_many);
    }

private:
    template <direction Way, class Buffers, class Token>
    auto transfer(const Buffers& buffers, const endpoint& peer, endpoint* sender, Token&& token)
    {
        return start<void(boost::system::error_code, std::size_t)>(
            std::forward<Token>(token), detail::datagram_transfer<Way, Buffers>(buffers, 0, peer, sender));
    }

    void take_over(int descriptor);
};

} // namespace zsync
