// SPDX-License-Identifier: BSL-1.0
#include <zsync/uring.hpp>

#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <iostream>

int main()
{
    zsync::uring_context ctx;
    bool fired = false;
    boost::asio::steady_timer timer(ctx, std::chrono::milliseconds(10));
    timer.async_wait([&](boost::system::error_code ec) { fired = !ec; });
    ctx.run();
    std::cout << "engine: " << zsync::to_string(ctx.engine()) << "\n";
    return fired ? 0 : 1;
}
