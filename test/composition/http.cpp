// SPDX-License-Identifier: BSL-1.0
// Beast's HTTP over beast::basic_stream on native sockets.
#include <zsync/drop_in.hpp>

#include "forms.hpp"

#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

namespace
{

using namespace test;
using asio::use_awaitable;
namespace beast = boost::beast;
namespace http = beast::http;

template <class Executor>
using stream_of = beast::basic_stream<tcp, Executor>;

/// Answers each request with its own body, in chunks, until the client closes.
template <class Stream>
asio::awaitable<void> serve(Stream& stream)
{
    beast::flat_buffer buffer;
    for (int served = 0;; ++served)
    {
        http::request_parser<http::string_body> parser;
        parser.body_limit(boost::none);
        error_code error;
        stream.expires_after(context::watchdog);
        co_await http::async_read(stream, buffer, parser, asio::redirect_error(use_awaitable, error));
        if (error)
        {
            BOOST_TEST(error == error_code(http::error::end_of_stream));
            BOOST_TEST(served == 3);
            break;
        }
        http::response<http::string_body> response(http::status::ok, 11);
        response.set("X-Target", parser.get().target());
        response.body() = std::move(parser.get().body());
        response.chunked(true);
        response.keep_alive(parser.get().keep_alive());
        co_await http::async_write(stream, response, use_awaitable);
    }
    stream.socket().shutdown(tcp::socket::shutdown_send);
}

template <class Stream>
asio::awaitable<void> ask(Stream& stream)
{
    beast::flat_buffer buffer;
    for (const std::size_t size : {std::size_t(1), std::size_t(10), std::size_t(2'000'000)})
    {
        http::request<http::string_body> request(http::verb::post, "/" + std::to_string(size), 11);
        request.set(http::field::host, "test");
        request.body() = pattern(size);
        request.prepare_payload();
        stream.expires_after(context::watchdog);
        co_await http::async_write(stream, request, use_awaitable);

        http::response_parser<http::string_body> parser;
        parser.body_limit(boost::none);
        co_await http::async_read(stream, buffer, parser, use_awaitable);
        BOOST_TEST(parser.get().result() == http::status::ok);
        BOOST_TEST(parser.get()["X-Target"] == request.target());
        BOOST_TEST((parser.get().body() == request.body()));
    }
    stream.socket().shutdown(tcp::socket::shutdown_send);
    error_code error;
    char rest[1];
    co_await stream.async_read_some(asio::buffer(rest), asio::redirect_error(use_awaitable, error));
    BOOST_TEST(error == asio::error::eof);
}

} // namespace

BOOST_AUTO_TEST_SUITE(composition_http)

ON_ALL_FORMS(requests_of_one_connection_are_answered_in_chunks, Executor, under_test)
{
    connected<Executor> pair(under_test);
    stream_of<Executor> client(std::move(pair.client));
    stream_of<Executor> server(std::move(pair.server));
    run_together(under_test, serve(server), ask(client));
    under_test.check_native(20);
}

ON_ALL_FORMS(a_stream_that_expires_closes_and_says_timeout, Executor, under_test)
{
    connected<Executor> pair(under_test);
    stream_of<Executor> server(std::move(pair.server));
    beast::flat_buffer buffer;
    http::request<http::string_body> request;
    error_code told;
    server.expires_after(std::chrono::milliseconds(10));
    http::async_read(server, buffer, request, [&](error_code error, std::size_t) { told = error; });
    under_test.run();
    BOOST_TEST(told == error_code(beast::error::timeout));
    BOOST_TEST(!server.socket().is_open());
    under_test.check_native();
}

ON_ALL_FORMS(cancel_ends_a_request_half_read, Executor, under_test)
{
    connected<Executor> pair(under_test);
    stream_of<Executor> server(std::move(pair.server));
    asio::write(pair.client, asio::buffer("GET / HTTP/1.1\r\nHo", 18));
    beast::flat_buffer buffer;
    http::request<http::string_body> request;
    error_code told;
    http::async_read(server, buffer, request, [&](error_code error, std::size_t) { told = error; });
    BOOST_TEST(under_test.run_until([&] { return buffer.size() > 0 || told; }, [] {}));
    BOOST_TEST(!told);
    server.cancel();
    under_test.run();
    BOOST_TEST(told == asio::error::operation_aborted);
    BOOST_TEST(server.socket().is_open());
    under_test.check_native(2);
}

BOOST_AUTO_TEST_SUITE_END()
