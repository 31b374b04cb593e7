// SPDX-License-Identifier: BSL-1.0
#pragma once

// Asio's own services behind the objects that <zsync/drop_in.hpp> makes native. With that header nothing asks for them.

#include <boost/asio/generic/datagram_protocol.hpp>
#include <boost/asio/generic/raw_protocol.hpp>
#include <boost/asio/generic/seq_packet_protocol.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/icmp.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/local/datagram_protocol.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/time_traits.hpp>

#include <boost/asio/detail/chrono_time_traits.hpp>
#include <boost/asio/detail/deadline_timer_service.hpp>
#include <boost/asio/detail/reactive_descriptor_service.hpp>
#include <boost/asio/detail/reactive_socket_service.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/wait_traits.hpp>

#include <chrono>

namespace zsync::detail
{

template <class Clock>
using standard_timer_service = boost::asio::detail::deadline_timer_service<
    boost::asio::detail::chrono_time_traits<Clock, boost::asio::wait_traits<Clock>>>;

#ifdef BOOST_ASIO_HAS_BOOST_DATE_TIME
using posix_time_timer_service =
    boost::asio::detail::deadline_timer_service<boost::asio::time_traits<boost::posix_time::ptime>>;
#endif

/// Returns the name of a kind of object that was made on the context without <zsync/drop_in.hpp>, else null. A protocol
/// or traits of a user's own have services of their own, which nobody else can name.
inline const char* foreign_object(boost::asio::execution_context& context)
{
    namespace asio = boost::asio;
    using asio::has_service;
    using asio::detail::reactive_socket_service;
    if (has_service<reactive_socket_service<asio::ip::tcp>>(context))
        return "a socket or acceptor of asio::ip::tcp";
    if (has_service<reactive_socket_service<asio::local::stream_protocol>>(context))
        return "a socket or acceptor of asio::local::stream_protocol";
    if (has_service<reactive_socket_service<asio::generic::stream_protocol>>(context))
        return "a socket of asio::generic::stream_protocol";
    if (has_service<reactive_socket_service<asio::ip::udp>>(context))
        return "a socket of asio::ip::udp";
    if (has_service<reactive_socket_service<asio::ip::icmp>>(context))
        return "a socket of asio::ip::icmp";
    if (has_service<reactive_socket_service<asio::local::datagram_protocol>>(context))
        return "a socket of asio::local::datagram_protocol";
    if (has_service<reactive_socket_service<asio::generic::datagram_protocol>>(context))
        return "a socket of asio::generic::datagram_protocol";
    if (has_service<reactive_socket_service<asio::generic::seq_packet_protocol>>(context))
        return "a socket or acceptor of asio::generic::seq_packet_protocol";
    if (has_service<reactive_socket_service<asio::generic::raw_protocol>>(context))
        return "a socket of asio::generic::raw_protocol";
    if (has_service<asio::detail::reactive_descriptor_service>(context))
        return "a descriptor or pipe";
    if (has_service<standard_timer_service<std::chrono::steady_clock>>(context))
        return "a steady_timer";
    if (has_service<standard_timer_service<std::chrono::system_clock>>(context))
        return "a system_timer";
#ifdef BOOST_ASIO_HAS_BOOST_DATE_TIME
    if (has_service<posix_time_timer_service>(context))
        return "a deadline_timer";
#endif
    return nullptr;
}

} // namespace zsync::detail
