// SPDX-License-Identifier: BSL-1.0
// co_spawn, the awaitable operators, parallel groups, channels and deferred operations over native sockets.
#include <zsync/drop_in.hpp>

#include "forms.hpp"

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/experimental/channel.hpp>
#include <boost/asio/experimental/parallel_group.hpp>

#include <array>

namespace
{

using namespace test;
using namespace asio::experimental::awaitable_operators;
using asio::deferred;
using asio::use_awaitable;
using namespace std::chrono_literals;

using line_channel = asio::experimental::channel<void(error_code, std::string)>;

template <class Socket>
asio::awaitable<std::string> read_line(Socket& socket, std::string& buffer)
{
    const std::size_t size = co_await asio::async_read_until(socket, asio::dynamic_buffer(buffer), '\n', use_awaitable);
    std::string line = buffer.substr(0, size);
    buffer.erase(0, size);
    co_return line;
}

template <class Socket>
asio::awaitable<void> read_lines_into(Socket& socket, line_channel& lines, int count)
{
    std::string buffer;
    while (count-- > 0)
        co_await lines.async_send(error_code(), co_await read_line(socket, buffer), use_awaitable);
    co_await lines.async_send(error_code(), std::string(), use_awaitable); // close() would drop what is still in there
}

template <class Socket>
asio::awaitable<void> write_lines_from(line_channel& lines, Socket& socket)
{
    for (;;)
    {
        const std::string line = co_await lines.async_receive(use_awaitable);
        if (line.empty())
            co_return;
        co_await asio::async_write(socket, asio::buffer(line), use_awaitable);
    }
}

} // namespace

BOOST_AUTO_TEST_SUITE(composition_coroutines)

ON_ALL_FORMS(the_loser_of_an_alternative_is_cancelled_and_loses_no_byte, Executor, under_test)
{
    connected<Executor> pair(under_test);
    run_together(under_test,
                 [](connected<Executor>& between) -> asio::awaitable<void>
                 {
                     asio::steady_timer timer(co_await asio::this_coro::executor, 5ms);
                     std::array<char, 8> bytes;
                     auto first = co_await (between.client.async_read_some(asio::buffer(bytes), use_awaitable) ||
                                            timer.async_wait(use_awaitable));
                     BOOST_TEST(first.index() == 1u);
                     co_await asio::async_write(between.server, asio::buffer("late", 4), use_awaitable);
                     timer.expires_after(context::watchdog);
                     auto second = co_await (between.client.async_read_some(asio::buffer(bytes), use_awaitable) ||
                                             timer.async_wait(use_awaitable));
                     BOOST_TEST_REQUIRE(second.index() == 0u);
                     BOOST_TEST(std::string(bytes.data(), std::get<0>(second)) == "late");
                 }(pair));
    under_test.check_native(3);
}

ON_ALL_FORMS(both_of_a_conjunction_complete, Executor, under_test)
{
    connected<Executor> pair(under_test);
    run_together(under_test,
                 [](connected<Executor>& between) -> asio::awaitable<void>
                 {
                     const std::string sent = pattern(3'000'000);
                     std::string received(sent.size(), ' ');
                     const auto [written, read] =
                         co_await (asio::async_write(between.client, asio::buffer(sent), use_awaitable) &&
                                   asio::async_read(between.server, asio::buffer(received), use_awaitable));
                     BOOST_TEST(written == sent.size());
                     BOOST_TEST(read == sent.size());
                     BOOST_TEST((received == sent));
                 }(pair));
    under_test.check_native(2);
}

ON_ALL_FORMS(lines_go_through_a_channel_from_socket_to_socket, Executor, under_test)
{
    connected<Executor> from(under_test);
    connected<Executor> to(under_test);
    line_channel lines(under_test.executor(), 2);
    std::string sent;
    for (int i = 0; i < 50; ++i)
        sent += "line " + std::to_string(i) + '\n';
    run_together(under_test, read_lines_into(from.server, lines, 50), write_lines_from(lines, to.client),
                 [](auto& source, auto& sink, const std::string& text) -> asio::awaitable<void>
                 {
                     std::string received(text.size(), ' ');
                     co_await asio::async_write(source, asio::buffer(text), use_awaitable);
                     co_await asio::async_read(sink, asio::buffer(received), use_awaitable);
                     BOOST_TEST(received == text);
                 }(from.client, to.server, sent));
    under_test.check_native(5);
}

ON_ALL_FORMS(a_parallel_group_waits_for_one_and_cancels_the_rest, Executor, under_test)
{
    connected<Executor> one(under_test);
    connected<Executor> two(under_test);
    std::array<char, 8> first, second;
    int calls = 0;
    asio::experimental::make_parallel_group(one.client.async_read_some(asio::buffer(first), deferred),
                                            two.client.async_read_some(asio::buffer(second), deferred),
                                            one.client.async_wait(tcp::socket::wait_error, deferred))
        .async_wait(asio::experimental::wait_for_one(),
                    [&](std::array<std::size_t, 3> order, error_code error_1, std::size_t, error_code error_2,
                        std::size_t bytes, error_code error_3)
                    {
                        ++calls;
                        BOOST_TEST(order[0] == 1u);
                        BOOST_TEST(error_1 == asio::error::operation_aborted);
                        BOOST_TEST(!error_2);
                        BOOST_TEST(bytes == 3u);
                        BOOST_TEST(error_3 == asio::error::operation_aborted);
                    });
    under_test.settle();
    BOOST_TEST(calls == 0);
    asio::write(two.server, asio::buffer("two", 3));
    under_test.run();
    BOOST_TEST(calls == 1);
    under_test.check_native(3);
}

ON_ALL_FORMS(a_deferred_operation_starts_when_it_is_launched, Executor, under_test)
{
    connected<Executor> pair(under_test);
    std::array<char, 4> bytes;
    auto read_after_write =
        asio::async_write(pair.client, asio::buffer("ping", 4),
                          deferred(
                              [&](error_code error, std::size_t)
                              {
                                  return deferred.when(!error)
                                      .then(asio::async_read(pair.server, asio::buffer(bytes), deferred))
                                      .otherwise(deferred.values(error, std::size_t(0)));
                              }));
    under_test.settle();
    BOOST_TEST(pair.server.available() == 0u);
    auto told = std::make_shared<outcome>();
    std::move(read_after_write)(recorder(told));
    under_test.run();
    BOOST_TEST(told->calls == 1);
    BOOST_TEST(!told->error);
    BOOST_TEST(told->bytes == 4u);
    under_test.check_native(2);
}

ON_ALL_FORMS(a_coroutine_is_cancelled_in_the_middle_of_a_read, Executor, under_test)
{
    connected<Executor> pair(under_test);
    asio::cancellation_signal signal;
    std::exception_ptr told;
    asio::co_spawn(
        under_test.executor(),
        [](connected<Executor>& between) -> asio::awaitable<void>
        {
            std::array<char, 8> bytes;
            co_await between.client.async_read_some(asio::buffer(bytes), use_awaitable);
            BOOST_ERROR("a read without data returned");
        }(pair),
        asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr thrown) { told = thrown; }));
    under_test.settle();
    BOOST_TEST(!told);
    signal.emit(asio::cancellation_type::terminal);
    under_test.run();
    BOOST_TEST_REQUIRE(bool(told));
    BOOST_CHECK_EXCEPTION(std::rethrow_exception(told), boost::system::system_error,
                          [](const auto& thrown) { return thrown.code() == asio::error::operation_aborted; });
    under_test.check_native(1);
}

BOOST_AUTO_TEST_SUITE_END()
