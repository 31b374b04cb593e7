// SPDX-License-Identifier: BSL-1.0
#include <zsync/net/direct_stream.hpp>

#include <zsync/net/acceptor.hpp>

#include "net/connect_to.hpp"
#include "support/child_process.hpp"
#include "support/descriptors.hpp"
#include "support/no_descriptors_left.hpp"
#include "support/process_state.hpp"
#include "support/sources.hpp"

#include <boost/asio.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace asio = boost::asio;
using boost::system::error_code;
using test::connect_to;
using test::reply;
using zsync::direct_stream;
using zsync::endpoint;
using accepted = test::reply_with<direct_stream>;

namespace
{

const endpoint any_port("127.0.0.1", 0);
constexpr unsigned places = 4;

// A context, its type erased: the cases are compiled once for all of them.
struct context_base
{
    virtual ~context_base() = default;
    virtual asio::any_io_executor executor() = 0;
    virtual bool run() = 0;
    virtual void settle() = 0;
    virtual bool until(std::function<bool()> condition) = 0;
};

template <class Context>
struct erased final : context_base
{
    test::context_under_test<Context> of;

    template <class... Arguments>
    explicit erased(const Arguments&... arguments) : of(arguments...)
    {
    }
    asio::any_io_executor executor() override { return of.executor(); }
    bool run() override { return of.run(); }
    void settle() override { of.settle(); }
    bool until(std::function<bool()> condition) override { return of.run_until(condition); }
};

using ring = erased<zsync::uring_context>;
using fibers = erased<zsync::fiber_context>;

struct kind
{
    const char* name;
    bool direct; // where there is a ring
    std::unique_ptr<context_base> (*make)();

    friend std::ostream& operator<<(std::ostream& out, const kind& k) { return out << k.name; }
};

std::unique_ptr<context_base> make_ring()
{
    return std::make_unique<ring>(zsync::uring_options{.direct_descriptors = places});
}

std::unique_ptr<context_base> make_ring_of_one_thread()
{
    return std::make_unique<ring>(zsync::uring_options{.direct_descriptors = places, .one_thread = true});
}

std::unique_ptr<context_base> make_fibers()
{
    return std::make_unique<fibers>(zsync::fiber_options{.direct_descriptors = places});
}

const std::array direct_kinds{
    kind{"ring", true, &make_ring},
    kind{"ring_of_one_thread", true, &make_ring_of_one_thread},
    kind{"fibers", true, &make_fibers},
};

const std::array all_kinds{
    direct_kinds[0],
    direct_kinds[1],
    direct_kinds[2],
    kind{"ring_without_table", false, []() -> std::unique_ptr<context_base> { return std::make_unique<ring>(); }},
    kind{"fibers_on_epoll", false,
         []() -> std::unique_ptr<context_base>
         { return std::make_unique<fibers>(zsync::fiber_options{.engine = zsync::engine_kind::reactor}); }},
    kind{"io_context", false,
         []() -> std::unique_ptr<context_base> { return std::make_unique<erased<asio::io_context>>(); }},
};

const auto everywhere = boost::unit_test::data::make(all_kinds);
const auto with_table = boost::unit_test::data::make(direct_kinds);

// A listener, a direct stream and the descriptor at the other end of its connection, which blocks.
struct connection
{
    context_base& context;
    zsync::acceptor listener;
    direct_stream stream;
    test::descriptor peer;

    explicit connection(context_base& on) : context(on), listener(on.executor(), any_port), stream(on.executor())
    {
        connect();
    }

    void connect()
    {
        accepted one;
        listener.async_accept_direct(one.handler());
        peer = connect_to(listener.local_endpoint());
        BOOST_REQUIRE(context.until([&] { return one.told.calls != 0; }));
        BOOST_REQUIRE(one.told.succeeded());
        stream = std::move(*one.value);
    }

