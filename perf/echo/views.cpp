// SPDX-License-Identifier: BSL-1.0

// The TCP echo server of callbacks.cpp on receive_many() and accept_many(): what arrives is sent back from the buffer
// in which it arrived.

#include "echo/sides.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/write.hpp>

#include <utility>

namespace
{

namespace asio = boost::asio;
using boost::system::error_code;

class session : public std::enable_shared_from_this<session>
{
public:
    explicit session(zsync::stream peer) : peer_(std::move(peer)), source_(peer_.receive_many()) {}

    void read()
    {
        source_.async_next(
            [self = shared_from_this()](error_code ec, zsync::buffer_view view)
            {
                if (ec)
                    return;
                self->view_ = std::move(view);
                self->write();
            });
    }

private:
    void write()
    {
        asio::async_write(peer_, asio::const_buffer(view_),
                          [self = shared_from_this()](error_code ec, std::size_t)
                          {
                              self->view_.reset();
                              if (!ec)
                                  self->read();
                          });
    }

    zsync::stream peer_;
    zsync::view_source source_;
    zsync::buffer_view view_;
};

void accept(zsync::connection_source& source, std::uint64_t remaining)
{
    if (remaining == 0)
        return source.stop();
    source.async_next(
        [&source, remaining](error_code ec, zsync::stream peer)
        {
            if (ec)
                throw boost::system::system_error(ec, "accept");
            peer.set_option(asio::ip::tcp::no_delay(true));
            std::make_shared<session>(std::move(peer))->read();
            accept(source, remaining - 1);
        });
}

void serve(const perf::cell_arguments& arguments)
{
    const std::uint64_t connections = arguments.number("connections", 64);
    // A buffer for each connection, and some for what has just been answered.
    perf::loop_context ctx({.receive_buffers = {.count = static_cast<unsigned>(2 * connections), .bytes = 4096}});
    zsync::acceptor acceptor(ctx, perf::loopback());
    perf::say_hello(acceptor.local_endpoint().port());
    auto source = acceptor.accept_many();
    accept(source, connections);
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
