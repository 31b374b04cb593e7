// SPDX-License-Identifier: BSL-1.0
#pragma once

// A small HTTP/1.1 server: ordinary Boost.Asio and Boost.Beast, which takes an io_context& and knows of nothing else.
//
//   GET /        a greeting (HEAD, too)
//   POST /echo   its own body, up to 64 KiB
//
// SIGINT and SIGTERM stop it: it accepts no more, answers the requests it has, and then closes.

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>

#include <array>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <exception>
#include <iostream>
#include <memory>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

namespace example
{

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;
using namespace std::chrono_literals;

using request = http::request<http::string_body>;
using response = http::response<http::string_body>;

constexpr std::uint64_t body_limit = 64 * 1024;
constexpr auto token = asio::as_tuple(asio::use_awaitable); // an error is a value here, not an exception

inline response make_response(http::status status, unsigned version, bool keep_alive, std::string_view body)
{
    response made(status, version);
    made.keep_alive(keep_alive);
    made.set(http::field::content_type, "text/plain");
    made.body() = body;
    made.prepare_payload();
    return made;
}

/// Answers a request.
inline response answer(const request& asked)
{
    const auto make = [&](http::status status, std::string_view body)
    { return make_response(status, asked.version(), asked.keep_alive(), body); };
    const auto only = [&](std::string_view methods)
    {
        response made = make(http::status::method_not_allowed, "method not allowed\n");
        made.set(http::field::allow, methods);
        return made;
    };

    const auto path = asked.target().substr(0, asked.target().find('?'));
    if (path == "/")
    {
        if (asked.method() != http::verb::get && asked.method() != http::verb::head)
            return only("GET, HEAD");
        response made = make(http::status::ok, "Hello from Boost.Asio\n");
        if (asked.method() == http::verb::head)
            made.body().clear(); // Content-Length goes on telling how long it would be
        return made;
    }
    if (path == "/echo")
    {
        if (asked.method() != http::verb::post)
            return only("POST");
        response made = make(http::status::ok, asked.body());
        if (asked.count(http::field::content_type))
            made.set(http::field::content_type, asked[http::field::content_type]);
        return made;
    }
    return make(http::status::not_found, "not found\n");
}

/// Answers what could not be read as a request; nothing, if there is nobody to answer.
inline std::optional<response> refuse(error_code error)
{
    if (error.category() != make_error_code(http::error::end_of_stream).category() ||
        error == http::error::end_of_stream || error == http::error::partial_message)
        return {};
    const auto status = error == http::error::body_limit     ? http::status::payload_too_large
                        : error == http::error::header_limit ? http::status::request_header_fields_too_large
                                                             : http::status::bad_request;
    return make_response(status, 11, false, error.message() + "\n");
}

/// The server. One thread at a time may run its context. Its coroutines own it.
class http_server : public std::enable_shared_from_this<http_server>
{
public:
    /// Listens. @throws boost::system::system_error, if the port is taken for instance
    http_server(asio::io_context& ctx, std::uint16_t port, std::chrono::seconds timeout)
        : acceptor_(ctx, {asio::ip::address_v4::loopback(), port}), signals_(ctx, SIGINT, SIGTERM), timeout_(timeout)
    {
    }

    void start()
    {
        signals_.async_wait(
            [self = shared_from_this()](error_code error, int)
            {
                if (!error)
                    self->stop();
            });
        asio::co_spawn(acceptor_.get_executor(), accept(shared_from_this()), asio::detached);
    }

    void stop()
    {
        stopping_ = true;
        acceptor_.close();
        // What has arrived can still be read, and is answered; then come ends of stream.
        for (beast::tcp_stream* peer : peers_)
        {
            error_code ignored;
            peer->socket().shutdown(tcp::socket::shutdown_receive, ignored);
        }
    }

    std::uint16_t port() const { return acceptor_.local_endpoint().port(); }
    std::uint64_t answered() const { return answered_; }

private:
    class connection
    {
    public:
        connection(http_server& server, tcp::socket socket) : stream(std::move(socket)), server_(server)
        {
            server_.peers_.insert(&stream);
        }

        ~connection() { server_.peers_.erase(&stream); }
        connection(const connection&) = delete;
        connection& operator=(const connection&) = delete;

        beast::tcp_stream stream;

