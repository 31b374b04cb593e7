// SPDX-License-Identifier: BSL-1.0
#pragma once

// Asio's own services behind the objects that <zsync/drop_in.hpp> makes native. With that header nothing asks for them.

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/local/datagram_protocol.hpp>
#include <boost/asio/local/stream_protocol.hpp>

#include <boost/asio/detail/chrono_time_traits.hpp>
#include <boost/asio/detail/deadline_timer_service.hpp>
#include <boost/asio/detail/reactive_socket_service.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/wait_traits.hpp>

#include <chrono>

namespace zsync::detail
{

template <class Clock>
using standard_timer_service = boost::asio::detail::deadline_timer_service<
    boost::asio::detail::chrono_time_traits<Clock, boost::asio::wait_traits<Clock>>>;

/// Returns the name of a kind of object that was made on the context without <zsync/drop_in.hpp>, else null.
inline const char* foreign_object(boost::asio::execution_context& context)
{
    using boost::asio::has_service;
    using boost::asio::detail::reactive_socket_service;
    if (has_service<reactive_socket_service<boost::asio::ip::tcp>>(context))
        return "a socket or acceptor of asio::ip::tcp";
    if (has_service<reactive_socket_service<boost::asio::local::stream_protocol>>(context))
        return "a socket or acceptor of asio::local::stream_protocol";
    if (has_service<reactive_socket_service<boost::asio::generic::stream_protocol>>(context))
        return "a socket of asio::generic::stream_protocol";
    if (has_service<reactive_socket_service<boost::asio::ip::udp>>(context))
        return "a socket of asio::ip::udp";
    if (has_service<reactive_socket_service<boost::asio::local::datagram_protocol>>(context))
        return "a socket of asio::local::datagram_protocol";
    if (has_service<standard_timer_service<std::chrono::steady_clock>>(context))
        return "a steady_timer";
    if (has_service<standard_timer_service<std::chrono::system_clock>>(context))
        return "a system_timer";
    return nullptr;
}

} // namespace zsync::detail
