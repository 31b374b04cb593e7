// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/net/socket.hpp>

#include <boost/asio/basic_datagram_socket.hpp>
#include <boost/asio/buffer.hpp>

#include <cstddef>
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

} // namespace detail

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
