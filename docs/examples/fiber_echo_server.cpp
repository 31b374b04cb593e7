// SPDX-License-Identifier: BSL-1.0

// Sends back whatever comes, a fiber for each connection: `fiber_echo_server 5000`, then `nc 127.0.0.1 5000`.

#include "allocations.hpp"
#include "fiber_server.hpp"

#include <array>
#include <cstdint>
#include <iostream>
#include <span>

int main(int argc, char** argv)
{
    std::uint64_t messages = 0;
    const auto echo = [&](zsync::io io, zsync::io idle, zsync::stream& peer)
    {
        std::array<char, 4096> data;
        while (const auto bytes = idle.read(peer, data).await())
        {
            io.write(peer, std::span(data).first(bytes)).await();
            ++messages;
        }
    };
    const auto goodbye = [&]
    { std::cout << "stopped after " << messages << " messages, " << allocations() << " allocations" << std::endl; };
    return fiber_server::main(argc, argv, "Echoes", echo, goodbye);
}
