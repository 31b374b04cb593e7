// SPDX-License-Identifier: BSL-1.0
#include <zsync/net/acceptor.hpp>

#include "net/connect_to.hpp"
#include "support/descriptors.hpp"
#include "support/no_descriptors_left.hpp"
#include "support/process_state.hpp"
#include "support/sources.hpp"

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>

#include <memory>
#include <optional>
#include <vector>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace asio = boost::asio;
using boost::system::error_code;
using test::connect_to;
using test::reply;
using zsync::endpoint;
using accepted = test::reply_with<zsync::stream>;

namespace
{

const endpoint any_port("127.0.0.1", 0);

/// Says whether the other side has closed a connection. Waits for it.
bool is_closed(const test::descriptor& peer)
{
    char byte;
    return ::recv(peer.get(), &byte, 1, 0) <= 0;
}

} // namespace

BOOST_AUTO_TEST_SUITE(net_accept_many, *boost::unit_test::precondition(test::needs_ring))

BOOST_AUTO_TEST_CASE_TEMPLATE(connections_are_handed_out_one_by_one, Context, test::ring_contexts)
{
    Context context;
    zsync::acceptor listener(context.ctx, any_port);
    BOOST_REQUIRE(listener.supports_accept_many());
    auto source = listener.accept_many();
    accepted first;
    source.async_next(first.handler());
    test::let_arrive(context);
    BOOST_TEST(first.told.calls == 0);
    std::vector<test::descriptor> peers;
    peers.push_back(connect_to(listener.local_endpoint()));
    BOOST_TEST(context.run());
    BOOST_TEST(first.told.succeeded(), first.told);
    BOOST_TEST((first.value->get_executor() == context.executor()));
    BOOST_TEST((::fcntl(first.value->native_handle(), F_GETFD) & FD_CLOEXEC) != 0);
    BOOST_TEST((::fcntl(first.value->native_handle(), F_GETFL) & O_NONBLOCK) != 0);
    BOOST_TEST(first.value->remote_endpoint().port() != 0);

    for (int i = 0; i < 200; ++i) // above the limit, too
        peers.push_back(connect_to(listener.local_endpoint()));
    std::vector<zsync::stream> streams;
    error_code ec;
    test::let_arrive(context);
    while (auto stream = source.try_next(ec))
        streams.push_back(std::move(*stream));
    BOOST_TEST(ec == asio::error::would_block);
    BOOST_TEST(streams.size() >= 64u);
    while (streams.size() != 200)
    {
        accepted next;
        source.async_next(next.handler());
        BOOST_REQUIRE(context.run());
        BOOST_REQUIRE(next.told.succeeded());
        streams.push_back(std::move(*next.value));
    }
    reply wrote;
    streams.front().async_write_some(asio::buffer("x", 1), wrote.handler());
    BOOST_TEST(context.run());
    char byte = 0;
    BOOST_TEST(::recv(peers[1].get(), &byte, 1, 0) == 1);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(elsewhere_it_is_not_supported, Context, test::contexts_without_ring)
{
    Context context;
    zsync::acceptor listener(context.executor(), any_port);
    BOOST_TEST(!listener.supports_accept_many());
    auto source = listener.accept_many();
    accepted next;
    source.async_next(next.handler());
    BOOST_TEST(context.run());
    BOOST_TEST(next.told.failed_with(asio::error::operation_not_supported), next.told);
    BOOST_TEST(!next.value->is_open());
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_closed_acceptor_yields_nothing, Context, test::ring_contexts)
{
    Context context;
    zsync::acceptor listener(context.executor());
    auto source = listener.accept_many();
    accepted next;
    source.async_next(next.handler());
    BOOST_TEST(context.run());
    BOOST_TEST(next.told.failed_with(asio::error::bad_descriptor), next.told);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(without_descriptors_left_the_connection_waits, Context, test::ring_contexts)
{
    Context context;
    zsync::acceptor listener(context.executor(), any_port);
    auto source = listener.accept_many();
    error_code ec;
    BOOST_TEST(!source.try_next(ec));
    test::let_arrive(context);
    test::descriptor peer(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    accepted first, second;
    {
        std::optional<test::no_descriptors_left> none(std::in_place);
        const endpoint where = listener.local_endpoint();
        const int connected = ::connect(peer.get(), where.data(), static_cast<socklen_t>(where.size()));
        // An operation in flight has the limit of when it was handed over: the second one has the new.
        source.async_next(first.handler());
        const bool ended = context.run();
        if (first.told.succeeded())
        {
            none.reset();
            BOOST_TEST_MESSAGE("the limit is that of the operation's start: no case to test");
            return;
        }
        none.reset();
        BOOST_TEST(connected == 0);
        BOOST_TEST(ended);
    }
    BOOST_TEST(first.told.failed_with(asio::error::no_descriptors), first.told);
    source.async_next(second.handler());
    BOOST_TEST(context.run());
    BOOST_TEST(second.told.succeeded(), second.told);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_cancelled_wait_loses_no_connection, Context, test::ring_contexts)
{
    Context context;
    zsync::acceptor listener(context.executor(), any_port);
    auto source = listener.accept_many();
    accepted before, in_flight, after;
    asio::cancellation_signal early, signal;
    source.async_next(asio::bind_cancellation_slot(early.slot(), before.handler()));
    early.emit(asio::cancellation_type::total);
    BOOST_TEST(context.run());
    BOOST_TEST(before.told.failed_with(asio::error::operation_aborted), before.told);
    source.async_next(asio::bind_cancellation_slot(signal.slot(), in_flight.handler()));
    test::let_arrive(context);
    signal.emit(asio::cancellation_type::total);
    const test::descriptor peer = connect_to(listener.local_endpoint());
    BOOST_TEST(context.run());
    BOOST_TEST(in_flight.told.failed_with(asio::error::operation_aborted), in_flight.told);
    source.async_next(after.handler());
    BOOST_TEST(context.run());
    BOOST_TEST(after.told.succeeded(), after.told);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(what_is_accepted_is_handed_out_after_the_acceptor_is_closed, Context, test::ring_contexts)
{
    Context context;
    zsync::acceptor listener(context.executor(), any_port);
    auto source = listener.accept_many();
    error_code ec;
    BOOST_TEST(!source.try_next(ec));
    test::let_arrive(context);
    const test::descriptor peer = connect_to(listener.local_endpoint());
    test::let_arrive(context);
    listener.close();
    accepted one, end;
    source.async_next(one.handler());
    BOOST_TEST(context.run());
    BOOST_TEST(one.told.succeeded(), one.told);
    source.async_next(end.handler());
    BOOST_TEST(context.run());
    BOOST_TEST(end.told.failed_with(asio::error::operation_aborted), end.told);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_destroyed_source_closes_what_nobody_took, Context, test::ring_contexts)
{
    Context context;
    zsync::acceptor listener(context.executor(), any_port);
    std::optional<test::descriptor> peer;
    {
        auto source = listener.accept_many();
        error_code ec;
        BOOST_TEST(!source.try_next(ec));
        test::let_arrive(context);
        peer = connect_to(listener.local_endpoint());
        test::let_arrive(context);
    }
    test::let_arrive(context);
    BOOST_TEST(is_closed(*peer));
    // The acceptor goes on.
    const test::descriptor next = connect_to(listener.local_endpoint());
    accepted one;
    listener.async_accept(one.handler());
    BOOST_TEST(context.run());
    BOOST_TEST(one.told.succeeded(), one.told);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_destroyed_context_closes_what_was_accepted, Context, test::ring_contexts)
{
    int alive = 0;
    std::vector<test::descriptor> peers;
    const std::size_t before = test::open_descriptors();
    {
        auto context = std::make_unique<Context>();
        auto listener = std::make_shared<zsync::acceptor>(context->executor(), any_port);
        auto source = std::make_shared<zsync::connection_source>(listener->accept_many());
        accepted first;
        source->async_next(first.handler());
        peers.push_back(connect_to(listener->local_endpoint()));
        BOOST_TEST(context->run());
        first.value.reset();
        peers.push_back(connect_to(listener->local_endpoint()));
        peers.push_back(connect_to(listener->local_endpoint()));
        test::let_arrive(*context);
        error_code ec;
        BOOST_TEST(source->try_next(ec).has_value());
        BOOST_TEST(source->try_next(ec).has_value());
        source->async_next([source, listener, count = test::live_count(alive)](error_code, zsync::stream)
                           { BOOST_ERROR("called"); });
        peers.push_back(connect_to(listener->local_endpoint()));
        source.reset();
        listener.reset();
        BOOST_TEST(alive == 1);
    }
    BOOST_TEST(alive == 0);
    for (const auto& peer : peers)
        BOOST_TEST(is_closed(peer));
    peers.clear();
    BOOST_TEST(test::open_descriptors() == before);
}

BOOST_AUTO_TEST_SUITE_END()
