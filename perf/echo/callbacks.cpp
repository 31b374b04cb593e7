// SPDX-License-Identifier: BSL-1.0

// A TCP echo server of callbacks, as Asio's tutorials write it. Serves `connections` connections, then ends.

#include "echo/sides.hpp"
#include "harness/allocations.hpp"

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
    session(perf::stream peer, perf::allocation_window& window) : peer_(std::move(peer)), window_(window) {}

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
                              self->window_.served();
                              if (!ec)
                                  self->read();
                          });
    }

    perf::stream peer_;
    perf::allocation_window& window_;
    std::array<char, 4096> data_;
};

void accept(perf::acceptor& acceptor, perf::allocation_window& window, std::uint64_t remaining)
{
    if (remaining == 0)
        return acceptor.close();
    acceptor.async_accept(
        [&acceptor, &window, remaining](error_code ec, perf::stream peer)
        {
            if (ec)
                throw boost::system::system_error(ec, "accept");
            peer.set_option(asio::ip::tcp::no_delay(true));
            std::make_shared<session>(std::move(peer), window)->read();
            accept(acceptor, window, remaining - 1);
        });
}

void serve(const perf::cell_arguments& arguments)
{
    const auto ctx = perf::make_loop();
    perf::acceptor acceptor(*ctx, perf::loopback());
    perf::say_hello(acceptor.local_endpoint().port());

    perf::allocation_window window(arguments);
    accept(acceptor, window, arguments.number("connections", 64));
    ctx->run();

    perf::cell_line line;
    perf::describe_context(line, *ctx);
    window.describe(line, 2);
    line.print();
}

} // namespace

int main(int argc, char** argv)
{
    return perf::cell_main(argc, argv, serve);
}
