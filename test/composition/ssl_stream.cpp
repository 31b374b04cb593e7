// SPDX-License-Identifier: BSL-1.0
// asio::ssl::stream over native sockets.
#include <zsync/drop_in.hpp>

#include "forms.hpp"
#include "tls.hpp"

#include <boost/asio/ssl.hpp>

namespace
{

using namespace test;
using asio::use_awaitable;

template <class Executor>
using tls_stream = asio::ssl::stream<socket_of<Executor>>;

template <class Stream>
asio::awaitable<void> echo_all(Stream& stream)
{
    co_await stream.async_handshake(asio::ssl::stream_base::server, use_awaitable);
    error_code error;
    for (std::string bytes(16 * 1024, ' ');;)
    {
        const std::size_t count =
            co_await stream.async_read_some(asio::buffer(bytes), asio::redirect_error(use_awaitable, error));
        if (error)
            break;
        co_await asio::async_write(stream, asio::buffer(bytes, count), use_awaitable);
    }
    BOOST_TEST(error == asio::error::eof);
    co_await stream.async_shutdown(use_awaitable);
}

template <class Stream>
asio::awaitable<void> send_and_compare(Stream& stream, std::size_t size)
{
    co_await stream.async_handshake(asio::ssl::stream_base::client, use_awaitable);
    const std::string sent = pattern(size);
    std::string received(size, ' ');
    for (std::size_t done = 0; done < size;)
    {
        const std::size_t piece = std::min<std::size_t>(size - done, 100'000);
        co_await asio::async_write(stream, asio::buffer(&sent[done], piece), use_awaitable);
        co_await asio::async_read(stream, asio::buffer(&received[done], piece), use_awaitable);
        done += piece;
    }
    BOOST_TEST((received == sent));
    co_await stream.async_shutdown(use_awaitable);
}

template <class Stream>
asio::awaitable<void> handshake(Stream& stream, asio::ssl::stream_base::handshake_type side)
{
    co_await stream.async_handshake(side, use_awaitable);
}

} // namespace

BOOST_AUTO_TEST_SUITE(composition_ssl_stream)

ON_ALL_FORMS(a_megabyte_there_and_back_and_a_clean_shutdown, Executor, under_test)
{
    tls_contexts tls;
    connected<Executor> pair(under_test);
    tls_stream<Executor> client(std::move(pair.client), tls.client);
    tls_stream<Executor> server(std::move(pair.server), tls.server);
    run_together(under_test, echo_all(server), send_and_compare(client, 1024 * 1024));
    under_test.check_native(100);
}

ON_ALL_FORMS(a_connection_cut_off_is_told_from_an_end, Executor, under_test)
{
    tls_contexts tls;
    connected<Executor> pair(under_test);
    tls_stream<Executor> client(std::move(pair.client), tls.client);
    tls_stream<Executor> server(std::move(pair.server), tls.server);
    run_together(under_test, handshake(server, asio::ssl::stream_base::server),
                 handshake(client, asio::ssl::stream_base::client));
    auto told = std::make_shared<outcome>();
    char bytes[16];
    client.async_read_some(asio::buffer(bytes), record_in(told));
    under_test.settle();
    BOOST_TEST(told->calls == 0);
    server.lowest_layer().close();
    under_test.run();
    BOOST_TEST(told->calls == 1);
    BOOST_TEST(told->error == error_code(asio::ssl::error::stream_truncated));
    under_test.check_native(4);
}

ON_ALL_FORMS(a_handshake_with_a_silent_peer_is_cancelled, Executor, under_test)
{
    tls_contexts tls;
    connected<Executor> pair(under_test);
    tls_stream<Executor> client(std::move(pair.client), tls.client);
    auto told = std::make_shared<outcome>();
    asio::cancellation_signal signal;
    client.async_handshake(asio::ssl::stream_base::client, record_in(told, signal.slot()));
    under_test.settle();
    BOOST_TEST(told->calls == 0);
    signal.emit(asio::cancellation_type::terminal);
    under_test.run();
    BOOST_TEST(told->calls == 1);
    BOOST_TEST(told->error == asio::error::operation_aborted);
}

ON_ALL_FORMS(a_handshake_in_flight_is_destroyed_with_its_context, Executor, under_test)
{
    tls_contexts tls;
    auto alive = std::make_shared<int>(0);
    auto told = std::make_shared<outcome>();
    {
        connected<Executor> pair(under_test);
        auto client = std::make_shared<tls_stream<Executor>>(std::move(pair.client), tls.client);
        auto& stream = *client;
        stream.async_handshake(asio::ssl::stream_base::client,
                               [client = std::move(client), alive, told](error_code) { ++told->calls; });
        under_test.settle();
    }
    // The peer is gone with its scope: what the handshake would be told is never delivered.
    under_test.destroy();
    BOOST_TEST(told->calls == 0);
    BOOST_TEST(alive.use_count() == 1);
}

BOOST_AUTO_TEST_SUITE_END()
