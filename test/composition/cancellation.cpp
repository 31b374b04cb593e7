// SPDX-License-Identifier: BSL-1.0
// Cancellation slots of composed operations over native sockets: what each type ends, and what is true afterwards.
#include <zsync/drop_in.hpp>

#include "forms.hpp"

namespace
{

using namespace test;
using asio::cancellation_type;

/// A read of 100 bytes of which 10 have come, so that it waits for the rest.
template <class Executor>
struct half_read
{
    explicit half_read(context& under_test) : pair(under_test)
    {
        asio::write(pair.server, asio::buffer(std::string(10, '1')));
        asio::async_read(pair.client, asio::buffer(bytes), count, record_in(told, signal.slot()));
        BOOST_TEST_REQUIRE(under_test.run_until([this] { return *seen == 10; }, [] {}));
        under_test.settle();
        BOOST_TEST_REQUIRE(told->calls == 0);
    }

    connected<Executor> pair;
    std::string bytes = std::string(100, ' ');
    std::shared_ptr<outcome> told = std::make_shared<outcome>();
    std::shared_ptr<std::size_t> seen = std::make_shared<std::size_t>(0);
    std::function<std::size_t(error_code, std::size_t)> count = [seen = seen](error_code error, std::size_t so_far)
    {
        *seen = so_far;
        return error ? 0 : 100 - so_far;
    };
    asio::cancellation_signal signal;
};

} // namespace

BOOST_AUTO_TEST_SUITE(composition_cancellation)

ON_ALL_FORMS(terminal_ends_a_read_that_has_begun, Executor, under_test)
{
    half_read<Executor> read(under_test);
    read.signal.emit(cancellation_type::terminal);
    under_test.run();
    BOOST_TEST(read.told->calls == 1);
    BOOST_TEST(read.told->error == asio::error::operation_aborted);
    BOOST_TEST(read.told->bytes == 10u);
    under_test.check_native(2);
}

ON_ALL_FORMS(partial_ends_it_and_the_stream_goes_on, Executor, under_test)
{
    half_read<Executor> read(under_test);
    read.signal.emit(cancellation_type::partial);
    under_test.run();
    BOOST_TEST(read.told->error == asio::error::operation_aborted);
    BOOST_TEST(read.told->bytes == 10u);
    asio::write(read.pair.server, asio::buffer(std::string(90, '2')));
    auto rest = std::make_shared<outcome>();
    asio::async_read(read.pair.client, asio::buffer(&read.bytes[10], 90), recorder(rest));
    under_test.run();
    BOOST_TEST(rest->bytes == 90u);
    BOOST_TEST(read.bytes == std::string(10, '1') + std::string(90, '2'));
    under_test.check_native(3);
}

ON_ALL_FORMS(total_does_not_end_what_has_taken_bytes, Executor, under_test)
{
    half_read<Executor> read(under_test);
    read.signal.emit(cancellation_type::total);
    under_test.settle();
    BOOST_TEST(read.told->calls == 0);
    asio::write(read.pair.server, asio::buffer(std::string(90, '2')));
    under_test.run();
    BOOST_TEST(!read.told->error);
    BOOST_TEST(read.told->bytes == 100u);
    under_test.check_native(2);
}

ON_ALL_FORMS(a_write_into_a_full_connection_ends_and_tells_what_went, Executor, under_test)
{
    connected<Executor> pair(under_test);
    const std::string much = pattern(32 * 1024 * 1024);
    auto told = std::make_shared<outcome>();
    asio::cancellation_signal signal;
    asio::async_write(pair.client, asio::buffer(much), record_in(told, signal.slot()));
    under_test.settle();
    BOOST_TEST_REQUIRE(told->calls == 0);
    signal.emit(cancellation_type::terminal);
    under_test.run();
    BOOST_TEST(told->error == asio::error::operation_aborted);
    pair.client.shutdown(tcp::socket::shutdown_send);
    std::string received;
    error_code end;
    asio::read(pair.server, asio::dynamic_buffer(received), end);
    BOOST_TEST(end == asio::error::eof);
    BOOST_TEST(received.size() == told->bytes);
    BOOST_TEST((received == much.substr(0, told->bytes)));
    under_test.check_native(1);
}

ON_ALL_FORMS(a_connect_over_several_endpoints_is_cancelled, Executor, under_test)
{
    full_listener busy;
    socket_of<Executor> client(executor_of<Executor>(under_test));
    const std::vector<tcp::endpoint> endpoints{refusing_endpoint(), busy.endpoint()};
    error_code told;
    int tried = 0;
    asio::cancellation_signal signal;
    asio::async_connect(
        client, endpoints,
        [&](error_code, const tcp::endpoint&)
        {
            ++tried;
            return true;
        },
        asio::bind_cancellation_slot(signal.slot(), [&](error_code error, const tcp::endpoint&) { told = error; }));
    BOOST_TEST(under_test.run_until([&] { return tried == 2; }, [] {}));
    under_test.settle();
    BOOST_TEST(!told);
    signal.emit(cancellation_type::terminal);
    under_test.run();
    BOOST_TEST(told == asio::error::operation_aborted);
    under_test.check_native(2);
}

ON_ALL_FORMS(a_signal_before_the_start_changes_nothing, Executor, under_test)
{
    connected<Executor> pair(under_test);
    asio::cancellation_signal signal;
    signal.emit(cancellation_type::terminal);
    char bytes[4];
    auto told = std::make_shared<outcome>();
    asio::async_read(pair.client, asio::buffer(bytes), record_in(told, signal.slot()));
    asio::write(pair.server, asio::buffer("data", 4));
    under_test.run();
    BOOST_TEST(!told->error);
    BOOST_TEST(told->bytes == 4u);
    under_test.check_native(1);
}

BOOST_AUTO_TEST_SUITE_END()
