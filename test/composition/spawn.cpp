// SPDX-License-Identifier: BSL-1.0
// asio::spawn, its yield_context as a token, over native sockets.
#include <zsync/drop_in.hpp>

#include "forms.hpp"

#include <boost/asio/spawn.hpp>

#include <array>

namespace
{

using namespace test;

void pass_on(std::exception_ptr thrown)
{
    if (thrown)
        std::rethrow_exception(thrown);
}

} // namespace

BOOST_AUTO_TEST_SUITE(composition_spawn)

ON_ALL_FORMS(a_connection_is_made_and_echoes, Executor, under_test)
{
    const Executor executor = executor_of<Executor>(under_test);
    asio::basic_socket_acceptor<tcp, Executor> listener(executor, any_port());
    asio::spawn(
        under_test.executor(),
        [&](asio::yield_context yield)
        {
            socket_of<Executor> peer(executor);
            listener.async_accept(peer, yield);
            std::array<char, 1000> bytes;
            error_code error;
            while (const std::size_t count = peer.async_read_some(asio::buffer(bytes), yield[error]))
                asio::async_write(peer, asio::buffer(bytes, count), yield);
            BOOST_TEST(error == asio::error::eof);
        },
        pass_on);
    asio::spawn(
        under_test.executor(),
        [&](asio::yield_context yield)
        {
            socket_of<Executor> client(executor);
            client.async_connect(listener.local_endpoint(), yield);
            const std::string sent = pattern(100'000);
            std::string received(sent.size(), ' ');
            for (std::size_t done = 0; done < sent.size(); done += 10'000)
            {
                asio::async_write(client, asio::buffer(&sent[done], 10'000), yield);
                asio::async_read(client, asio::buffer(&received[done], 10'000), yield);
            }
            BOOST_TEST((received == sent));
        },
        pass_on);
    under_test.run();
    under_test.check_native(40);
}

ON_ALL_FORMS(an_operation_of_a_spawned_function_is_cancelled, Executor, under_test)
{
    connected<Executor> pair(under_test);
    asio::cancellation_signal signal;
    error_code told;
    asio::spawn(
        under_test.executor(),
        [&](asio::yield_context yield)
        {
            std::array<char, 8> bytes;
            pair.client.async_read_some(asio::buffer(bytes), yield[told]);
        },
        asio::bind_cancellation_slot(signal.slot(), pass_on));
    under_test.settle();
    BOOST_TEST(!told);
    signal.emit(asio::cancellation_type::terminal);
    under_test.run();
    BOOST_TEST(told == asio::error::operation_aborted);
    under_test.check_native(1);
}

ON_ALL_FORMS(a_spawned_function_that_waits_unwinds_with_its_context, Executor, under_test)
{
    auto alive = std::make_shared<int>(0);
    connected<Executor>* pair = new connected<Executor>(under_test);
    asio::spawn(
        under_test.executor(),
        [pair = std::unique_ptr<connected<Executor>>(pair), alive](asio::yield_context yield)
        {
            std::array<char, 8> bytes;
            pair->client.async_read_some(asio::buffer(bytes), yield);
        },
        asio::detached);
    under_test.settle();
    BOOST_TEST(alive.use_count() > 1);
    under_test.destroy();
    BOOST_TEST(alive.use_count() == 1);
}

BOOST_AUTO_TEST_SUITE_END()
