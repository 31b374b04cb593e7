// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/transfer.hpp>
#include <zsync/engine/handle.hpp>
#include <zsync/net/endpoint.hpp>

#include <boost/asio/socket_base.hpp>

#include <cstddef>
#include <string_view>
#include <utility>

namespace zsync
{

namespace detail
{

/// connect(2), as an Action.
class connect_request
{
public:
    static constexpr direction way = direction::none;
    explicit connect_request(const endpoint& peer) noexcept : peer_(peer) {}

    bool describe(operation& record) noexcept
    {
        record.code = opcode::connect;
        record.address = peer_.data();
        record.length = static_cast<std::uint32_t>(peer_.size());
        return true;
    }

    static std::tuple<boost::system::error_code> outcome(const operation& record) noexcept
    {
        return {record_error(record)};
    }

private:
    endpoint peer_;
};

} // namespace detail

/// What stream, acceptor and datagram have in common. Functions without `async_` are single system calls: none waits
/// for the peer.
///
/// Each that can fail comes twice, as in Asio: with an error_code, or throwing boost::system::system_error.
class socket : public handle, public boost::asio::socket_base
{
public:
    endpoint local_endpoint() const;
    endpoint local_endpoint(boost::system::error_code& ec) const noexcept;

    /// Errors: not_connected.
    endpoint remote_endpoint() const;
    endpoint remote_endpoint(boost::system::error_code& ec) const noexcept;

    void bind(const endpoint& local);
    void bind(const endpoint& local, boost::system::error_code& ec) noexcept;

    /// Returns how many bytes can be received without waiting.
    std::size_t available() const;
    std::size_t available(boost::system::error_code& ec) const noexcept;

    /// Sets any of Asio's socket options: socket_base's, ip::tcp::no_delay, ip::multicast's, ...
    template <class Option>
    void set_option(const Option& option)
    {
        boost::system::error_code ec;
        set_option(option, ec);
        throw_if(ec, "set_option");
    }

    template <class Option>
    void set_option(const Option& option, boost::system::error_code& ec) noexcept
    {
        const some_protocol protocol{family()};
        set_raw_option(option.level(protocol), option.name(protocol), option.data(protocol), option.size(protocol), ec);
    }

    template <class Option>
    void get_option(Option& option) const
    {
        boost::system::error_code ec;
        get_option(option, ec);
        throw_if(ec, "get_option");
    }

    template <class Option>
    void get_option(Option& option, boost::system::error_code& ec) const
    {
        const some_protocol protocol{family()};
        std::size_t size = option.size(protocol);
        get_raw_option(option.level(protocol), option.name(protocol), option.data(protocol), size, ec);
        if (!ec)
            option.resize(protocol, size);
    }

    /// Waits until the socket is ready to be read or written, or has an error. Any number at a time. On the blocking
    /// engine it blocks the initiating thread. Signature: void(error_code). Cancellation: all types.
    template <boost::asio::completion_token_for<void(boost::system::error_code)> Token>
    auto async_wait(wait_type what, Token&& token)
    {
        return start<void(boost::system::error_code)>(std::forward<Token>(token),
                                                      detail::poll_request(events_of(what)));
    }

protected:
    using handle::handle;
    socket() noexcept = default;
    ~socket() = default;
    socket(socket&&) noexcept = default;
    socket& operator=(socket&&) noexcept = default;

    // Enough of a Protocol for what options ask.
    struct some_protocol
    {
        int value;
        int family() const noexcept { return value; }
    };

    static void throw_if(const boost::system::error_code& ec, const char* what);
    static std::uint32_t events_of(wait_type what) noexcept;

    /// Opens a socket in the place of the one before, if any.
    void open_as(int family, int type, boost::system::error_code& ec);

    /// Opens one unless there is one, and connects it.
    template <class Token>
    auto connect_as(int type, const endpoint& peer, Token&& token)
    {
        boost::system::error_code ec;
        if (!is_open())
            open_as(peer.family(), type, ec);
        return boost::asio::async_initiate<Token, void(boost::system::error_code)>(
            detail::operation_initiation(get_executor(), core(), ec.value()), token, detail::connect_request(peer));
    }

    int family() const noexcept;

private:
    void set_raw_option(int level, int name, const void* data, std::size_t size,
                        boost::system::error_code& ec) noexcept;
    void get_raw_option(int level, int name, void* data, std::size_t& size,
                        boost::system::error_code& ec) const noexcept;
};

} // namespace zsync