    void send(std::string_view text) const
    {
        BOOST_REQUIRE_EQUAL(::send(peer.get(), text.data(), text.size(), MSG_NOSIGNAL),
                            static_cast<ssize_t>(text.size()));
    }

    // What has arrived, or "nothing" without it after patience.
    std::string receive() const
    {
        pollfd one{peer.get(), POLLIN, 0};
        if (::poll(&one, 1, static_cast<int>(std::chrono::milliseconds(test::most_patience).count())) != 1)
            return "nothing";
        std::array<char, 256> data;
        const ssize_t size = ::recv(peer.get(), data.data(), data.size(), 0);
        return size < 0 ? "an error" : std::string(data.data(), static_cast<std::size_t>(size));
    }

    void reset()
    {
        const ::linger now{1, 0};
        BOOST_REQUIRE_EQUAL(::setsockopt(peer.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
        peer.reset();
    }

    // Starts writes until one has to wait.
    void fill(reply& waiting)
    {
        static const std::string much(1 << 20, 'x');
        for (;;)
        {
            waiting = {};
            stream.async_write_some(asio::buffer(much), waiting.handler());
            context.settle();
            if (waiting.calls == 0)
                return;
            BOOST_REQUIRE(waiting.succeeded());
        }
    }
};

void read(direct_stream& stream, std::array<char, 64>& data, reply& told)
{
    stream.async_read_some(asio::buffer(data), told.handler());
}

bool has_ring()
{
    static const bool answer = zsync::probe_ring().meets_minimum();
    return answer;
}

} // namespace

BOOST_AUTO_TEST_SUITE(net_direct_stream)

// Accepting

BOOST_DATA_TEST_CASE(an_accepted_connection_takes_no_descriptor_where_there_is_a_table, everywhere)
{
    const auto context = sample.make();
    zsync::acceptor listener(context->executor(), any_port);
    accepted one;
    endpoint peer_name;
    listener.async_accept_direct(peer_name, one.handler());
    context->settle();
    BOOST_TEST(one.told.calls == 0);
    const std::size_t before = test::open_descriptors();
    const test::descriptor peer = connect_to(listener.local_endpoint());
    BOOST_TEST(context->run());
    BOOST_TEST(one.told.succeeded(), one.told);
    BOOST_TEST((one.value->get_executor() == context->executor()));
    const bool direct = sample.direct && has_ring();
    BOOST_TEST(listener.supports_direct() == direct);
    BOOST_TEST(one.value->is_direct() == direct);
    BOOST_TEST(test::open_descriptors() == before + 1 + !direct);
    endpoint expected;
    *expected.size_address() = static_cast<socklen_t>(endpoint::capacity());
    BOOST_REQUIRE_EQUAL(::getsockname(peer.get(), expected.data(), expected.size_address()), 0);
    BOOST_TEST((peer_name == expected));
}

BOOST_DATA_TEST_CASE(a_closed_acceptor_accepts_nothing, everywhere)
{
    const auto context = sample.make();
    zsync::acceptor listener(context->executor());
    accepted one;
    listener.async_accept_direct(one.handler());
    BOOST_TEST(context->run());
    BOOST_TEST(one.told.failed_with(asio::error::bad_descriptor), one.told);
    BOOST_TEST(!one.value->is_open());
    BOOST_TEST(!one.value->is_direct());
}

BOOST_DATA_TEST_CASE(a_cancelled_accept_gives_its_place_back, everywhere)
{
    const auto context = sample.make();
    zsync::acceptor listener(context->executor(), any_port);
    for (unsigned i = 0; i != 2 * places; ++i)
    {
        accepted before, in_flight;
        asio::cancellation_signal early, late;
        listener.async_accept_direct(asio::bind_cancellation_slot(early.slot(), before.handler()));
        early.emit(asio::cancellation_type::total);
        listener.async_accept_direct(asio::bind_cancellation_slot(late.slot(), in_flight.handler()));
        context->settle();
        late.emit(asio::cancellation_type::terminal);
        BOOST_TEST(context->run());
        BOOST_TEST(before.told.failed_with(asio::error::operation_aborted), before.told);
        BOOST_TEST(in_flight.told.failed_with(asio::error::operation_aborted), in_flight.told);
    }
    accepted one;
    listener.async_accept_direct(one.handler());
    const test::descriptor peer = connect_to(listener.local_endpoint());
    BOOST_TEST(context->run());
    BOOST_TEST(one.value->is_direct() == listener.supports_direct());
}

BOOST_DATA_TEST_CASE(with_a_full_table_connections_get_descriptors, with_table)
{
    const auto context = sample.make();
    zsync::acceptor listener(context->executor(), any_port);
    if (!listener.supports_direct())
    {
        BOOST_TEST_MESSAGE("no table here");
        return;
    }
    std::array<accepted, places + 2> all;
    std::vector<test::descriptor> peers;
    for (accepted& each : all)
        listener.async_accept_direct(each.handler());
    for (std::size_t i = 0; i != all.size(); ++i)
        peers.push_back(connect_to(listener.local_endpoint()));
    BOOST_TEST(context->run());
    unsigned direct = 0;
    for (accepted& each : all)
    {
        BOOST_REQUIRE(each.told.succeeded());
        direct += each.value->is_direct();
        reply wrote;
        each.value->async_write_some(asio::buffer("x", 1), wrote.handler());
        BOOST_TEST(context->run());
        BOOST_TEST(wrote.succeeded(), wrote);
    }
    BOOST_TEST(direct == places);
    BOOST_TEST(zsync::engine_for(asio::query(context->executor(), asio::execution::context)).counters().direct_full ==
               2u);
    char byte = 0;
    for (const auto& peer : peers)
        BOOST_TEST(::recv(peer.get(), &byte, 1, 0) == 1);

    all[0].value->close(); // of the first, which has a place
    accepted next;
    listener.async_accept_direct(next.handler());
    peers.push_back(connect_to(listener.local_endpoint()));
    BOOST_TEST(context->run());
    BOOST_TEST(next.value->is_direct());
}

// Transfers

BOOST_DATA_TEST_CASE(bytes_go_both_ways, everywhere)
{
    const auto context = sample.make();
    connection c(*context);
    std::array<char, 64> data;
    reply got, wrote, wrote_many, got_many;
    read(c.stream, data, got);
    context->settle();
    BOOST_TEST(got.calls == 0);
    c.send("hello");
    BOOST_TEST(context->run());
    BOOST_TEST(got.succeeded(), got);
    BOOST_TEST(std::string(data.data(), got.bytes) == "hello");
    c.stream.async_write_some(asio::buffer(data, 5), wrote.handler());
    BOOST_TEST(context->run());
    BOOST_TEST(wrote.succeeded(), wrote);
    BOOST_TEST(c.receive() == "hello");

    const std::array<asio::const_buffer, 2> out{asio::buffer("a", 1), asio::buffer("bc", 2)};
    c.stream.async_write_some(out, wrote_many.handler());
    BOOST_TEST(context->run());
    BOOST_TEST(wrote_many.bytes == 3u);
    BOOST_TEST(c.receive() == "abc");
    c.send("12345");
    const std::array<asio::mutable_buffer, 2> in{asio::buffer(data.data(), 2), asio::buffer(data.data() + 2, 3)};
    c.stream.async_read_some(in, got_many.handler());
    BOOST_TEST(context->run());
    BOOST_TEST(std::string(data.data(), got_many.bytes) == "12345");
}

BOOST_DATA_TEST_CASE(composed_operations_take_it, everywhere)
{
    const auto context = sample.make();
    connection c(*context);
    const std::string sent = std::string(1 << 20, 'x') + '\n';
    std::string received;
    reply wrote, got;
    std::thread echo(
        [&]
        {
            std::vector<char> data(65536);
            for (std::size_t left = sent.size(); left != 0;)
            {
                const ssize_t size = ::recv(c.peer.get(), data.data(), data.size(), 0);
                if (size <= 0 || ::send(c.peer.get(), data.data(), static_cast<std::size_t>(size), MSG_NOSIGNAL) < 0)
                    return;
                left -= static_cast<std::size_t>(size);
            }
        });
    asio::async_write(c.stream, asio::buffer(sent), wrote.handler());
    asio::async_read_until(c.stream, asio::dynamic_buffer(received), '\n', got.handler());
    BOOST_TEST(context->run());
    echo.join();
    BOOST_TEST(wrote.bytes == sent.size());
    BOOST_TEST(got.succeeded(), got);
    BOOST_TEST((received == sent));
}

BOOST_DATA_TEST_CASE(ends_and_errors_are_told, everywhere)
{
    const auto context = sample.make();
    std::array<char, 64> data;
    reply end, reset, broken, second, closed, of_moved, urgent;
    connection c(*context);
    c.stream.async_receive(asio::buffer(data), MSG_OOB, urgent.handler()); // there is none
    context->settle();
    c.stream.cancel();
    BOOST_TEST(context->run());
    BOOST_TEST(urgent.calls == 1);
    BOOST_TEST(!!urgent.error);
    c.peer.reset();
    read(c.stream, data, end);
    BOOST_TEST(context->run());
    BOOST_TEST(end.failed_with(asio::error::eof), end);
    c.connect();
    read(c.stream, data, reset);
    read(c.stream, data, second);
    context->settle();
    BOOST_TEST(second.failed_with(asio::error::already_started), second);
    c.reset();
    BOOST_TEST(context->run());
    BOOST_TEST(reset.failed_with(asio::error::connection_reset), reset);
    c.stream.async_write_some(asio::buffer("x", 1), broken.handler());
    BOOST_TEST(context->run());
    BOOST_TEST(broken.failed_with(asio::error::broken_pipe), broken);
    direct_stream moved = std::move(c.stream);
    moved.close();
    moved.close();
    BOOST_TEST(!moved.is_open());
    read(moved, data, closed);
    read(c.stream, data, of_moved);
    BOOST_TEST(context->run());
    BOOST_TEST(closed.failed_with(asio::error::bad_descriptor), closed);
    BOOST_TEST(of_moved.failed_with(asio::error::bad_descriptor), of_moved);
}

BOOST_DATA_TEST_CASE(transfers_are_cancelled_before_and_in_flight, everywhere)
{
    const auto context = sample.make();
    connection c(*context);
    std::array<char, 64> data;
    for (const auto type :
         {asio::cancellation_type::terminal, asio::cancellation_type::partial, asio::cancellation_type::total})
    {
        reply before, in_flight;
        asio::cancellation_signal early, late;
        c.stream.async_read_some(asio::buffer(data), asio::bind_cancellation_slot(early.slot(), before.handler()));
        early.emit(type);
        BOOST_TEST(context->run());
        BOOST_TEST(before.failed_with(asio::error::operation_aborted), before);
        c.stream.async_read_some(asio::buffer(data), asio::bind_cancellation_slot(late.slot(), in_flight.handler()));
        context->settle();
        BOOST_TEST(in_flight.calls == 0);
        late.emit(type);
        BOOST_TEST(context->run());
        BOOST_TEST(in_flight.failed_with(asio::error::operation_aborted), in_flight);
    }
    reply writer, reader, next;
    c.fill(writer);
    read(c.stream, data, reader);
    context->settle();
    c.stream.cancel();
    BOOST_TEST(context->run());
    BOOST_TEST(writer.failed_with(asio::error::operation_aborted), writer);
    BOOST_TEST(reader.failed_with(asio::error::operation_aborted), reader);
    c.send("x");
    read(c.stream, data, next);
    BOOST_TEST(context->run());
    BOOST_TEST(next.succeeded(), next);
}

BOOST_DATA_TEST_CASE(receives_many_where_a_stream_does, everywhere)
{
    const auto context = sample.make();
    connection c(*context);
    auto source = c.stream.receive_many();
    test::reply_with<zsync::buffer_view> one, end;
    source.async_next(one.handler());
    if (!c.stream.supports_receive_many())
    {
        BOOST_TEST(context->run());
        BOOST_TEST(one.told.failed_with(asio::error::operation_not_supported), one.told);
        return;
    }
    context->settle();
    c.send("hello");
    BOOST_TEST(context->run());
    BOOST_TEST(one.told.succeeded(), one.told);
    BOOST_TEST(std::string(one.value->data(), one.value->size()) == "hello");
    c.peer.reset();
    source.async_next(end.handler());
    BOOST_TEST(context->run());
    BOOST_TEST(end.told.failed_with(asio::error::eof), end.told);
}

// The end

BOOST_DATA_TEST_CASE(close_aborts_what_is_in_flight_and_ends_the_connection_at_once, everywhere)
{
    const auto context = sample.make();
    connection c(*context);
    std::array<char, 64> data;
    reply reader, writer, closed;
    c.fill(writer);
    read(c.stream, data, reader);
    context->settle();
    bool in_order = false;
    c.stream.async_close(
        [&](error_code ec)
        {
            closed.handler()(ec);
            in_order = reader.calls + writer.calls == 2;
        });
    BOOST_TEST(!c.stream.is_open());
    BOOST_TEST(context->run());
    BOOST_TEST(closed.succeeded(), closed);
    BOOST_TEST(in_order);
    BOOST_TEST(reader.failed_with(asio::error::operation_aborted), reader);
    BOOST_TEST(writer.failed_with(asio::error::operation_aborted), writer);
    while (c.receive().size() == 256)
    {
    }

    c.connect();
    c.stream.close(); // and nobody runs the context
    BOOST_TEST(c.receive().empty());
}

BOOST_DATA_TEST_CASE(what_was_written_comes_before_the_end, everywhere)
{
    const auto context = sample.make();
    connection c(*context);
    for (const bool by_shutdown : {false, true})
    {
        reply wrote, ended;
        c.stream.async_write_some(asio::buffer("hello", 5), wrote.handler());
        if (by_shutdown)
            c.stream.async_shutdown(direct_stream::shutdown_send, ended.handler());
        else
            c.stream.close();
        BOOST_TEST(context->run());
        BOOST_TEST(wrote.succeeded(), wrote);
        BOOST_TEST(ended.calls == by_shutdown);
        BOOST_TEST(!ended.error);
        BOOST_TEST(c.receive() == "hello");
        BOOST_TEST(c.receive().empty());
        c.connect();
    }
}

BOOST_DATA_TEST_CASE(shutdown_fails_and_is_cancelled, everywhere)
{
    const auto context = sample.make();
    connection c(*context);
    std::array<char, 64> data;
    reply reset, ended, closed, cancelled;
    asio::cancellation_signal signal;
    c.stream.async_shutdown(direct_stream::shutdown_send,
                            asio::bind_cancellation_slot(signal.slot(), cancelled.handler()));
    signal.emit(asio::cancellation_type::total);
    BOOST_TEST(context->run());
    BOOST_TEST(cancelled.calls == 1);
    BOOST_TEST((!cancelled.error || cancelled.error == asio::error::operation_aborted), cancelled);
    c.reset();
    read(c.stream, data, reset);
    BOOST_TEST(context->run());
    c.stream.async_shutdown(direct_stream::shutdown_both, ended.handler());
    BOOST_TEST(context->run());
    BOOST_TEST(ended.failed_with(asio::error::not_connected), ended);
    c.stream.close();
    c.stream.async_shutdown(direct_stream::shutdown_both, closed.handler());
    BOOST_TEST(context->run());
    BOOST_TEST(closed.failed_with(asio::error::bad_descriptor), closed);
}

BOOST_DATA_TEST_CASE(the_next_owner_of_a_place_keeps_its_data, with_table)
{
    const auto context = sample.make();
    connection c(*context);
    std::array<char, 64> data, forgotten;
    for (unsigned i = 0; i != 4 * places; ++i)
    {
        reply aborted, wrote, got;
        read(c.stream, forgotten, aborted);
        if (i % 2 == 0)
            context->settle(); // else the kernel has not seen it
        const test::descriptor before = std::move(c.peer);
        c.connect(); // closes the one before
        BOOST_TEST(c.stream.is_direct() == c.listener.supports_direct());
        c.send("mine");
        read(c.stream, data, got);
        BOOST_TEST(context->run());
        BOOST_TEST(aborted.failed_with(asio::error::operation_aborted), aborted);
        BOOST_TEST(std::string(data.data(), got.bytes) == "mine");
        c.stream.async_write_some(asio::buffer("yours", 5), wrote.handler());
        BOOST_TEST(context->run());
        BOOST_TEST(c.receive() == "yours");
    }
}

BOOST_DATA_TEST_CASE(another_thread_may_close, everywhere)
{
    const auto context = sample.make();
    connection c(*context);
    std::array<char, 64> data;
    reply reader;
    read(c.stream, data, reader);
    context->settle();
    std::thread([&] { c.stream.close(); }).join();
    BOOST_TEST(context->run());
    BOOST_TEST(reader.failed_with(asio::error::operation_aborted), reader);
    BOOST_TEST(c.receive().empty());
}

BOOST_DATA_TEST_CASE(a_destroyed_context_closes_all_and_destroys_handlers_uncalled, everywhere)
{
    int alive = 0;
    int called = 0;
    const std::size_t before = test::open_descriptors();
    {
        auto context = sample.make();
        auto c = std::make_shared<connection>(*context);
        test::descriptor peer = std::move(c->peer);
        auto data = std::make_shared<std::array<char, 64>>();
        {
            const auto handler = [c, data, count = test::live_count(alive), &called](auto...) { ++called; };
            c->stream.async_read_some(asio::buffer(*data), handler);
            c->listener.async_accept_direct([handler](error_code, direct_stream) { handler(); });
            context->settle();
            c->stream.async_shutdown(direct_stream::shutdown_receive, handler);
            c->stream.async_to_stream([handler](error_code, zsync::stream) { handler(); });
        }
        // An accept that is complete, and told to nobody.
        const test::descriptor untold = connect_to(c->listener.local_endpoint());
        c.reset();
        context.reset();
        char byte = 0;
        BOOST_TEST(::recv(peer.get(), &byte, 1, 0) <= 0);
    }
    BOOST_TEST(alive == 0);
    BOOST_TEST(called == 0);
    BOOST_TEST(test::open_descriptors() == before);
}

// Becoming a stream

BOOST_DATA_TEST_CASE(a_stream_of_the_same_connection_can_do_the_rest, everywhere)
{
    const auto context = sample.make();
    connection c(*context);
    c.listener.set_option(asio::ip::tcp::no_delay(true));
    c.connect();
    test::reply_with<zsync::stream> made;
    c.stream.async_to_stream(made.handler());
    const bool supported = c.stream.supports_to_stream();
    BOOST_TEST(context->run());
    if (!supported)
    {
        BOOST_TEST(made.told.failed_with(asio::error::operation_not_supported), made.told);
        BOOST_TEST_MESSAGE("no IORING_OP_FIXED_FD_INSTALL here");
        return;
    }
    BOOST_REQUIRE(made.told.succeeded());
    zsync::stream& stream = *made.value;
    c.stream.close();
    asio::ip::tcp::no_delay inherited;
    stream.get_option(inherited);
    BOOST_TEST(inherited.value());
    BOOST_TEST((stream.local_endpoint() == c.listener.local_endpoint()));
    BOOST_TEST((::fcntl(stream.native_handle(), F_GETFD) & FD_CLOEXEC) != 0);
    reply wrote;
    stream.async_write_some(asio::buffer("hello", 5), wrote.handler());
    BOOST_TEST(context->run());
    BOOST_TEST(c.receive() == "hello");
    auto asio_socket = stream.to_asio_socket<asio::ip::tcp>();
    BOOST_TEST(asio_socket.is_open());
}

BOOST_DATA_TEST_CASE(without_a_descriptor_left_it_stays_as_it_is, everywhere)
{
    const auto context = sample.make();
    connection c(*context);
    if (!c.stream.supports_to_stream())
    {
        BOOST_TEST_MESSAGE("no IORING_OP_FIXED_FD_INSTALL here");
        return;
    }
    const auto ask = [&]
    {
        reply told;
        c.stream.async_to_stream([&](error_code ec, zsync::stream) { told.handler()(ec); });
        BOOST_TEST(context->run());
        return told;
    };
    std::optional<test::no_descriptors_left> none(std::in_place);
    const reply refused = ask();
    none.reset();
    BOOST_TEST(refused.failed_with(asio::error::no_descriptors), refused);
    const reply told = ask();
    BOOST_TEST(told.succeeded(), told);
    c.stream.close();
    const reply closed = ask();
    BOOST_TEST(closed.failed_with(asio::error::bad_descriptor), closed);
}

BOOST_AUTO_TEST_SUITE_END()

// The ring changes

BOOST_AUTO_TEST_SUITE(net_direct_stream_and_its_ring, *boost::unit_test::precondition(test::needs_ring))

BOOST_AUTO_TEST_CASE(a_child_after_fork_has_lost_them_and_the_parent_has_not)
{
    ring of(zsync::uring_options{.direct_descriptors = places});
    connection c(of);
    if (!c.stream.is_direct())
    {
        BOOST_TEST_MESSAGE("no table here");
        return;
    }
    zsync::uring_context& ctx = of.of.ctx;
    std::array<char, 64> data;
    reply reader;
    read(c.stream, data, reader);
    of.settle();
    ctx.notify_fork(asio::execution_context::fork_prepare);
    const auto child = test::run_in_child(
        [&](const test::child_voice& voice)
        {
            ctx.notify_fork(asio::execution_context::fork_child);
            bool fine = voice.check(of.run(), "it runs");
            fine &= voice.check(reader.failed_with(asio::error::connection_aborted), "the read is told");
            reply writer, ended, made;
            c.stream.async_write_some(asio::buffer("x", 1), writer.handler());
            c.stream.async_shutdown(direct_stream::shutdown_both, ended.handler());
            c.stream.async_to_stream([&](error_code ec, zsync::stream) { made.handler()(ec); });
            fine &= voice.check(of.run(), "it runs on");
            fine &= voice.check(writer.failed_with(asio::error::connection_aborted), "so is a write");
            fine &= voice.check(ended.failed_with(asio::error::connection_aborted), "so is a shutdown");
            fine &= voice.check(made.calls == 1 && made.error, "and no stream is made of it");
            for (unsigned i = 0; i != 2 * places; ++i) // its place, too
            {
                c.connect();
                fine &= voice.check(c.stream.is_direct(), "the table is there again");
                c.send("hello");
                reply got;
                read(c.stream, data, got);
                fine &= voice.check(of.run() && got.bytes == 5, "new ones work");
            }
            return fine ? 0 : 1;
        });
    BOOST_TEST(child.ok(), child);
    ctx.notify_fork(asio::execution_context::fork_parent);
    c.send("hello");
    BOOST_TEST(of.run());
    BOOST_TEST(reader.succeeded(), reader);
    c.stream.close();
    BOOST_TEST(c.receive().empty());
}

BOOST_AUTO_TEST_CASE(a_thread_that_takes_over_a_context_for_one_loses_them)
{
    ring of(zsync::uring_options{.direct_descriptors = places, .one_thread = true});
    connection c(of);
    if (!c.stream.is_direct())
    {
        BOOST_TEST_MESSAGE("no table here");
        return;
    }
    std::array<char, 64> data;
    reply reader;
    read(c.stream, data, reader);
    connection closed(of);
    of.settle();
    // Between two runs: a write that cannot be done at once, and the end.
    static const std::string much(64 << 20, 'x');
    reply writer;
    closed.stream.async_write_some(asio::buffer(much), writer.handler());
    closed.stream.close();
    std::thread([&] { of.run(); }).join();
    BOOST_TEST(reader.failed_with(asio::error::connection_aborted), reader);
    BOOST_TEST(writer.calls == 1);
    BOOST_TEST(writer.bytes < much.size());
    c.connect();
    BOOST_TEST(c.stream.is_direct());
    c.send("hello");
    reply got;
    read(c.stream, data, got);
    BOOST_TEST(of.run());
    BOOST_TEST(got.succeeded(), got);
}

BOOST_AUTO_TEST_CASE(several_threads_run_accept_and_close)
{
    constexpr int connections = 200;
    ring of(zsync::uring_options{.direct_descriptors = places});
    zsync::uring_context& ctx = of.of.ctx;
    zsync::acceptor listener(ctx, any_port);
    std::atomic<int> ended{0};

    // Echoes until the peer ends, and then accepts the next.
    struct session : std::enable_shared_from_this<session>
    {
        zsync::acceptor& listener;
        std::atomic<int>& ended;
        direct_stream stream;
        std::array<char, 64> data;

        session(zsync::acceptor& from, std::atomic<int>& count)
            : listener(from), ended(count), stream(from.get_executor())
        {
        }
        void read()
        {
            stream.async_read_some(asio::buffer(data),
                                   [self = shared_from_this()](error_code ec, std::size_t size)
                                   {
                                       if (ec)
                                           return self->end();
                                       asio::async_write(self->stream, asio::buffer(self->data, size),
                                                         [self](error_code, std::size_t) { self->read(); });
                                   });
        }
        void end()
        {
            stream.close();
            ++ended;
        }
    };
    const asio::strand<asio::any_io_executor> accepting(ctx.get_executor());
    std::function<void(error_code, direct_stream)> accept;
    const auto call = [&accept](error_code ec, direct_stream stream) { accept(ec, std::move(stream)); };
    accept = [&](error_code ec, direct_stream stream)
    {
        if (ec)
            return;
        auto next = std::make_shared<session>(listener, ended);
        next->stream = std::move(stream);
        next->read();
        listener.async_accept_direct(asio::bind_executor(accepting, call));
    };
    listener.async_accept_direct(asio::bind_executor(accepting, call));
    std::thread peers(
        [&, where = listener.local_endpoint()]
        {
            std::vector<test::descriptor> open;
            for (int i = 0; i != connections; ++i)
            {
                open.push_back(connect_to(where));
                const auto byte = static_cast<char>('a' + i % 26);
                char echoed = 0;
                if (::send(open.back().get(), &byte, 1, MSG_NOSIGNAL) != 1 ||
                    ::recv(open.back().get(), &echoed, 1, 0) != 1 || echoed != byte)
                    break;
                if (open.size() == 3)
                    open.clear();
            }
            open.clear();
            const auto end = std::chrono::steady_clock::now() + test::most_patience;
            while (ended != connections && std::chrono::steady_clock::now() < end)
                std::this_thread::yield();
            asio::post(accepting, [&] { listener.close(); });
        });
    std::thread second([&] { ctx.run_for(test::most_patience); });
    ctx.run_for(test::most_patience);
    second.join();
    peers.join();
    BOOST_TEST(ended == connections);
}

BOOST_AUTO_TEST_CASE(a_table_has_no_more_places_than_descriptors_are_allowed)
{
    ring of(zsync::uring_options{.direct_descriptors = 1u << 30});
    connection c(of);
    BOOST_TEST(c.stream.is_direct() == c.listener.supports_direct());
}

BOOST_AUTO_TEST_SUITE_END()
