// SPDX-License-Identifier: BSL-1.0

// The TCP echo server of callbacks.cpp, its connections in the ring's own table of files.

#include "echo/sides.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/write.hpp>

#include <array>
#include <utility>

namespace
{

namespace asio = boost::asio;
using boost::system::error_code;

class session : public std::enable_shared_from_this<session>
{
public:
    explicit session(zsync::direct_stream peer) : peer_(std::move(peer)) {}

    void read()
    {
        peer_.async_read_some(asio::buffer(data_),
                              [self = shared_from_this()](error_code ec, std::size_t n)
                              {
                                  if (!ec)
                                      self->write(n);
                              });
    }

private:
    void write(std::size_t n)
    {
        asio::async_write(peer_, asio::buffer(data_, n),
                          [self = shared_from_this()](error_code ec, std::size_t)
                          {
                              if (!ec)
                                  self->read();
                          });
    }

    zsync::direct_stream peer_;
    std::array<char, 4096> data_;
};

void accept(zsync::acceptor& acceptor, std::uint64_t remaining)
{
    if (remaining == 0)
        return acceptor.close();
    acceptor.async_accept_direct(
        [&acceptor, remaining](error_code ec, zsync::direct_stream peer)
        {
            if (ec)
                throw boost::system::system_error(ec, "accept");
            if (!peer.is_direct())
                throw std::runtime_error("no place in the table");
            std::make_shared<session>(std::move(peer))->read();
            accept(acceptor, remaining - 1);
        });
}

void serve(const perf::cell_arguments& arguments)
{
    const std::uint64_t connections = arguments.number("connections", 64);
    perf::loop_context ctx({.direct_descriptors = static_cast<unsigned>(connections + 1)});
    zsync::acceptor acceptor(ctx, perf::loopback());
    acceptor.set_option(asio::ip::tcp::no_delay(true)); // inherited
    perf::say_hello(acceptor.local_endpoint().port());
    accept(acceptor, connections);
    ctx.run();

    perf::cell_line line;
    perf::describe_context(line, ctx);
    line.print();
}

} // namespace

int main(int argc, char** argv)
{
    return perf::cell_main(argc, argv, serve);
}