    private:
        http_server& server_;
    };

    static asio::awaitable<void> accept(std::shared_ptr<http_server> self)
    {
        while (!self->stopping_)
        {
            auto [error, socket] = co_await self->acceptor_.async_accept(token);
            if (self->stopping_)
                break;
            if (error)
            {
                // Out of descriptors, most likely; others may close theirs.
                asio::steady_timer pause(self->acceptor_.get_executor(), 100ms);
                co_await pause.async_wait(token);
                continue;
            }
            asio::co_spawn(self->acceptor_.get_executor(), serve(self, std::move(socket)), asio::detached);
        }
    }

    static asio::awaitable<void> serve(std::shared_ptr<http_server> self, tcp::socket socket)
    {
        connection peer(*self, std::move(socket));
        beast::tcp_stream& stream = peer.stream;
        beast::flat_buffer input;
        bool more = true;
        while (more)
        {
            http::request_parser<http::string_body> parser;
            parser.body_limit(body_limit);
            stream.expires_after(self->timeout_); // for a request and its answer
            const error_code error = co_await read(stream, input, parser);
            std::optional<response> made = error ? refuse(error) : answer(parser.get());
            if (!made)
                co_return;
            if (self->stopping_)
                made->keep_alive(false);
            const auto [write_error, bytes] = co_await http::async_write(stream, *made, token);
            if (write_error)
                co_return;
            ++self->answered_;
            more = made->keep_alive();
        }

        // To close a socket that has unread input resets the connection, and the client may lose the answer: so what
        // it still sends is read, within reason.
        error_code error;
        stream.socket().shutdown(tcp::socket::shutdown_send, error);
        stream.expires_after(2s);
        std::array<char, 4096> rest;
        for (std::size_t total = 0; !error && total < 16 * body_limit;)
        {
            std::size_t bytes = 0;
            std::tie(error, bytes) = co_await stream.async_read_some(asio::buffer(rest), token);
            total += bytes;
        }
    }

    static asio::awaitable<error_code> read(beast::tcp_stream& stream, beast::flat_buffer& input,
                                            http::request_parser<http::string_body>& parser)
    {
        const auto [header_error, header_bytes] = co_await http::async_read_header(stream, input, parser, token);
        if (header_error)
            co_return header_error;
        if (beast::iequals(parser.get()[http::field::expect], "100-continue"))
        {
            http::response<http::empty_body> go_on(http::status::continue_, parser.get().version());
            const auto [write_error, written] = co_await http::async_write(stream, go_on, token);
            if (write_error)
                co_return write_error;
        }
        const auto [body_error, body_bytes] = co_await http::async_read(stream, input, parser, token);
        co_return body_error;
    }

    tcp::acceptor acceptor_;
    asio::signal_set signals_;
    std::chrono::seconds timeout_;
    std::set<beast::tcp_stream*> peers_;
    std::uint64_t answered_ = 0;
    bool stopping_ = false;
};

template <class Number>
bool parse(std::string_view text, Number least, Number most, Number& number)
{
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc() && end == text.data() + text.size() && number >= least && number <= most;
}

/// Is the program: reads the command line and serves until a signal comes. Returns the exit code.
inline int run_http_server(asio::io_context& ctx, int argc, char** argv)
try
{
    unsigned port = 0;
    unsigned seconds = 30;
    if (argc < 2 || argc > 3 || !parse(argv[1], 0u, 65535u, port) ||
        (argc == 3 && !parse(argv[2], 1u, 86400u, seconds)))
    {
        std::cerr << "usage: " << argv[0] << " PORT [SECONDS]\n"
                  << "Serves HTTP on 127.0.0.1. PORT 0 takes a free one. A connection may take SECONDS (30) for a\n"
                     "request, and be idle as long.\n";
        return 2;
    }
    const auto server =
        std::make_shared<http_server>(ctx, static_cast<std::uint16_t>(port), std::chrono::seconds(seconds));
    server->start();
    std::cout << "listening on http://127.0.0.1:" << server->port() << "/" << std::endl;
    ctx.run();
    std::cout << "stopped after " << server->answered() << " requests" << std::endl;
    return 0;
}
catch (const std::exception& failure)
{
    std::cerr << argv[0] << ": " << failure.what() << "\n";
    return 1;
}

} // namespace example
