// SPDX-License-Identifier: BSL-1.0

// Keeps values under keys for clients that speak the protocol of Redis: `kv_server 6379`, then `redis-cli` or
// `redis-benchmark -t ping,set,get,incr`. PING, GET, SET, DEL and INCR; a fiber for each connection. The parts:
// kv/request_parser.hpp (bytes to requests), kv/store.hpp, kv/commands.hpp (requests to answers), kv/session.hpp (I/O).

#include "allocations.hpp"
#include "fiber_server.hpp"
#include "kv/session.hpp"

#include <cstdint>
#include <iostream>

int main(int argc, char** argv)
{
    kv::store values;
    std::uint64_t requests = 0;
    const auto serve = [&](zsync::io io, zsync::io idle, zsync::stream& peer)
    { kv::serve(io, idle, peer, values, requests); };
    const auto goodbye = [&]
    { std::cout << "stopped after " << requests << " requests, " << allocations() << " allocations" << std::endl; };
    return fiber_server::main(argc, argv, "Keeps values under keys, for redis-cli and its like,", serve, goodbye);
}
