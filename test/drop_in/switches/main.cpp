// SPDX-License-Identifier: BSL-1.0
// A program that sets switches of Asio which the library was not compiled with.
#include <zsync.hpp>

#include <boost/asio.hpp>
#ifdef BOOST_ASIO_SEPARATE_COMPILATION
#    include <boost/asio/impl/src.hpp>
#endif

#include <array>
#include <chrono>
#include <iostream>

namespace asio = boost::asio;
using asio::ip::tcp;

int main()
{
    zsync::uring_context ctx;
    tcp::acceptor listener(ctx, {asio::ip::address_v4::loopback(), 0});
    tcp::socket client(ctx);
    asio::steady_timer timer(ctx, std::chrono::milliseconds(1));
    int done = 0;
    timer.async_wait([&](boost::system::error_code ec) { done += !ec; });
    listener.async_accept([&](boost::system::error_code ec, tcp::socket) { done += !ec; });
    client.async_connect(listener.local_endpoint(), [&](boost::system::error_code ec) { done += !ec; });
    ctx.run();

    zsync::fiber_context fibers;
    zsync::spawn(fibers,
                 [&]
                 {
                     asio::steady_timer pause(fibers, std::chrono::milliseconds(1));
                     pause.async_wait(zsync::use_await);
                     ++done;
                 },
                 asio::detached);
    fibers.run();
    if (done == 4)
        std::cout << "all parts of this program agree\n";
    return done == 4 ? 0 : 1;
}
