// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/transfer.hpp>
#include <zsync/engine/handle.hpp>

#include <boost/asio/async_result.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/socket_base.hpp>
#include <boost/system/error_code.hpp>

#include <concepts>
#include <cstddef>
#include <utility>

namespace zsync::detail
{

/// The transfers of a connection, for stream and direct_stream: a Handle that has them besides its own. See stream for
/// what holds of every one.
template <std::derived_from<handle> Handle>
class stream_transfers : public Handle
{
public:
    /// Receives what there is, at least one byte. Signature: void(error_code, std::size_t bytes).
    template <class Buffers, boost::asio::completion_token_for<void(boost::system::error_code, std::size_t)> Token>
    requires boost::asio::is_mutable_buffer_sequence<Buffers>::value auto async_read_some(const Buffers& buffers,
                                                                                          Token&& token)
    {
        return async_receive(buffers, 0, std::forward<Token>(token));
    }

    /// Sends what there is room for, at least one byte. Signature: void(error_code, std::size_t bytes).
    template <class Buffers, boost::asio::completion_token_for<void(boost::system::error_code, std::size_t)> Token>
    requires boost::asio::is_const_buffer_sequence<Buffers>::value auto async_write_some(const Buffers& buffers,
                                                                                         Token&& token)
    {
        return async_send(buffers, 0, std::forward<Token>(token));
    }

    /// The same with the MSG_ flags of recv(2) and send(2).
    template <class Buffers, boost::asio::completion_token_for<void(boost::system::error_code, std::size_t)> Token>
    requires boost::asio::is_mutable_buffer_sequence<Buffers>::value auto
    async_receive(const Buffers& buffers, boost::asio::socket_base::message_flags flags, Token&& token)
    {
        const bool local = this->core() && this->core()->kind() == descriptor_kind::local_socket;
        return this->template start<void(boost::system::error_code, std::size_t)>(
            std::forward<Token>(token), stream_transfer<direction::in, Buffers>(buffers, flags, local));
    }

    template <class Buffers, boost::asio::completion_token_for<void(boost::system::error_code, std::size_t)> Token>
    requires boost::asio::is_const_buffer_sequence<Buffers>::value auto
    async_send(const Buffers& buffers, boost::asio::socket_base::message_flags flags, Token&& token)
    {
        return this->template start<void(boost::system::error_code, std::size_t)>(
            std::forward<Token>(token),
            stream_transfer<direction::out, Buffers>(buffers, flags, false, zero_copy_from_));
    }

protected:
    using Handle::Handle;

    std::size_t zero_copy_from_ = most_transfer_bytes + 1; // never, until stream::zero_copy_from()
};

} // namespace zsync::detail
