// SPDX-License-Identifier: BSL-1.0
#include <zsync/net/stream.hpp>

#include "support/descriptors.hpp"
#include "support/sources.hpp"

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>

#include <array>
#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include <linux/sockios.h>
#include <sys/ioctl.h>
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

/// Leaves no room, and lets none come: buffers of a size that was set do not grow. Returns how many bytes that took.
template <class Context>
std::size_t fill(tcp_connection<Context>& on)
{
    std::size_t taken = 0;
    const int small = 4096;
    ::setsockopt(on.peer.get(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    ::setsockopt(on.mine.native_handle(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    const std::string text(10'000, 'x');
    for (;;)
    {
        const ssize_t sent = ::send(on.mine.native_handle(), text.data(), text.size(), MSG_DONTWAIT);
        if (sent < 0)
            return taken;
        taken += static_cast<std::size_t>(sent);
    }
}

/// Bytes that the peer's kernel has not acknowledged.
int unacknowledged(int descriptor)
{
    int bytes = 0;
    ::ioctl(descriptor, SIOCOUTQ, &bytes);
    return bytes;
}

/// Goes on within the run function, when a condition holds there, or patience ends: a context for one thread does not
/// leave that function while the kernel has the memory of a send.
template <class Condition, class Then>
void when(const asio::any_io_executor& executor, Condition condition, Then then,
          std::chrono::steady_clock::time_point end = std::chrono::steady_clock::now() + test::most_patience)
{
    asio::post(executor,
               [=]
               {
                   if (condition() || std::chrono::steady_clock::now() >= end)
                       then();
                   else
                       when(executor, condition, then, end);
               });
}

/// Lets the loop take so many turns.
template <class Then>
void after_turns(const asio::any_io_executor& executor, int turns, Then then)
{
    when(
        executor, [left = std::make_shared<int>(turns)] { return --*left < 0; }, then);
}

std::string read_to_the_end(int descriptor)
{
    std::string all;
    std::array<char, 4096> piece;
    for (;;)
    {
        const ssize_t n = ::recv(descriptor, piece.data(), piece.size(), 0);
        if (n <= 0)
            return all;
        all.append(piece.data(), static_cast<std::size_t>(n));
    }
}

// What ends a send, or would.
template <class Context>
using ending = void (*)(tcp_connection<Context>&, asio::cancellation_signal&);

template <class Context>
inline constexpr std::array<ending<Context>, 3> endings{
    [](tcp_connection<Context>& on, asio::cancellation_signal&) { on.mine.cancel(); },
    [](tcp_connection<Context>&, asio::cancellation_signal& signal) { signal.emit(asio::cancellation_type::total); },
    [](tcp_connection<Context>& on, asio::cancellation_signal&) { on.mine.close(); }};

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

// The loop has not turned yet: what close() and shutdown() send before they act is a copy, made at once.
BOOST_AUTO_TEST_CASE_TEMPLATE(what_was_started_goes_out_before_a_close_or_a_shutdown, Context, test::ring_contexts)
{
    for (const bool close : {false, true})
    {
        Context context;
        tcp_connection on(context);
        BOOST_REQUIRE(!on.mine.zero_copy_from(1));
        std::string text(10'000, 'a');
        reply sent;
        on.mine.async_write_some(asio::buffer(text), sent.handler());
        if (close)
            on.mine.close();
        else
            on.mine.shutdown(zsync::stream::shutdown_send);
        BOOST_TEST(read_to_the_end(on.peer.get()).size() == 10'000u);
        BOOST_TEST(sent.calls == 0);
        BOOST_TEST(context.run());
        BOOST_TEST(sent.succeeded(), sent);
        BOOST_TEST(sent.bytes == 10'000u);
        if constexpr (requires { context.ctx.counters(); })
            BOOST_TEST(context.ctx.counters().zero_copy_sends == 0u);
    }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(one_that_found_no_room_ends_with_a_close_or_a_cancel_and_sends_nothing, Context,
                              test::ring_contexts)
{
    for (const auto end : endings<Context>)
    {
        Context context;
        tcp_connection on(context);
        BOOST_REQUIRE(!on.mine.zero_copy_from(1));
        const std::size_t before = fill(on);
        std::string text(100'000, 'a');
        reply told;
        asio::cancellation_signal signal;
        on.mine.async_write_some(asio::buffer(text), asio::bind_cancellation_slot(signal.slot(), told.handler()));
        after_turns(context.executor(), 4, [&] { end(on, signal); });
        BOOST_TEST(context.run());
        BOOST_TEST(told.failed_with(asio::error::operation_aborted), told);
        text.assign(text.size(), 'z'); // ours again: what the kernel still reads would arrive like this
        on.mine.close();
        BOOST_TEST((read_to_the_end(on.peer.get()) == std::string(before, 'x')));
    }
}

// The kernel has taken the bytes, which wait for room at the peer: it reads them when there is some, after the close
// too.
BOOST_AUTO_TEST_CASE_TEMPLATE(one_that_is_sent_completes_when_the_kernel_has_let_go_of_the_buffer, Context,
                              test::ring_contexts)
{
    for (const auto end : endings<Context>)
    {
        Context context;
        tcp_connection on(context);
        BOOST_REQUIRE(!on.mine.zero_copy_from(1));
        const std::size_t before = fill(on);
        const int large = 200'000;
        ::setsockopt(on.mine.native_handle(), SOL_SOCKET, SO_SNDBUF, &large, sizeof large);
        const int queued = unacknowledged(on.mine.native_handle());
        std::string text;
        for (int i = 0; i < 10'000; ++i)
            text += std::to_string(i);
        const std::string copy = text;
        reply told;
        asio::cancellation_signal signal;
        std::string received;
        std::thread reader;
        bool taken = false;
        on.mine.async_write_some(asio::buffer(text), asio::bind_cancellation_slot(signal.slot(), told.handler()));
        when(
            context.executor(), [&] { return unacknowledged(on.mine.native_handle()) > queued; },
            [&]
            {
                taken = unacknowledged(on.mine.native_handle()) > queued;
                end(on, signal);
                after_turns(context.executor(), 16,
                            [&]
                            {
                                BOOST_TEST(told.calls == 0);
                                reader = std::thread([&] { received = read_to_the_end(on.peer.get()); });
                            });
            });
        BOOST_TEST(context.run());
        BOOST_TEST(taken);
        BOOST_TEST(told.succeeded(), told);
        BOOST_TEST(told.bytes > 0u);
        text.assign(text.size(), 'z');
        on.mine.close();
        reader.join();
        BOOST_TEST((received == std::string(before, 'x') + copy.substr(0, told.bytes)));
        if constexpr (requires { context.ctx.counters(); })
            BOOST_TEST(context.ctx.counters().zero_copy_sends == 1u);
    }
}

// At whatever moment the cancellation comes: what arrives is what was told, and never what the buffer held later.
BOOST_AUTO_TEST_CASE_TEMPLATE(cancelled_at_any_moment_it_tells_what_has_been_sent, Context, test::ring_contexts)
{
    Context context;
    tcp_connection on(context);
    BOOST_REQUIRE(!on.mine.zero_copy_from(1));
    const int small = 4096;
    ::setsockopt(on.mine.native_handle(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    std::string received;
    std::thread reader([&] { received = read_to_the_end(on.peer.get()); });
    std::string expected, text(20'000, ' ');
    int cancelled = 0;
    for (int round = 0; round < 200; ++round)
    {
        text.assign(text.size(), static_cast<char>('a' + round % 26));
        reply told;
        on.mine.async_write_some(asio::buffer(text), told.handler());
        if (round % 5 == 0)
            on.mine.cancel();
        else
            after_turns(context.executor(), round % 5, [&] { on.mine.cancel(); });
        BOOST_TEST_REQUIRE(context.run());
        BOOST_TEST_REQUIRE((told.succeeded() || told.failed_with(asio::error::operation_aborted)), told);
        expected += text.substr(0, told.bytes);
        cancelled += told.bytes == 0;
        text.assign(text.size(), 'z');
    }
    on.mine.close();
    reader.join();
    BOOST_TEST(cancelled > 0); // those that no turn had handed over
    BOOST_TEST((received == expected));
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
