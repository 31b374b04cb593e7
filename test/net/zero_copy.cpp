// SPDX-License-Identifier: BSL-1.0
#include <zsync/net/stream.hpp>

#include "support/descriptors.hpp"
#include "support/sources.hpp"

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>

#include <array>
#include <memory>
#include <string>
#include <thread>

#include <sys/socket.h>

namespace asio = boost::asio;
using boost::system::error_code;
using test::reply;

namespace
{

template <class Context>
struct tcp_connection
{
    explicit tcp_connection(Context& context)
        : peer(listener.connect()),
          mine(context.executor(), ::accept4(listener.socket.get(), nullptr, nullptr, SOCK_CLOEXEC))
    {
    }

    /// Reads so much on another thread.
    std::thread reader(std::string& into, std::size_t bytes)
    {
        return std::thread(
            [this, &into, bytes]
            {
                into.resize(bytes);
                [[maybe_unused]] const auto n = ::recv(peer.get(), into.data(), bytes, MSG_WAITALL);
            });
    }

    test::loopback_listener listener;
    test::descriptor peer;
    zsync::stream mine;
};

/// Leaves no room, and lets none come: buffers of a size that was set do not grow.
template <class Context>
void fill(tcp_connection<Context>& on)
{
    const int small = 4096;
    ::setsockopt(on.peer.get(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    ::setsockopt(on.mine.native_handle(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    const std::string text(10'000, 'x');
    while (::send(on.mine.native_handle(), text.data(), text.size(), MSG_DONTWAIT) >= 0)
    {
    }
}

} // namespace

BOOST_AUTO_TEST_SUITE(net_zero_copy, *boost::unit_test::precondition(test::needs_ring))

BOOST_AUTO_TEST_CASE_TEMPLATE(large_sends_are_sent_from_where_they_are, Context, test::ring_contexts)
{
    Context context;
    tcp_connection on(context);
    BOOST_REQUIRE(!on.mine.zero_copy_from(10'000));
    std::string text;
    for (int i = 0; i < 200'000; ++i)
        text += std::to_string(i);
    std::string received;
    std::thread reader = on.reader(received, text.size() + 5);
    reply large, small;
    asio::async_write(on.mine, asio::buffer(text), large.handler());
    BOOST_TEST(context.run());
    // In several pieces, and below the limit.
    const std::array<asio::const_buffer, 2> pieces{asio::buffer("sm", 2), asio::buffer("all", 3)};
    on.mine.async_write_some(pieces, small.handler());
    BOOST_TEST(context.run());
    reader.join();
    BOOST_TEST(large.succeeded(), large);
    BOOST_TEST(small.succeeded(), small);
    BOOST_TEST((received == text + "small"));
    if constexpr (requires { context.ctx.counters(); })
    {
        const zsync::metrics now = context.ctx.counters();
        BOOST_TEST(now.zero_copy_sends > 0u);
        BOOST_TEST(now.zero_copy_copied <= now.zero_copy_sends);
    }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_sequence_of_buffers_is_sent_so_too, Context, test::ring_contexts)
{
    Context context;
    tcp_connection on(context);
    BOOST_REQUIRE(!on.mine.zero_copy_from(1));
    const std::string one(3000, 'a'), two(4000, 'b');
    const std::array<asio::const_buffer, 2> pieces{asio::buffer(one), asio::buffer(two)};
    reply sent;
    std::string received;
    std::thread reader = on.reader(received, 7000);
    on.mine.async_write_some(pieces, sent.handler());
    BOOST_TEST(context.run());
    reader.join();
    BOOST_TEST(sent.succeeded(), sent);
    BOOST_TEST((received == one + two));
}

BOOST_AUTO_TEST_CASE_TEMPLATE(it_fails_and_is_cancelled_like_any_send, Context, test::ring_contexts)
{
    for (const bool settle : {false, true})
    {
        Context context;
        tcp_connection on(context);
        BOOST_REQUIRE(!on.mine.zero_copy_from(1));
        const std::string text(100'000, 'x');
        fill(on);
        reply told;
        asio::cancellation_signal signal;
        on.mine.async_write_some(asio::buffer(text), asio::bind_cancellation_slot(signal.slot(), told.handler()));
        if (settle)
            context.settle();
        signal.emit(asio::cancellation_type::total);
        BOOST_TEST(context.run());
        BOOST_TEST(told.failed_with(asio::error::operation_aborted), told);
        reply broken;
        on.mine.shutdown(zsync::stream::shutdown_send);
        on.mine.async_write_some(asio::buffer(text), broken.handler());
        BOOST_TEST(context.run());
        BOOST_TEST(broken.failed_with(asio::error::broken_pipe), broken);
    }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_destroyed_context_destroys_the_handler, Context, test::ring_contexts)
{
    int alive = 0;
    {
        auto context = std::make_unique<Context>();
        auto on = std::make_shared<tcp_connection<Context>>(*context);
        BOOST_REQUIRE(!on->mine.zero_copy_from(1));
        auto text = std::make_shared<std::string>(100'000, 'x');
        fill(*on);
        on->mine.async_write_some(asio::buffer(*text), [on, text, count = test::live_count(alive)](
                                                           error_code, std::size_t) { BOOST_ERROR("called"); });
        context->settle();
        on.reset();
        BOOST_TEST(alive == 1);
    }
    BOOST_TEST(alive == 0);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(local_sockets_and_other_engines_send_as_ever, Context, test::contexts)
{
    Context context;
    auto ends = test::make_socket_pair(SOCK_NONBLOCK);
    zsync::stream local(context.executor(), ends.first.release());
    BOOST_TEST(local.zero_copy_from(1) == asio::error::operation_not_supported);
    reply sent;
    local.async_write_some(asio::buffer("text", 4), sent.handler());
    BOOST_TEST(context.run());
    BOOST_TEST(sent.succeeded(), sent);
    zsync::stream closed(context.executor());
    BOOST_TEST(closed.zero_copy_from(1) == asio::error::bad_descriptor);
}

BOOST_AUTO_TEST_SUITE_END()
