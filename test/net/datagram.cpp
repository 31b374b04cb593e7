// SPDX-License-Identifier: BSL-1.0
#include <zsync/net/datagram.hpp>

#include "support/contexts.hpp"
#include "support/descriptors.hpp"

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>

#include <array>
#include <memory>
#include <string>
#include <vector>

namespace asio = boost::asio;
using boost::system::error_code;
using test::reply;
using zsync::endpoint;

namespace
{

const endpoint any_port("127.0.0.1", 0);

} // namespace

BOOST_AUTO_TEST_SUITE(net_datagram)

BOOST_AUTO_TEST_CASE_TEMPLATE(sends_and_receives_with_addresses, Context, test::contexts)
{
    Context context;
    zsync::datagram a(context.ctx, any_port);
    zsync::datagram b(context.executor(), any_port);
    std::array<char, 64> data;
    endpoint sender;
    reply sent, received;
    b.async_receive_from(asio::buffer(data), sender, received.handler());
    context.settle();
    BOOST_TEST(received.calls == 0);
    a.async_send_to(asio::buffer("hello", 5), b.local_endpoint(), sent.handler());
    BOOST_TEST(context.run());
    BOOST_TEST(sent.succeeded(), sent);
    BOOST_TEST(received.succeeded(), received);
    BOOST_TEST(received.bytes == 5u);
    BOOST_TEST(sender == a.local_endpoint());
}

BOOST_AUTO_TEST_CASE_TEMPLATE(connected_ones_need_no_address, Context, test::contexts)
{
    Context context;
    zsync::datagram a(context.executor());
    zsync::datagram b(context.executor(), any_port);
    reply connected, sent, received;
    a.async_connect(b.local_endpoint(), connected.handler());
    BOOST_TEST(context.run());
    BOOST_TEST(connected.succeeded(), connected);
    std::array<char, 2> first{};
    std::array<char, 8> second{};
    const std::array<asio::const_buffer, 2> out{asio::buffer("ab", 2), asio::buffer("cde", 3)};
    const std::array<asio::mutable_buffer, 2> in{asio::buffer(first), asio::buffer(second)};
    a.async_send(out, sent.handler());
    b.async_receive(in, received.handler());
    BOOST_TEST(context.run());
    BOOST_TEST(sent.bytes == 5u);
    BOOST_TEST(received.bytes == 5u);
    BOOST_TEST(second[2] == 'e');
}

