// SPDX-License-Identifier: BSL-1.0

// Fibers that read, each from a TCP connection where nothing comes, and are then cancelled: `count`, or as many as the
// hard limit of descriptors allows, both ends of each connection counted. engine=io_uring or epoll.

#include "waiting.hpp"

#include <zsync/io/io.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>

namespace
{

constexpr rlim_t other_descriptors = 64;

std::uint64_t most_connections()
{
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0)
        throw std::system_error(errno, std::system_category(), "getrlimit");
    limit.rlim_cur = limit.rlim_max;
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0)
        throw std::system_error(errno, std::system_category(), "setrlimit");
    return limit.rlim_max > other_descriptors ? (limit.rlim_max - other_descriptors) / 2 : 0;
}

int checked(int result, const char* what)
{
    if (result < 0)
        throw std::system_error(errno, std::system_category(), what);
    return result;
}

/// Connections of this process to itself. What they hold is the kernel's, not counted as resident.
class connections
{
public:
    explicit connections(std::uint64_t count)
    {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        auto* const name = reinterpret_cast<sockaddr*>(&address);
        const int listener = checked(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
        checked(::bind(listener, name, size), "bind");
        checked(::listen(listener, SOMAXCONN), "listen");
        checked(::getsockname(listener, name, &size), "getsockname");
        for (std::uint64_t n = 0; n != count; ++n)
        {
            quiet_.push_back(checked(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
            checked(::connect(quiet_.back(), name, size), "connect");
            served_.push_back(checked(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC), "accept"));
        }
        ::close(listener);
    }

    ~connections()
    {
        for (const int each : quiet_)
            ::close(each);
    }

    connections(const connections&) = delete;
    connections& operator=(const connections&) = delete;

    int served(std::uint64_t number) const { return served_[number]; }

private:
    std::vector<int> quiet_;
    std::vector<int> served_; // taken over by streams
};

void measure(const perf::cell_arguments& arguments)
{
    const std::uint64_t count = std::min(arguments.number("count", 9'000), most_connections());
    const connections all(count);
    zsync::fiber_options options;
    options.engine =
        arguments.text("engine", "io_uring") == "epoll" ? zsync::engine_kind::reactor : zsync::engine_kind::uring;
    zsync::fiber_context ctx(options);
    const zsync::io io(ctx);
    const auto make = [&](std::uint64_t number)
    {
        return [io, peer = zsync::stream(ctx.get_executor(), all.served(number))](boost::system::error_code& ec) mutable
        {
            std::array<char, 256> bytes;
            io.read(peer, bytes).await(ec);
        };
    };
    perf::cell_line line;
    perf::measure_waiting(ctx, count, make, line);
    line.add("connections", static_cast<double>(count)).print();
}

} // namespace

int main(int argc, char** argv)
{
    return perf::cell_main(argc, argv, measure);
}
