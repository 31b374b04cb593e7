// SPDX-License-Identifier: BSL-1.0
// A shared library that is compiled without <zsync/drop_in.hpp>, and makes one object of the kind that it is asked for.
#include <boost/asio.hpp>

#include <string_view>

namespace asio = boost::asio;

[[gnu::visibility("default")]] bool make_elsewhere(asio::io_context& ctx, std::string_view kind)
{
    if (kind == "tcp")
        asio::ip::tcp::socket made(ctx);
    else if (kind == "udp")
        asio::ip::udp::socket made(ctx);
    else if (kind == "icmp")
        asio::ip::icmp::socket made(ctx);
    else if (kind == "local")
        asio::local::stream_protocol::socket made(ctx);
    else if (kind == "local datagram")
        asio::local::datagram_protocol::socket made(ctx);
    else if (kind == "generic")
        asio::generic::stream_protocol::socket made(ctx);
    else if (kind == "generic datagram")
        asio::generic::datagram_protocol::socket made(ctx);
    else if (kind == "generic packets")
        asio::generic::seq_packet_protocol::socket made(ctx);
    else if (kind == "generic raw")
        asio::generic::raw_protocol::socket made(ctx);
    else if (kind == "descriptor")
        asio::posix::stream_descriptor made(ctx);
    else if (kind == "pipe")
        asio::readable_pipe made(ctx);
    else if (kind == "steady_timer")
        asio::steady_timer made(ctx);
    else if (kind == "system_timer")
        asio::system_timer made(ctx);
    else if (kind == "deadline_timer")
        asio::deadline_timer made(ctx);
    else
        return kind == "nothing";
    return true;
}
