// SPDX-License-Identifier: BSL-1.0
#include <zsync/net/stream.hpp>

#include <zsync/net/acceptor.hpp>

#include "support/contexts.hpp"
#include "support/descriptors.hpp"

#include <boost/asio.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/test/unit_test.hpp>

#include <array>
#include <future>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <sys/socket.h>

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using test::reply;

namespace
{

/// A stream and the descriptor at the other end of its connection, which blocks.
struct connection
{
    zsync::stream stream;
    test::descriptor peer;

    explicit connection(const asio::any_io_executor& executor) : stream(executor)
    {
        test::two_ends ends = test::make_socket_pair();
        stream.assign(ends.first.get());
        ends.first.release();
        peer = std::move(ends.second);
    }

    void send(std::string_view text) const
    {
        BOOST_REQUIRE_EQUAL(::send(peer.get(), text.data(), text.size(), MSG_NOSIGNAL),
                            static_cast<ssize_t>(text.size()));
    }

    std::string receive() const
    {
        std::array<char, 256> data;
        const ssize_t size = ::recv(peer.get(), data.data(), data.size(), 0);
        BOOST_REQUIRE_GE(size, 0);
        return {data.data(), static_cast<std::size_t>(size)};
    }

    // Fills what the kernel keeps, so that a further write has to wait.
    void fill() const
    {
        const std::array<char, 4096> data{};
        while (::send(stream.core()->native(), data.data(), data.size(), MSG_DONTWAIT) > 0)
        {
        }
    }
};

// A local stream socket that is connected, for what a reset does: over TCP.
struct tcp_connection
{
    zsync::stream stream;
    test::descriptor peer;

