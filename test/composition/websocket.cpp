// SPDX-License-Identifier: BSL-1.0
// Beast's WebSocket over beast::basic_stream on native sockets.
#include <zsync/drop_in.hpp>

#include "forms.hpp"

#include <boost/beast/core.hpp>
#include <boost/beast/websocket.hpp>

namespace
{

using namespace test;
using asio::use_awaitable;
namespace beast = boost::beast;
namespace websocket = beast::websocket;

template <class Executor>
using stream_of = websocket::stream<beast::basic_stream<tcp, Executor>>;

template <class Stream>
void compress(Stream& stream)
{
    websocket::permessage_deflate deflate;
    deflate.client_enable = deflate.server_enable = true;
    stream.set_option(deflate);
}

/// Sends each message back until the client closes.
template <class Stream>
asio::awaitable<void> echo_messages(Stream& stream)
{
    co_await stream.async_accept(use_awaitable);
    for (beast::flat_buffer message;; message.clear())
    {
        error_code error;
        co_await stream.async_read(message, asio::redirect_error(use_awaitable, error));
        if (error)
        {
            BOOST_TEST(error == error_code(websocket::error::closed));
            co_return;
        }
        stream.text(stream.got_text());
        co_await stream.async_write(message.data(), use_awaitable);
    }
}

template <class Stream>
asio::awaitable<void> send_messages(Stream& stream)
{
    int pongs = 0;
    stream.control_callback([&](websocket::frame_type kind, beast::string_view)
                            { pongs += kind == websocket::frame_type::pong; });
    co_await stream.async_handshake("test", "/", use_awaitable);
    co_await stream.async_ping({}, use_awaitable);
    stream.auto_fragment(true);
    for (const std::size_t size : {1, 125, 126, 65535, 65536, 300'000})
    {
        const std::string sent = pattern(size);
        beast::flat_buffer received;
        co_await stream.async_write(asio::buffer(sent), use_awaitable);
        co_await stream.async_read(received, use_awaitable);
        BOOST_TEST((beast::buffers_to_string(received.data()) == sent));
    }
    BOOST_TEST(pongs == 1);
    co_await stream.async_close(websocket::close_code::normal, use_awaitable);
}

} // namespace

BOOST_AUTO_TEST_SUITE(composition_websocket)

ON_ALL_FORMS(messages_of_each_length_come_back_and_it_closes, Executor, under_test)
{
    connected<Executor> pair(under_test);
    stream_of<Executor> client(std::move(pair.client));
    stream_of<Executor> server(std::move(pair.server));
    compress(client);
    compress(server);
    run_together(under_test, echo_messages(server), send_messages(client));
    under_test.check_native(30);
}

ON_ALL_FORMS(an_idle_stream_times_out, Executor, under_test)
{
    connected<Executor> pair(under_test);
    stream_of<Executor> client(std::move(pair.client));
    stream_of<Executor> server(std::move(pair.server));
    websocket::stream_base::timeout limits = websocket::stream_base::timeout::suggested(beast::role_type::server);
    limits.idle_timeout = std::chrono::milliseconds(20);
    limits.keep_alive_pings = false;
    server.set_option(limits);
    error_code told;
    beast::flat_buffer message;
    int shaken = 0;
    client.async_handshake("test", "/", [&](error_code error) { shaken += !error; });
    server.async_accept(
        [&](error_code error)
        {
            shaken += !error;
            server.async_read(message, [&](error_code why, std::size_t) { told = why; });
        });
    under_test.run();
    BOOST_TEST(shaken == 2);
    BOOST_TEST(told == error_code(beast::error::timeout));
    under_test.check_native(4);
}

BOOST_AUTO_TEST_SUITE_END()
