// SPDX-License-Identifier: BSL-1.0
// The part of a program that is compiled with <zsync/drop_in.hpp>. Without a ring it succeeds: nothing is native there.
#include <zsync/uring/uring_context.hpp>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>

#include <iostream>
#include <string_view>

bool make_elsewhere(boost::asio::io_context& ctx, std::string_view kind);

/// The argument is the kind of object that the other part is to make; without one, that is a TCP socket.
int main(int argc, char** argv)
{
    zsync::uring_context ctx;
    boost::asio::ip::tcp::socket here(ctx, boost::asio::ip::tcp::v4());
    if (!here.is_open() || !make_elsewhere(ctx, argc > 1 ? argv[1] : "tcp"))
        return 1;
    here.async_wait(boost::asio::socket_base::wait_write, [](boost::system::error_code) {});
    ctx.run();
    std::cout << "all parts of this program agree"
              << (ctx.engine() == zsync::engine_kind::uring ? "\n" : ", without a ring\n");
}