    explicit tcp_connection(const asio::any_io_executor& executor) : stream(executor)
    {
        test::loopback_listener listener;
        test::descriptor mine = listener.connect();
        peer = test::descriptor(::accept4(listener.socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
        stream.assign(mine.get());
        mine.release();
    }

    void reset()
    {
        const ::linger now{1, 0};
        BOOST_REQUIRE_EQUAL(::setsockopt(peer.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
        peer.reset();
    }
};

std::string text_of(const std::array<char, 64>& data, std::size_t size)
{
    return {data.data(), size};
}

} // namespace

BOOST_AUTO_TEST_SUITE(net_stream)

// Transfers

BOOST_AUTO_TEST_CASE_TEMPLATE(a_read_waits_for_data, Context, test::contexts)
{
    Context context;
    connection c(context.executor());
    std::array<char, 64> data;
    reply told;
    c.stream.async_read_some(asio::buffer(data), told.handler());
    context.settle();
    BOOST_TEST(told.calls == 0);
    c.send("hello");
    BOOST_TEST(context.run());
    BOOST_TEST(told.succeeded(), told);
    BOOST_TEST(text_of(data, told.bytes) == "hello");
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_read_of_data_that_is_there_is_not_completed_inside, Context, test::contexts)
{
    Context context;
    connection c(context.executor());
    c.send("hello");
    std::array<char, 64> data;
    reply told;
    c.stream.async_read_some(asio::buffer(data), told.handler());
    BOOST_TEST(told.calls == 0);
    BOOST_TEST(context.run());
    BOOST_TEST(text_of(data, told.bytes) == "hello");
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_write_arrives, Context, test::contexts)
{
    Context context;
    connection c(context.executor());
    reply told;
    c.stream.async_write_some(asio::buffer("hello", 5), told.handler());
    BOOST_TEST(context.run());
    BOOST_TEST(told.succeeded(), told);
    BOOST_TEST(told.bytes == 5u);
    BOOST_TEST(c.receive() == "hello");
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_write_waits_for_room, Context, test::contexts)
{
    Context context;
    connection c(context.executor());
    c.fill();
    reply told;
    c.stream.async_write_some(asio::buffer("hello", 5), told.handler());
    context.settle();
    BOOST_TEST(told.calls == 0);
    std::vector<char> drained(1 << 20);
    while (::recv(c.peer.get(), drained.data(), drained.size(), MSG_DONTWAIT) > 0)
    {
    }
    BOOST_TEST(context.run());
    BOOST_TEST(told.succeeded(), told);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(the_end_of_the_stream_is_eof, Context, test::contexts)
{
    Context context;
    connection c(context.executor());
    c.peer.reset();
    std::array<char, 64> data;
    reply told;
    c.stream.async_read_some(asio::buffer(data), told.handler());
    BOOST_TEST(context.run());
    BOOST_TEST(told.failed_with(asio::error::eof), told);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_reset_is_reported_to_the_reader, Context, test::contexts)
{
    Context context;
    tcp_connection c(context.executor());
    std::array<char, 64> data;
    reply told;
    c.stream.async_read_some(asio::buffer(data), told.handler());
    context.settle();
    c.reset();
    BOOST_TEST(context.run());
    BOOST_TEST(told.failed_with(asio::error::connection_reset), told);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(writing_to_nobody_is_an_error_and_no_signal, Context, test::contexts)
{
    Context context;
    connection c(context.executor());
    c.peer.reset();
    reply one, many;
    c.stream.async_write_some(asio::buffer("x", 1), one.handler());
    BOOST_TEST(context.run());
    BOOST_TEST(one.failed_with(asio::error::broken_pipe), one);
    const std::array<asio::const_buffer, 2> two{asio::buffer("x", 1), asio::buffer("y", 1)};
    c.stream.async_write_some(two, many.handler());
    BOOST_TEST(context.run());
    BOOST_TEST(many.failed_with(asio::error::broken_pipe), many);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(sequences_of_no_one_and_many_buffers, Context, test::contexts)
{
    Context context;
    for (const std::size_t count : {0u, 1u, 3u, 100u})
    {
        connection c(context.executor());
        std::string sent(count, 'a');
        for (std::size_t i = 0; i < count; ++i)
            sent[i] = static_cast<char>('a' + i % 26);
        std::vector<asio::const_buffer> out;
        for (char& each : sent)
            out.push_back(asio::buffer(&each, 1));
        reply wrote;
        c.stream.async_write_some(out, wrote.handler());
        BOOST_TEST(context.run());
        BOOST_TEST(wrote.succeeded(), wrote);
        BOOST_TEST(wrote.bytes == std::min<std::size_t>(count, 16));

        if (count != 0)
        {
            const std::string got = c.receive();
            BOOST_TEST(got == sent.substr(0, wrote.bytes));
            c.send(got);
        }
        std::string received(count, '-');
        std::vector<asio::mutable_buffer> in;
        for (char& each : received)
            in.push_back(asio::buffer(&each, 1));
        reply read;
        c.stream.async_read_some(in, read.handler());
        BOOST_TEST(context.run());
        BOOST_TEST(read.succeeded(), read);
        BOOST_TEST(read.bytes == wrote.bytes);
        BOOST_TEST(received.substr(0, read.bytes) == sent.substr(0, read.bytes));
    }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(empty_buffers_are_skipped, Context, test::contexts)
{
    Context context;
    connection c(context.executor());
    c.send("hello");
    std::array<char, 64> data;
    const std::array<asio::mutable_buffer, 3> buffers{asio::mutable_buffer(), asio::buffer(data),
                                                      asio::mutable_buffer()};
    reply told;
    c.stream.async_read_some(buffers, told.handler());
    BOOST_TEST(context.run());
    BOOST_TEST(text_of(data, told.bytes) == "hello");
}

BOOST_AUTO_TEST_CASE_TEMPLATE(asio_composed_operations_take_it, Context, test::contexts)
{
    Context context;
    auto [a, b] = zsync::make_stream_pair(context.executor());
    const std::string sent = std::string(300'000, 'x') + '\n';
    reply wrote, read;
    std::string received;
    asio::async_write(a, asio::buffer(sent), wrote.handler());
    asio::async_read_until(b, asio::dynamic_buffer(received), '\n', read.handler());
    BOOST_TEST(context.run());
    BOOST_TEST(wrote.succeeded(), wrote);
    BOOST_TEST(wrote.bytes == sent.size());
    BOOST_TEST(read.succeeded(), read);
    BOOST_TEST((received == sent));
}

BOOST_AUTO_TEST_CASE_TEMPLATE(coroutines_echo, Context, test::contexts)
{
    Context context;
    auto [a, b] = zsync::make_stream_pair(context.executor());
    std::size_t echoed = 0;
    const auto echo = [](zsync::stream peer) -> asio::awaitable<void>
    {
        std::array<char, 64> data;
        for (;;)
        {
            auto [ec, n] = co_await peer.async_read_some(asio::buffer(data), asio::as_tuple(asio::use_awaitable));
            if (ec)
                co_return;
            co_await asio::async_write(peer, asio::buffer(data, n), asio::use_awaitable);
        }
    };
    const auto ask = [&echoed](zsync::stream peer) -> asio::awaitable<void>
    {
        std::array<char, 8> data{};
        for (int i = 0; i < 100; ++i)
        {
            co_await asio::async_write(peer, asio::buffer(data), asio::use_awaitable);
            echoed += co_await asio::async_read(peer, asio::buffer(data), asio::use_awaitable);
        }
    };
    asio::co_spawn(context.executor(), echo(std::move(a)), asio::detached);
    asio::co_spawn(context.executor(), ask(std::move(b)), asio::detached);
    BOOST_TEST(context.run());
    BOOST_TEST(echoed == 800u);
}

// One reader, one writer, closed handles

BOOST_AUTO_TEST_CASE_TEMPLATE(a_second_reader_and_a_second_writer_are_refused, Context, test::contexts)
{
    Context context;
    connection c(context.executor());
    c.fill();
    std::array<char, 64> data;
    reply reader, second_reader, writer, second_writer;
    c.stream.async_read_some(asio::buffer(data), reader.handler());
    c.stream.async_write_some(asio::buffer("x", 1), writer.handler());
    c.stream.async_read_some(asio::buffer(data), second_reader.handler());
    c.stream.async_write_some(asio::buffer("x", 1), second_writer.handler());
    BOOST_TEST(second_reader.calls == 0);
    context.settle();
    BOOST_TEST(second_reader.failed_with(asio::error::already_started), second_reader);
    BOOST_TEST(second_writer.failed_with(asio::error::already_started), second_writer);
    BOOST_TEST(reader.calls + writer.calls == 0);
    c.stream.cancel();
    BOOST_TEST(context.run());
    BOOST_TEST(reader.failed_with(asio::error::operation_aborted), reader);
    BOOST_TEST(writer.failed_with(asio::error::operation_aborted), writer);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(the_next_read_may_start_in_the_handler, Context, test::contexts)
{
    Context context;
    connection c(context.executor());
    c.send("ab");
    char data = 0;
    reply second;
    c.stream.async_read_some(asio::buffer(&data, 1),
                             [&](error_code ec, std::size_t)
                             {
                                 BOOST_TEST(!ec);
                                 c.stream.async_read_some(asio::buffer(&data, 1), second.handler());
                             });
    BOOST_TEST(context.run());
    BOOST_TEST(second.succeeded(), second);
    BOOST_TEST(data == 'b');
}

BOOST_AUTO_TEST_CASE_TEMPLATE(closed_and_moved_from_handles_are_bad_descriptors, Context, test::contexts)
{
    Context context;
    std::array<char, 64> data;
    connection c(context.executor());
    zsync::stream never(context.executor());
    zsync::stream moved = std::move(c.stream);
    moved.close();
    BOOST_TEST(!moved.is_open());
    BOOST_TEST(moved.native_handle() == -1);
    reply of_moved_from, of_closed, of_never, of_wait;
    c.stream.async_read_some(asio::buffer(data), of_moved_from.handler());
    moved.async_write_some(asio::buffer(data), of_closed.handler());
    never.async_read_some(asio::buffer(data), of_never.handler());
    never.async_wait(zsync::stream::wait_read, of_wait.handler());
    BOOST_TEST(of_closed.calls == 0);
    BOOST_TEST(context.run());
    for (const reply* each : {&of_moved_from, &of_closed, &of_never, &of_wait})
        BOOST_TEST(each->failed_with(asio::error::bad_descriptor), *each);
    error_code ec;
    moved.shutdown(zsync::stream::shutdown_both, ec);
    BOOST_TEST(ec == asio::error::bad_descriptor);
    moved.close(ec);
    BOOST_TEST(!ec);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_descriptor_has_one_handle, Context, test::contexts)
{
    Context context;
    connection c(context.executor());
    zsync::stream other(context.executor());
    error_code ec;
    other.assign(c.stream.native_handle(), ec);
    BOOST_TEST(ec == boost::system::errc::file_exists);
    other.assign(-1, ec);
    BOOST_TEST(ec == asio::error::bad_descriptor);
    BOOST_TEST(!other.is_open());
}

// Moving and closing with operations in flight

BOOST_AUTO_TEST_CASE_TEMPLATE(a_handle_moves_while_an_operation_is_in_flight, Context, test::contexts)
{
    Context context;
    connection c(context.executor());
    std::array<char, 64> data;
    reply told;
    c.stream.async_read_some(asio::buffer(data), told.handler());
    context.settle();
    zsync::stream moved = std::move(c.stream);
    context.settle();
    c.send("hello");
    BOOST_TEST(context.run());
    BOOST_TEST(told.succeeded(), told);
    BOOST_TEST(moved.is_open());
}

BOOST_AUTO_TEST_CASE_TEMPLATE(closing_aborts_what_is_in_flight_and_frees_the_number, Context, test::contexts)
{
    Context context;
    connection c(context.executor());
    c.fill();
    const int number = c.stream.native_handle();
    std::array<char, 64> data;
    reply reader, writer, waiter;
    c.stream.async_read_some(asio::buffer(data), reader.handler());
    c.stream.async_write_some(asio::buffer("x", 1), writer.handler());
    c.stream.async_wait(zsync::stream::wait_read, waiter.handler());
    context.settle();
    c.stream.close();

    // The next owner of the number keeps its data.
    test::two_ends next = test::make_socket_pair();
    BOOST_TEST((next.first.get() == number || next.second.get() == number));
    BOOST_REQUIRE_EQUAL(::send(next.first.get(), "a", 1, 0), 1);
    BOOST_REQUIRE_EQUAL(::send(next.second.get(), "b", 1, 0), 1);
    BOOST_TEST(context.run());
    for (const reply* each : {&reader, &writer, &waiter})
        BOOST_TEST(each->failed_with(asio::error::operation_aborted), *each);
    char got = 0;
    BOOST_TEST(::recv(next.first.get(), &got, 1, MSG_DONTWAIT) == 1);
    BOOST_TEST(::recv(next.second.get(), &got, 1, MSG_DONTWAIT) == 1);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(async_close_completes_after_what_was_in_flight, Context, test::contexts)
{
    Context context;
    connection c(context.executor());
    std::array<char, 64> data;
    int aborted = 0;
    reply closed;
    bool in_order = false;
    c.stream.async_read_some(asio::buffer(data), [&](error_code, std::size_t) { ++aborted; });
    c.stream.async_wait(zsync::stream::wait_read, [&](error_code) { ++aborted; });
    context.settle();
    c.stream.async_close(
        [&](error_code ec)
        {
            closed.handler()(ec);
            in_order = aborted == 2;
        });
    BOOST_TEST(!c.stream.is_open());
    BOOST_TEST(context.run());
    BOOST_TEST(closed.succeeded(), closed);
    BOOST_TEST(in_order);

    reply again;
    c.stream.async_close(again.handler());
    BOOST_TEST(again.calls == 0);
    BOOST_TEST(context.run());
    BOOST_TEST(again.succeeded(), again);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_released_descriptor_is_the_callers, Context, test::contexts)
{
    Context context;
    connection c(context.executor());
    std::array<char, 64> data;
    reply told;
    c.stream.async_read_some(asio::buffer(data), told.handler());
    context.settle();
    const test::descriptor mine(c.stream.release());
    BOOST_TEST(context.run());
    BOOST_TEST(told.failed_with(asio::error::operation_aborted), told);
    c.send("hello");
    BOOST_TEST(::recv(mine.get(), data.data(), data.size(), 0) == 5);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_given_descriptor_is_not_made_non_blocking, Context, test::contexts)
{
    Context context;
    connection c(context.executor());
    std::array<char, 64> data;
    reply told;
    c.stream.async_read_some(asio::buffer(data), told.handler());
    context.settle();
    BOOST_TEST((::fcntl(c.stream.native_handle(), F_GETFL) & O_NONBLOCK) == 0);
    c.send("x");
    BOOST_TEST(context.run());
    BOOST_TEST((::fcntl(c.stream.native_handle(), F_GETFL) & O_NONBLOCK) == 0);
}

// Cancellation

BOOST_AUTO_TEST_CASE_TEMPLATE(each_type_of_cancellation_ends_a_read, Context, test::contexts)
{
    for (const auto type :
         {asio::cancellation_type::terminal, asio::cancellation_type::partial, asio::cancellation_type::total})
    {
        Context context;
        connection c(context.executor());
        std::array<char, 64> data;
        reply told;
        asio::cancellation_signal signal;
        c.stream.async_read_some(asio::buffer(data), asio::bind_cancellation_slot(signal.slot(), told.handler()));
        context.settle();
        signal.emit(type);
        BOOST_TEST(told.calls == 0);
        BOOST_TEST(context.run());
        BOOST_TEST(told.failed_with(asio::error::operation_aborted), told);

        // The stream is as it was, and the signal has nothing left to cancel.
        reply next;
        c.send("hello");
        c.stream.async_read_some(asio::buffer(data), next.handler());
        signal.emit(type);
        BOOST_TEST(context.run());
        BOOST_TEST(next.succeeded(), next);
    }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_read_is_cancelled_before_the_context_has_run, Context, test::contexts)
{
    Context context;
    connection c(context.executor());
    std::array<char, 64> data;
    reply told;
    asio::cancellation_signal signal;
    c.stream.async_read_some(asio::buffer(data), asio::bind_cancellation_slot(signal.slot(), told.handler()));
    signal.emit(asio::cancellation_type::total);
    BOOST_TEST(context.run());
    BOOST_TEST(told.failed_with(asio::error::operation_aborted), told);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(cancel_ends_all_and_leaves_the_stream_usable, Context, test::contexts)
{
    Context context;
    connection c(context.executor());
    std::array<char, 64> data;
    reply reader, waiter;
    c.stream.async_read_some(asio::buffer(data), reader.handler());
    c.stream.async_wait(zsync::stream::wait_read, waiter.handler());
    context.settle();
    c.stream.cancel();
    BOOST_TEST(context.run());
    BOOST_TEST(reader.failed_with(asio::error::operation_aborted), reader);
    BOOST_TEST(waiter.failed_with(asio::error::operation_aborted), waiter);
    reply next;
    c.send("x");
    c.stream.async_read_some(asio::buffer(data), next.handler());
    BOOST_TEST(context.run());
    BOOST_TEST(next.succeeded(), next);
}

// Destruction

BOOST_AUTO_TEST_CASE_TEMPLATE(a_destroyed_context_destroys_handlers_uncalled, Context, test::contexts)
{
    int alive = 0;
    int called = 0;
    {
        auto context = std::make_unique<Context>();
        // The handler owns the stream, and through it the operation that it waits for.
        auto c = std::make_shared<connection>(context->executor());
        auto data = std::make_shared<std::array<char, 64>>();
        c->stream.async_read_some(asio::buffer(*data), [c, data, count = test::live_count(alive),
                                                        &called](error_code, std::size_t) { ++called; });
        c->stream.async_wait(zsync::stream::wait_read,
                             [c, count = test::live_count(alive), &called](error_code) { ++called; });
        context->settle();
        c.reset();
        BOOST_TEST(alive == 2);
    }
    BOOST_TEST(alive == 0);
    BOOST_TEST(called == 0);
}

// Connecting

BOOST_AUTO_TEST_CASE_TEMPLATE(connects_to_a_listener, Context, test::contexts)
{
    Context context;
    test::loopback_listener listener;
    zsync::stream stream(context.executor());
    reply told;
    stream.async_connect(zsync::endpoint("127.0.0.1", ntohs(listener.address.sin_port)), told.handler());
    BOOST_TEST(context.run());
    BOOST_TEST(told.succeeded(), told);
    BOOST_TEST(stream.remote_endpoint().port() == ntohs(listener.address.sin_port));
    BOOST_TEST(stream.local_endpoint().address() == "127.0.0.1");
    BOOST_TEST((::fcntl(stream.native_handle(), F_GETFD) & FD_CLOEXEC) != 0);
    BOOST_TEST((::fcntl(stream.native_handle(), F_GETFL) & O_NONBLOCK) != 0);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(connecting_to_nobody_is_refused, Context, test::contexts)
{
    Context context;
    std::uint16_t port = 0;
    {
        test::loopback_listener listener;
        port = ntohs(listener.address.sin_port);
    }
    zsync::stream stream(context.executor());
    reply told;
    stream.async_connect(tcp::endpoint(asio::ip::address_v4::loopback(), port), told.handler());
    BOOST_TEST(context.run());
    BOOST_TEST(told.failed_with(asio::error::connection_refused), told);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_family_that_does_not_exist_is_reported_to_the_handler, Context, test::contexts)
{
    Context context;
    zsync::stream stream(context.executor());
    reply told;
    stream.async_connect(zsync::endpoint(), told.handler());
    BOOST_TEST(told.calls == 0);
    BOOST_TEST(context.run());
    BOOST_TEST(told.calls == 1);
    BOOST_TEST(told.error == asio::error::address_family_not_supported, told);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_connect_in_flight_is_cancelled, Context, test::contexts)
{
    Context context;
    test::loopback_listener full(0); // its one place is taken: the kernel ignores who else asks
    const test::descriptor first = full.connect();
    zsync::stream stream(context.executor());
    reply told;
    asio::cancellation_signal signal;
    stream.async_connect(zsync::endpoint("127.0.0.1", ntohs(full.address.sin_port)),
                         asio::bind_cancellation_slot(signal.slot(), told.handler()));
    context.settle();
    BOOST_TEST(told.calls == 0);
    signal.emit(asio::cancellation_type::terminal);
    BOOST_TEST(context.run());
    BOOST_TEST(told.failed_with(asio::error::operation_aborted), told);
}

// Asio's sockets, options, and the rest

BOOST_AUTO_TEST_CASE_TEMPLATE(goes_to_and_from_asio_sockets, Context, test::contexts)
{
    Context context;
    tcp_connection c(context.executor());
    const int number = c.stream.native_handle();
    BOOST_CHECK_THROW(c.stream.template to_asio_socket<asio::local::stream_protocol>(), boost::system::system_error);
    BOOST_TEST(c.stream.is_open());
    tcp::socket socket = c.stream.template to_asio_socket<tcp>();
    BOOST_TEST(!c.stream.is_open());
    BOOST_TEST(socket.native_handle() == number);
    BOOST_TEST(socket.remote_endpoint().address().is_loopback());
    zsync::stream back(std::move(socket));
    BOOST_TEST(back.native_handle() == number);
    std::array<char, 64> data;
    reply told;
    back.async_read_some(asio::buffer(data), told.handler());
    BOOST_REQUIRE_EQUAL(::send(c.peer.get(), "x", 1, 0), 1);
    BOOST_TEST(context.run());
    BOOST_TEST(told.succeeded(), told);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(options_and_counts, Context, test::contexts)
{
    Context context;
    tcp_connection c(context.executor());
    c.stream.set_option(tcp::no_delay(true));
    tcp::no_delay delay;
    c.stream.get_option(delay);
    BOOST_TEST(delay.value());
    asio::socket_base::linger linger(true, 5);
    c.stream.set_option(linger);
    asio::socket_base::linger got;
    c.stream.get_option(got);
    BOOST_TEST(got.timeout() == 5);
    BOOST_TEST(c.stream.available() == 0u);
    error_code ec;
    zsync::stream closed(context.executor());
    closed.set_option(delay, ec);
    BOOST_TEST(ec == asio::error::bad_descriptor);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_write_that_was_started_comes_before_the_shutdown, Context, test::contexts)
{
    Context context;
    connection c(context.executor());
    reply told;
    c.stream.async_write_some(asio::buffer("hello", 5), told.handler());
    c.stream.shutdown(zsync::stream::shutdown_send);
    BOOST_TEST(context.run());
    BOOST_TEST(told.succeeded(), told);
    BOOST_TEST(c.receive() == "hello");
    BOOST_TEST(c.receive().empty());
}

BOOST_AUTO_TEST_CASE_TEMPLATE(waits_for_readiness_without_reading, Context, test::contexts)
{
    Context context;
    connection c(context.executor());
    reply readable, writable;
    c.stream.async_wait(zsync::stream::wait_write, writable.handler());
    c.stream.async_wait(zsync::stream::wait_read, readable.handler());
    context.settle();
    BOOST_TEST(readable.calls == 0);
    c.send("hello");
    BOOST_TEST(context.run());
    BOOST_TEST(readable.succeeded(), readable);
    BOOST_TEST(writable.succeeded(), writable);
    BOOST_TEST(c.stream.available() == 5u);
}

// Handlers and their executors

BOOST_AUTO_TEST_CASE_TEMPLATE(the_handler_runs_on_its_own_executor, Context, test::contexts)
{
    Context context;
    asio::thread_pool elsewhere(1);
    connection c(context.executor());
    c.send("hello");
    std::array<char, 64> data;
    std::promise<std::thread::id> ran_on;
    c.stream.async_read_some(asio::buffer(data),
                             asio::bind_executor(elsewhere.get_executor(), [&](error_code, std::size_t)
                                                 { ran_on.set_value(std::this_thread::get_id()); }));
    BOOST_TEST(context.run());
    auto answer = ran_on.get_future();
    BOOST_REQUIRE((answer.wait_for(test::most_patience) == std::future_status::ready));
    BOOST_TEST((answer.get() != std::this_thread::get_id()));
    elsewhere.join();
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_strand_and_other_tokens_work, Context, test::contexts)
{
    Context context;
    connection c(context.executor());
    c.send("ab");
    char data = 0;
    auto strand = asio::make_strand(context.executor());
    reply told;
    bool inside = false;
    c.stream.async_read_some(asio::buffer(&data, 1), asio::bind_executor(strand,
                                                                         [&](error_code ec, std::size_t n)
                                                                         {
                                                                             inside = strand.running_in_this_thread();
                                                                             told.handler()(ec, n);
                                                                         }));
    BOOST_TEST(context.run());
    BOOST_TEST(told.succeeded(), told);
    BOOST_TEST(inside);
    auto future = c.stream.async_read_some(asio::buffer(&data, 1), asio::use_future);
    BOOST_TEST(context.run());
    BOOST_TEST(future.get() == 1u);
    // Deferred: started after the handle has moved away.
    auto later = c.stream.async_read_some(asio::buffer(&data, 1), asio::deferred);
    zsync::stream moved = std::move(c.stream);
    c.send("c");
    reply deferred;
    std::move(later)(deferred.handler());
    BOOST_TEST(context.run());
    BOOST_TEST(deferred.succeeded(), deferred);
    BOOST_TEST(data == 'c');
}

BOOST_AUTO_TEST_SUITE_END()
