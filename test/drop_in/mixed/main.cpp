// SPDX-License-Identifier: BSL-1.0
// The part of a program that is compiled with <zsync/drop_in.hpp>. Without a ring it succeeds: nothing is native there.
#include <zsync/uring/uring_context.hpp>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>

#include <iostream>

bool open_elsewhere(boost::asio::io_context& ctx);

int main()
{
    zsync::uring_context ctx;
    boost::asio::ip::tcp::socket here(ctx, boost::asio::ip::tcp::v4());
    if (!here.is_open() || !open_elsewhere(ctx))
        return 1;
    here.async_wait(boost::asio::socket_base::wait_write, [](boost::system::error_code) {});
    ctx.run();
    std::cout << "all parts of this program agree\n";
}