BOOST_AUTO_TEST_CASE_TEMPLATE(empty_datagrams_are_datagrams, Context, test::contexts)
{
    Context context;
    zsync::datagram a(context.executor(), any_port);
    zsync::datagram b(context.executor(), any_port);
    reply sent, received;
    std::array<char, 8> data;
    endpoint sender;
    a.async_send_to(asio::const_buffer(), b.local_endpoint(), sent.handler());
    b.async_receive_from(asio::buffer(data), sender, received.handler());
    BOOST_TEST(context.run());
    BOOST_TEST(sent.succeeded(), sent);
    BOOST_TEST(received.succeeded(), received);
    BOOST_TEST(received.bytes == 0u);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_datagram_takes_sixteen_buffers, Context, test::contexts)
{
    Context context;
    zsync::datagram a(context.executor(), any_port);
    zsync::datagram b(context.executor(), any_port);
    std::string text(100, 'x');
    std::vector<asio::const_buffer> out;
    for (char& each : text)
        out.push_back(asio::buffer(&each, 1));
    reply sent;
    a.async_send_to(out, b.local_endpoint(), sent.handler());
    BOOST_TEST(context.run());
    BOOST_TEST(sent.bytes == 16u);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(sending_to_nowhere_fails, Context, test::contexts)
{
    Context context;
    zsync::datagram a(context.executor(), any_port);
    zsync::datagram closed(context.executor());
    reply told, of_closed;
    a.async_send(asio::buffer("x", 1), told.handler());
    closed.async_send(asio::buffer("x", 1), of_closed.handler());
    BOOST_TEST(context.run());
    BOOST_TEST(told.calls == 1);
    BOOST_TEST(told.error.value() == EDESTADDRREQ, told);
    BOOST_TEST(of_closed.failed_with(asio::error::bad_descriptor), of_closed);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_receive_is_cancelled_before_and_in_flight, Context, test::contexts)
{
    for (const bool settle : {false, true})
    {
        Context context;
        zsync::datagram a(context.executor(), any_port);
        std::array<char, 8> data;
        endpoint sender;
        reply told;
        asio::cancellation_signal signal;
        a.async_receive_from(asio::buffer(data), sender, asio::bind_cancellation_slot(signal.slot(), told.handler()));
        if (settle)
            context.settle();
        signal.emit(asio::cancellation_type::total);
        BOOST_TEST(context.run());
        BOOST_TEST(told.failed_with(asio::error::operation_aborted), told);
        BOOST_TEST(sender == endpoint());
    }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_destroyed_context_destroys_the_handler, Context, test::contexts)
{
    int alive = 0;
    {
        auto context = std::make_unique<Context>();
        auto a = std::make_shared<zsync::datagram>(context->executor(), any_port);
        auto data = std::make_shared<std::array<char, 8>>();
        a->async_receive(asio::buffer(*data), [a, data, count = test::live_count(alive)](error_code, std::size_t)
                         { BOOST_ERROR("called"); });
        context->settle();
        a.reset();
        BOOST_TEST(alive == 1);
    }
    BOOST_TEST(alive == 0);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(one_send_makes_many_datagrams, Context, test::contexts)
{
    Context context;
    zsync::datagram a(context.executor(), any_port);
    zsync::datagram b(context.executor(), any_port);
    std::string text;
    for (int i = 0; i < 10; ++i)
        text += std::string(100, static_cast<char>('a' + i));
    text += "rest";
    reply sent;
    a.async_send_segments(asio::buffer(text), 100, b.local_endpoint(), sent.handler());
    BOOST_TEST(context.run());
    BOOST_TEST(sent.succeeded(), sent);
    BOOST_TEST(sent.bytes == text.size());
    std::string received;
    for (int i = 0; i < 11; ++i)
    {
        std::array<char, 256> data;
        endpoint sender;
        error_code ec;
        std::size_t bytes = 0, segment = 1;
        b.async_receive_segments(asio::buffer(data), sender,
                                 [&](error_code error, std::size_t n, std::size_t each)
                                 {
                                     ec = error;
                                     bytes = n;
                                     segment = each;
                                 });
        BOOST_TEST(context.run());
        BOOST_TEST(!ec, ec.message());
        BOOST_TEST(bytes == (i < 10 ? 100u : 4u));
        BOOST_TEST(segment == 0u);
        BOOST_TEST(sender == a.local_endpoint());
        received.append(data.data(), bytes);
    }
    BOOST_TEST(received == text);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(datagrams_are_put_together_on_request, Context, test::contexts)
{
    Context context;
    zsync::datagram a(context.executor(), any_port);
    zsync::datagram b(context.executor(), any_port);
    error_code ec;
    b.set_receive_coalescing(true, ec);
    BOOST_REQUIRE(!ec);
    const std::string text(1050, 'x');
    reply sent;
    a.async_send_segments(asio::buffer(text), 100, b.local_endpoint(), sent.handler());
    std::vector<char> room(65536);
    endpoint sender;
    std::size_t bytes = 0, segment = 0;
    b.async_receive_segments(asio::buffer(room), sender,
                             [&](error_code error, std::size_t n, std::size_t each)
                             {
                                 ec = error;
                                 bytes = n;
                                 segment = each;
                             });
    BOOST_TEST(context.run());
    BOOST_TEST(!ec, ec.message());
    BOOST_TEST(bytes == 1050u);
    BOOST_TEST(segment == 100u);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(too_many_segments_are_refused, Context, test::contexts)
{
    Context context;
    zsync::datagram a(context.executor(), any_port);
    zsync::datagram b(context.executor(), any_port);
    const std::string text(1000, 'x');
    reply told;
    a.async_send_segments(asio::buffer(text), 1, b.local_endpoint(), told.handler());
    BOOST_TEST(context.run());
    BOOST_TEST(told.calls == 1);
    BOOST_TEST(!told.succeeded());
}

BOOST_AUTO_TEST_CASE_TEMPLATE(multicast_options_take_the_sockets_family, Context, test::contexts)
{
    Context context;
    zsync::datagram four(context.executor(), any_port);
    four.set_option(asio::ip::multicast::hops(3));
    asio::ip::multicast::hops hops;
    four.get_option(hops);
    BOOST_TEST(hops.value() == 3);
    zsync::datagram six(context.executor());
    error_code ec;
    six.open(AF_INET6, ec);
    if (ec)
    {
        BOOST_TEST_MESSAGE("no IPv6 here: " << ec.message());
        return;
    }
    six.set_option(asio::ip::multicast::hops(4));
    six.get_option(hops);
    BOOST_TEST(hops.value() == 4);
}

BOOST_AUTO_TEST_SUITE_END()
