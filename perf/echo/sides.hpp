// SPDX-License-Identifier: BSL-1.0
#pragma once

// The two sides of the echo servers: zsync's own stream and acceptor on a fiber_context, Asio's on io_context(1). Both
// are for one thread in run(), and take posts from others.

#include "harness/context.hpp"

#include <boost/asio/ip/tcp.hpp>

#include <memory>

#include <unistd.h>

#ifndef PERF_PEER
#    include <zsync/fiber.hpp>
#    include <zsync/net.hpp>
#endif

namespace perf
{

#ifdef PERF_PEER

using loop_context = boost::asio::io_context;
using stream = boost::asio::ip::tcp::socket;
using acceptor = boost::asio::ip::tcp::acceptor;

inline std::unique_ptr<loop_context> make_loop()
{
    return make_context("hint-1");
}

inline boost::asio::ip::tcp::endpoint loopback()
{
    return {boost::asio::ip::address_v4::loopback(), 0};
}

#else

using loop_context = zsync::fiber_context;
using stream = zsync::stream;
using acceptor = zsync::acceptor;

inline std::unique_ptr<loop_context> make_loop()
{
    return std::make_unique<loop_context>();
}

inline zsync::endpoint loopback()
{
    return {"127.0.0.1", 0};
}

#endif

/// Tells the driver where the load is to go.
inline void say_hello(std::uint16_t port)
{
    cell_line().add("port", port).add("pid", ::getpid()).print();
}

} // namespace perf
