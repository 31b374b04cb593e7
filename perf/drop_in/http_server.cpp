// SPDX-License-Identifier: BSL-1.0

// A keep-alive HTTP server of stock Boost.Beast, written after Beast's asynchronous example. `timeout=1` (the default)
// gives each read 30 seconds, as that does; `timeout=0` leaves the stream's timer alone.

#include "harness/context.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>

#include <chrono>
#include <memory>
#include <utility>

#include <unistd.h>

namespace
{

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;
using boost::system::error_code;

class session : public std::enable_shared_from_this<session>
{
public:
    session(tcp::socket socket, bool timeout) : stream_(std::move(socket)), timeout_(timeout) {}

    void read()
    {
        request_ = {};
        if (timeout_)
            stream_.expires_after(std::chrono::seconds(30));
        http::async_read(stream_, buffer_, request_,
                         [self = shared_from_this()](error_code ec, std::size_t)
                         {
                             if (!ec)
                                 self->write();
                         });
    }

private:
    void write()
    {
        response_ = {http::status::ok, request_.version()};
        response_.set(http::field::server, "zsync");
        response_.set(http::field::content_type, "text/plain");
        response_.keep_alive(request_.keep_alive());
        response_.body() = "Hello, world!";
        response_.prepare_payload();
        http::async_write(stream_, response_,
                          [self = shared_from_this()](error_code ec, std::size_t)
                          {
                              if (!ec && self->response_.keep_alive())
                                  self->read();
                          });
    }

    beast::tcp_stream stream_;
    beast::flat_buffer buffer_;
    http::request<http::string_body> request_;
    http::response<http::string_body> response_;
    bool timeout_;
};

void accept(tcp::acceptor& acceptor, std::uint64_t remaining, bool timeout)
{
    if (remaining == 0)
        return acceptor.close();
    acceptor.async_accept(
        [&acceptor, remaining, timeout](error_code ec, tcp::socket socket)
        {
            if (ec)
                throw boost::system::system_error(ec, "accept");
            socket.set_option(tcp::no_delay(true));
            std::make_shared<session>(std::move(socket), timeout)->read();
            accept(acceptor, remaining - 1, timeout);
        });
}

void serve(const perf::cell_arguments& arguments)
{
    const auto ctx = perf::make_context(arguments.text("mode", "default"));
    tcp::acceptor acceptor(*ctx, {asio::ip::address_v4::loopback(), 0});
    perf::cell_line().add("port", acceptor.local_endpoint().port()).add("pid", ::getpid()).print();

    accept(acceptor, arguments.number("connections", 64), arguments.number("timeout", 1) != 0);
    ctx->run();

    perf::cell_line line;
    perf::describe_context(line, *ctx);
    line.print();
}

} // namespace

int main(int argc, char** argv)
{
    return perf::cell_main(argc, argv, serve);
}
