// SPDX-License-Identifier: BSL-1.0
// The part of a program that may be compiled without <zsync/drop_in.hpp>.
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <string_view>

bool make_elsewhere(boost::asio::io_context& ctx, std::string_view)
{
    return boost::asio::ip::tcp::socket(ctx, boost::asio::ip::tcp::v4()).is_open();
}
