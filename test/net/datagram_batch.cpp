// SPDX-License-Identifier: BSL-1.0
#include <zsync/net/datagram_batch.hpp>

#include "support/descriptors.hpp"
#include "support/sources.hpp"

#include <zsync/engine/engine_for.hpp>
#include <zsync/net/datagram.hpp>

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace asio = boost::asio;
using boost::system::error_code;
using test::reply;
using zsync::endpoint;

namespace
{

const endpoint any_port("127.0.0.1", 0);

struct rooms
{
    explicit rooms(std::size_t count) : batch(count)
    {
        for (auto& room : memory)
            if (batch.size() < batch.capacity())
                batch.add(asio::mutable_buffer(room.data(), room.size()));
    }

    std::array<std::array<char, 16>, 64> memory;
    zsync::datagram_batch batch;
};

} // namespace

BOOST_AUTO_TEST_SUITE(net_datagram_batch)

BOOST_AUTO_TEST_CASE_TEMPLATE(several_go_and_come_by_one_operation, Context, test::contexts)
{
    Context context;
    zsync::datagram a(context.executor(), any_port);
    zsync::datagram b(context.executor(), any_port);
    rooms in(8);
    reply sent, received;
    b.async_receive_batch(in.batch, received.handler()); // which waits
    context.settle();
    BOOST_TEST(received.calls == 0);
    zsync::datagram_batch out(8);
    const std::array<std::string, 3> texts{"one", "second", "more than sixteen bytes"};
    for (const auto& text : texts)
        out.add(asio::buffer(text), b.local_endpoint());
    a.async_send_batch(out, sent.handler());
    BOOST_TEST(context.run());
    BOOST_TEST(sent.succeeded(), sent);
    BOOST_TEST(sent.bytes == 3u);
    BOOST_TEST(received.succeeded(), received);
    std::vector<std::pair<std::string, bool>> all;
    const auto take = [&](std::size_t count)
    {
        for (std::size_t i = 0; i < count; ++i)
        {
            all.emplace_back(std::string(in.batch.data(i), in.batch.bytes(i)), in.batch.truncated(i));
            BOOST_TEST(in.batch.sender(i) == a.local_endpoint());
            BOOST_TEST(in.batch.segment_bytes(i) == 0u);
        }
    };
    take(received.bytes);
    while (all.size() < 3)
    {
        reply more;
        b.async_receive_batch(in.batch, more.handler());
        BOOST_REQUIRE(context.run());
        BOOST_REQUIRE(more.succeeded());
        take(more.bytes);
    }
    BOOST_TEST(all[0].first == "one");
    BOOST_TEST(all[1].first == "second");
    BOOST_TEST(!all[1].second);
    BOOST_TEST(all[2].first == texts[2].substr(0, 16));
    BOOST_TEST(all[2].second);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(an_empty_batch_and_one_to_nowhere, Context, test::contexts)
{
    Context context;
    zsync::datagram a(context.executor(), any_port);
    zsync::datagram_batch nothing(4), nowhere(4);
    nowhere.add(asio::buffer("x", 1));
    reply empty, failed;
    a.async_send_batch(nothing, empty.handler());
    BOOST_TEST(context.run());
    BOOST_TEST(empty.succeeded(), empty);
    BOOST_TEST(empty.bytes == 0u);
    a.async_send_batch(nowhere, failed.handler());
    BOOST_TEST(context.run());
    BOOST_TEST(failed.error.value() == EDESTADDRREQ, failed);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_receive_is_cancelled_before_and_in_flight, Context, test::contexts)
{
    for (const bool settle : {false, true})
    {
        Context context;
        zsync::datagram a(context.executor(), any_port);
        rooms in(4);
        reply told;
        asio::cancellation_signal signal;
        a.async_receive_batch(in.batch, asio::bind_cancellation_slot(signal.slot(), told.handler()));
        if (settle)
            context.settle();
        signal.emit(asio::cancellation_type::total);
        BOOST_TEST(context.run());
        BOOST_TEST(told.failed_with(asio::error::operation_aborted), told);
    }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_destroyed_context_destroys_the_handler, Context, test::contexts)
{
    int alive = 0;
    {
        auto context = std::make_unique<Context>();
        auto a = std::make_shared<zsync::datagram>(context->executor(), any_port);
        auto in = std::make_shared<rooms>(4);
        a->async_receive_batch(in->batch, [a, in, count = test::live_count(alive)](error_code, std::size_t)
                               { BOOST_ERROR("called"); });
        context->settle();
        a.reset();
        BOOST_TEST(alive == 1);
    }
    BOOST_TEST(alive == 0);
}

BOOST_TEST_DECORATOR(*boost::unit_test::precondition(test::needs_ring))
BOOST_AUTO_TEST_CASE_TEMPLATE(a_source_tells_sender_and_length, Context, test::ring_contexts)
{
    Context context;
    zsync::datagram a(context.executor(), any_port);
    zsync::datagram b(context.executor(), any_port);
    BOOST_REQUIRE(b.supports_receive_many());
    const auto buffers = zsync::make_buffers(context.ctx, {.count = 8, .bytes = 512});
    auto source = b.receive_many({.buffers = buffers});
    test::reply_with<zsync::received_datagram> waiting;
    source.async_next(waiting.handler());
    test::let_arrive(context);
    BOOST_TEST(waiting.told.calls == 0);
    for (int i = 0; i < 100; ++i)
    {
        const std::string text(static_cast<std::size_t>(i * 5), 'x'); // from none to more than there is room for
        reply sent;
        a.async_send_to(asio::buffer(text), b.local_endpoint(), sent.handler());
        BOOST_TEST(context.run());
        BOOST_TEST(sent.succeeded(), sent);
        test::reply_with<zsync::received_datagram> next;
        auto& got = i == 0 ? waiting : next;
        if (i != 0)
            source.async_next(next.handler());
        BOOST_TEST(context.run());
        BOOST_REQUIRE(got.told.succeeded());
        BOOST_TEST(got.value->sender == a.local_endpoint());
        BOOST_TEST(got.value->data.size() == std::min<std::size_t>(text.size(), 512 - 168));
        BOOST_TEST(got.value->truncated == (text.size() > 512 - 168));
        BOOST_TEST(got.value->segment_bytes == 0u);
    }
    source.stop();
    test::reply_with<zsync::received_datagram> end;
    source.async_next(end.handler());
    BOOST_TEST(context.run());
    BOOST_TEST(end.told.failed_with(asio::error::operation_aborted), end.told);
}

BOOST_TEST_DECORATOR(*boost::unit_test::precondition(test::needs_ring))
BOOST_AUTO_TEST_CASE_TEMPLATE(a_source_tells_what_was_put_together, Context, test::ring_contexts)
{
    Context context;
    zsync::datagram a(context.executor(), any_port);
    zsync::datagram b(context.executor(), any_port);
    b.set_receive_coalescing(true);
    const auto buffers = zsync::make_buffers(context.ctx, {.count = 4, .bytes = 70'000});
    auto source = b.receive_many({.buffers = buffers});
    const std::string text(1050, 'x');
    reply sent;
    a.async_send_segments(asio::buffer(text), 100, b.local_endpoint(), sent.handler());
    test::reply_with<zsync::received_datagram> next;
    source.async_next(next.handler());
    BOOST_TEST(context.run());
    BOOST_REQUIRE(next.told.succeeded());
    BOOST_TEST(next.value->data.size() == 1050u);
    BOOST_TEST(next.value->segment_bytes == 100u);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(elsewhere_there_is_no_source, Context, test::contexts_without_ring)
{
    Context context;
    zsync::datagram a(context.executor(), any_port);
    BOOST_TEST(!a.supports_receive_many());
    auto source = a.receive_many();
    test::reply_with<zsync::received_datagram> next;
    source.async_next(next.handler());
    BOOST_TEST(context.run());
    BOOST_TEST(next.told.failed_with(asio::error::operation_not_supported), next.told);
}

BOOST_AUTO_TEST_SUITE_END()
