// SPDX-License-Identifier: BSL-1.0
#include <zsync/net/stream.hpp>

#include "support/descriptors.hpp"
#include "support/sources.hpp"

#include <zsync/core/use_await.hpp>
#include <zsync/engine/engine_for.hpp>
#include <zsync/fiber/spawn.hpp>

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <array>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace asio = boost::asio;
using boost::system::error_code;
using test::reply;
using zsync::buffer_view;
using replies = test::reply_with<buffer_view>;

namespace
{

/// A stream of a context, and the other end, a bare descriptor.
template <class Context>
struct connection
{
    explicit connection(Context& context, int type = SOCK_STREAM)
    {
        auto ends = test::make_socket_pair(SOCK_NONBLOCK, type);
        mine.emplace(context.executor(), ends.first.release());
        peer = std::move(ends.second);
    }

    void put(std::string_view text) const
    {
        BOOST_REQUIRE_EQUAL(::send(peer.get(), text.data(), text.size(), MSG_NOSIGNAL),
                            static_cast<ssize_t>(text.size()));
    }

    std::optional<zsync::stream> mine;
    test::descriptor peer;
};

/// Takes what there is until there is an error, which is returned.
template <class Context>
error_code take_all(Context& context, zsync::view_source& source, std::string& into)
{
    for (;;)
    {
        replies next;
        source.async_next(next.handler());
        if (!context.run())
            return asio::error::timed_out;
        if (next.told.error)
            return next.told.error;
        into += next.value->text();
    }
}

} // namespace

BOOST_AUTO_TEST_SUITE(net_receive_many, *boost::unit_test::precondition(test::needs_ring))

BOOST_AUTO_TEST_CASE_TEMPLATE(data_is_handed_out_in_order_and_then_the_end, Context, test::ring_contexts)
{
    Context context;
    connection on(context);
    BOOST_REQUIRE(on.mine->supports_receive_many());
    auto source = on.mine->receive_many();
    replies first;
    source.async_next(first.handler());
    test::let_arrive(context);
    BOOST_TEST(first.told.calls == 0);
    on.put("hello");
    BOOST_TEST(context.run());
    BOOST_TEST(first.told.succeeded(), first.told);
    BOOST_TEST(first.value->text() == "hello");

    std::string sent, received;
    for (int i = 0; i < 40; ++i)
    {
        const std::string part(static_cast<std::size_t>(1 + 997 * i), static_cast<char>('a' + i % 26));
        on.put(part);
        sent += part;
        test::let_arrive(context);
        error_code ec;
        while (auto view = source.try_next(ec))
            received += view->text();
        BOOST_TEST(ec == asio::error::would_block);
    }
    on.put("the rest");
    sent += "the rest";
    on.peer.reset();
    BOOST_TEST(take_all(context, source, received) == asio::error::eof);
    BOOST_TEST((received == sent));
    replies again;
    source.async_next(again.handler());
    BOOST_TEST(context.run());
    BOOST_TEST(again.told.failed_with(asio::error::eof), again.told);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(elsewhere_it_is_not_supported, Context, test::contexts_without_ring)
{
    Context context;
    connection on(context);
    BOOST_TEST(!on.mine->supports_receive_many());
    BOOST_TEST(!zsync::make_buffers(context.ctx, {}));
    auto source = on.mine->receive_many();
    replies next;
    source.async_next(next.handler());
    BOOST_TEST(next.told.calls == 0);
    BOOST_TEST(context.run());
    BOOST_TEST(next.told.failed_with(asio::error::operation_not_supported), next.told);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_reset_is_reported_after_the_data, Context, test::ring_contexts)
{
    Context context;
    test::loopback_listener listener;
    test::descriptor peer = listener.connect();
    zsync::stream mine(context.executor(), ::accept4(listener.socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
    auto source = mine.receive_many();
    error_code ec;
    BOOST_TEST(!source.try_next(ec));
    BOOST_TEST(::send(peer.get(), "data", 4, 0) == 4);
    test::let_arrive(context);
    const ::linger now{1, 0};
    ::setsockopt(peer.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
    peer.reset();
    std::string received;
    BOOST_TEST(take_all(context, source, received) == asio::error::connection_reset);
    BOOST_TEST(received == "data");
    BOOST_TEST(take_all(context, source, received) == asio::error::eof);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_cancelled_wait_loses_nothing, Context, test::ring_contexts)
{
    for (const auto type :
         {asio::cancellation_type::terminal, asio::cancellation_type::partial, asio::cancellation_type::total})
    {
        Context context;
        connection on(context);
        auto source = on.mine->receive_many();
        replies before, in_flight, after;
        asio::cancellation_signal early, signal;
        source.async_next(asio::bind_cancellation_slot(early.slot(), before.handler()));
        early.emit(type);
        BOOST_TEST(context.run());
        BOOST_TEST(before.told.failed_with(asio::error::operation_aborted), before.told);
        source.async_next(asio::bind_cancellation_slot(signal.slot(), in_flight.handler()));
        test::let_arrive(context);
        signal.emit(type);
        on.put("kept");
        BOOST_TEST(context.run());
        BOOST_TEST(in_flight.told.failed_with(asio::error::operation_aborted), in_flight.told);
        source.async_next(after.handler());
        signal.emit(type); // of a wait that is over
        BOOST_TEST(context.run());
        BOOST_TEST(after.told.succeeded(), after.told);
        BOOST_TEST(after.value->text() == "kept");
    }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_second_wait_and_a_second_reader_are_refused, Context, test::ring_contexts)
{
    Context context;
    connection on(context);
    auto source = on.mine->receive_many();
    replies one, two;
    reply read;
    char byte;
    source.async_next(one.handler());
    source.async_next(two.handler());
    on.mine->async_read_some(asio::buffer(&byte, 1), read.handler());
    test::let_arrive(context);
    BOOST_TEST(two.told.failed_with(asio::error::already_started), two.told);
    BOOST_TEST(read.failed_with(asio::error::already_started), read);
    on.put("x");
    BOOST_TEST(context.run());
    BOOST_TEST(one.told.succeeded(), one.told);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(closing_hands_out_what_has_arrived, Context, test::ring_contexts)
{
    Context context;
    connection on(context);
    auto source = on.mine->receive_many();
    error_code ec;
    BOOST_TEST(!source.try_next(ec));
    test::let_arrive(context);
    on.put("one");
    test::let_arrive(context);
    reply closed;
    on.mine->async_close(closed.handler());
    BOOST_TEST(context.run());
    BOOST_TEST(closed.succeeded(), closed);
    std::string received;
    BOOST_TEST(take_all(context, source, received) == asio::error::operation_aborted);
    BOOST_TEST(received == "one");
    BOOST_TEST(take_all(context, source, received) == asio::error::bad_descriptor);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(stopping_leaves_the_stream_to_plain_reads, Context, test::ring_contexts)
{
    Context context;
    connection on(context);
    auto source = on.mine->receive_many();
    error_code ec;
    BOOST_TEST(!source.try_next(ec));
    test::let_arrive(context);
    on.put("by the source");
    test::let_arrive(context);
    source.stop();
    std::string received;
    BOOST_TEST(take_all(context, source, received) == asio::error::operation_aborted);
    BOOST_TEST(received == "by the source");
    on.put("by a read");
    std::array<char, 32> data{};
    reply read;
    on.mine->async_read_some(asio::buffer(data), read.handler());
    BOOST_TEST(context.run());
    BOOST_TEST(read.succeeded(), read);
    BOOST_TEST(read.bytes == 9u);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_destroyed_source_aborts_its_wait_and_frees_its_buffers, Context, test::ring_contexts)
{
    Context context;
    const auto buffers = zsync::make_buffers(context.ctx, {.count = 2, .bytes = 256});
    connection first(context), second(context);
    replies aborted;
    {
        auto source = first.mine->receive_many({.buffers = buffers});
        source.async_next(aborted.handler());
        test::let_arrive(context);
    }
    {
        auto source = first.mine->receive_many({.buffers = buffers, .limit = 100});
        test::let_arrive(context);
        error_code ec;
        BOOST_TEST(!source.try_next(ec));
        first.put(std::string(600, 'x')); // more than the pool holds
        test::let_arrive(context);
    }
    BOOST_TEST(context.run());
    BOOST_TEST(aborted.told.failed_with(asio::error::operation_aborted), aborted.told);
    auto source = second.mine->receive_many({.buffers = buffers});
    second.put("here");
    replies next;
    source.async_next(next.handler());
    BOOST_TEST(context.run());
    BOOST_TEST(next.told.succeeded(), next.told);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(nothing_is_lost_when_buffers_run_dry, Context, test::ring_contexts)
{
    Context context;
    const auto buffers = zsync::make_buffers(context.ctx, {.count = 4, .bytes = 256});
    connection on(context);
    auto source = on.mine->receive_many({.buffers = buffers, .limit = 100});
    std::string sent;
    for (int i = 0; i < 4000; ++i)
        sent += std::to_string(i) + ' ';
    std::string received;
    std::vector<buffer_view> kept; // by a slow consumer
    on.put(sent);
    while (kept.size() < 4)
    {
        replies next;
        source.async_next(next.handler());
        BOOST_REQUIRE(context.run());
        BOOST_REQUIRE(next.told.succeeded());
        received += next.value->text();
        kept.push_back(std::move(*next.value));
    }
    replies starved;
    source.async_next(starved.handler());
    test::let_arrive(context);
    BOOST_TEST(starved.told.calls == 0);
    std::thread([&] { kept.erase(kept.begin()); }).join();
    BOOST_TEST(context.run());
    BOOST_TEST(starved.told.succeeded(), starved.told);
    received += starved.value->text();
    starved.value.reset();
    kept.clear();
    on.peer.reset();
    BOOST_TEST(take_all(context, source, received) == asio::error::eof);
    BOOST_TEST((received == sent));
    if constexpr (requires { context.ctx.counters(); })
        BOOST_TEST(context.ctx.counters().buffers_dry > 0u);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_starved_receive_can_be_cancelled_closed_and_destroyed, Context, test::ring_contexts)
{
    for (const int how : {0, 1, 2})
    {
        Context context;
        const auto buffers = zsync::make_buffers(context.ctx, {.count = 1, .bytes = 256});
        connection on(context);
        auto source = std::make_optional(on.mine->receive_many({.buffers = buffers}));
        on.put(std::string(300, 'x'));
        replies one, two;
        source->async_next(one.handler());
        BOOST_TEST(context.run());
        BOOST_TEST(one.told.succeeded(), one.told);
        source->async_next(two.handler());
        test::let_arrive(context);
        BOOST_TEST(two.told.calls == 0);
        if (how == 0)
            source->stop();
        else if (how == 1)
            on.mine->close();
        else
            source.reset();
        BOOST_TEST(context.run());
        BOOST_TEST(two.told.failed_with(asio::error::operation_aborted), two.told);
    }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_slow_consumer_holds_its_peer_and_nobody_else, Context, test::ring_contexts)
{
    Context context;
    const auto buffers = zsync::make_buffers(context.ctx, {.count = 64, .bytes = 256});
    connection slow(context), quick(context);
    auto slow_source = slow.mine->receive_many({.buffers = buffers, .limit = 4});
    auto quick_source = quick.mine->receive_many({.buffers = buffers, .limit = 4});
    error_code ec;
    BOOST_TEST(!slow_source.try_next(ec));
    test::let_arrive(context);
    std::string sent;
    for (int i = 0; i < 200; ++i) // each a buffer of its own, had it all been received
    {
        const std::string line = std::to_string(i) + '\n';
        slow.put(line);
        sent += line;
        test::let_arrive(context);
    }
    quick.put("through");
    replies through;
    quick_source.async_next(through.handler());
    BOOST_TEST(context.run());
    BOOST_TEST(through.told.succeeded(), through.told);
    BOOST_TEST(slow.mine->available() > 0u); // waits in the socket
    slow.peer.reset();
    std::string received;
    BOOST_TEST(take_all(context, slow_source, received) == asio::error::eof);
    BOOST_TEST(received == sent);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(bundles_fill_several_buffers_in_order, Context, test::ring_contexts)
{
    Context context;
    const auto buffers = zsync::make_buffers(context.ctx, {.count = 16, .bytes = 256});
    connection on(context);
    auto source = on.mine->receive_many({.buffers = buffers, .limit = 64, .bundles = true});
    std::string sent, received;
    for (int round = 0; round < 50; ++round)
    {
        std::string part;
        for (int i = 0; i < 40 * (1 + round % 5); ++i)
            part += std::to_string(round * 1000 + i) + ' ';
        on.put(part);
        sent += part;
        while (received.size() < sent.size())
        {
            replies next;
            source.async_next(next.handler());
            BOOST_REQUIRE(context.run());
            BOOST_REQUIRE(next.told.succeeded());
            received += next.value->text();
        }
    }
    BOOST_TEST(received == sent);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_destroyed_context_destroys_the_handler_and_leaves_the_views, Context,
                              test::ring_contexts)
{
    int alive = 0;
    buffer_view kept;
    {
        auto context = std::make_unique<Context>();
        {
            connection on(*context);
            auto source = on.mine->receive_many();
            on.put("kept");
            replies next;
            source.async_next(next.handler());
            BOOST_TEST(context->run());
            kept = std::move(*next.value);
        }
        connection other(*context);
        auto source = std::make_shared<zsync::view_source>(other.mine->receive_many());
        source->async_next([source, mine = std::make_shared<zsync::stream>(std::move(*other.mine)),
                            count = test::live_count(alive)](error_code, buffer_view) { BOOST_ERROR("called"); });
        source.reset();
        test::let_arrive(*context);
        context.reset();
    }
    BOOST_TEST(alive == 0);
    BOOST_TEST(kept.text() == "kept");
    kept.reset();
}

BOOST_AUTO_TEST_CASE(a_fiber_awaits_views)
{
    zsync::fiber_context ctx;
    auto [mine, peer] = zsync::make_stream_pair(ctx.get_executor());
    std::string received;
    error_code ended;
    zsync::spawn(
        ctx,
        [&, mine = std::move(mine)]() mutable
        {
            auto source = mine.receive_many();
            for (;;)
            {
                const buffer_view view = source.async_next(zsync::use_await[ended]);
                if (ended)
                    return;
                received += view.text();
            }
        },
        asio::detached);
    zsync::spawn(
        ctx,
        [&, peer = std::move(peer)]() mutable
        {
            for (int i = 0; i < 1000; ++i)
                asio::async_write(peer, asio::buffer("0123456789", 10), zsync::use_await);
        },
        asio::detached);
    ctx.run();
    BOOST_TEST(ended == asio::error::eof);
    BOOST_TEST(received.size() == 10'000u);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_thousand_connections_share_a_pool, Context, test::ring_contexts)
{
    ::rlimit limit;
    ::getrlimit(RLIMIT_NOFILE, &limit);
    const ::rlimit before = limit;
    limit.rlim_cur = std::min<::rlim_t>(limit.rlim_max, 4096);
    ::setrlimit(RLIMIT_NOFILE, &limit);
    const std::size_t count = limit.rlim_cur >= 4096 ? 1000 : 100;
    {
        Context context;
        const auto buffers = zsync::make_buffers(context.ctx, {.count = 64, .bytes = 256});
        struct session
        {
            connection<Context> on;
            zsync::view_source source;
            std::size_t bytes = 0;
            error_code ended;

            session(Context& in, const zsync::buffer_pool_ptr& pool)
                : on(in), source(on.mine->receive_many({.buffers = pool}))
            {
            }
            void next()
            {
                source.async_next(
                    [this](error_code ec, buffer_view view)
                    {
                        ended = ec;
                        bytes += view.size();
                        if (!ec)
                            next();
                    });
            }
        };
        std::deque<session> sessions;
        for (std::size_t i = 0; i < count; ++i)
            sessions.emplace_back(context, buffers).next();
        test::let_arrive(context);
        for (int round = 0; round < 3; ++round)
        {
            for (session& each : sessions)
                each.on.put(std::string(100, 'x'));
            test::let_arrive(context);
        }
        for (session& each : sessions)
            each.on.peer.reset();
        BOOST_TEST(context.run());
        BOOST_TEST(std::all_of(sessions.begin(), sessions.end(),
                               [](const session& each)
                               { return each.bytes == 300 && each.ended == asio::error::eof; }));
    }
    ::setrlimit(RLIMIT_NOFILE, &before);
}

BOOST_AUTO_TEST_CASE(several_threads_run_the_context_and_views_are_destroyed_elsewhere)
{
    zsync::uring_context ctx;
    const auto buffers = zsync::make_buffers(ctx, {.count = 8, .bytes = 256});
    auto ends = test::make_socket_pair();
    zsync::stream mine(ctx.get_executor(), ends.first.release());
    auto source = mine.receive_many({.buffers = buffers});
    std::string received;
    error_code ended;
    auto next = [&](auto& self) -> void
    {
        source.async_next(
            [&](error_code ec, buffer_view view)
            {
                ended = ec;
                received += view.text();
                if (ec)
                    return;
                asio::post(ctx, [view = std::move(view)]() mutable { view.reset(); });
                self(self);
            });
    };
    next(next);
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i)
        threads.emplace_back([&] { ctx.run(); });
    std::string sent;
    for (int i = 0; i < 2000; ++i)
    {
        const std::string line = std::to_string(i) + '\n';
        sent += line;
        BOOST_REQUIRE(::send(ends.second.get(), line.data(), line.size(), 0) > 0);
    }
    ends.second.reset();
    for (auto& thread : threads)
        thread.join();
    BOOST_TEST(ended == asio::error::eof);
    BOOST_TEST(received == sent);
}

BOOST_AUTO_TEST_CASE(parent_and_child_go_on_after_a_fork)
{
    zsync::uring_context ctx(1);
    auto ends = test::make_socket_pair();
    zsync::stream mine(ctx.get_executor(), ends.first.release());
    auto source = mine.receive_many();
    error_code ec;
    BOOST_TEST(!source.try_next(ec));
    {
        const auto work = asio::make_work_guard(ctx);
        ctx.poll();
        BOOST_REQUIRE(::send(ends.second.get(), "before", 6, 0) == 6);
        ctx.poll();
    }

    const auto takes = [&](std::string_view text)
    {
        bool good = false;
        source.async_next([&](error_code error, buffer_view view) { good = !error && view.text() == text; });
        ctx.restart();
        ctx.run();
        return good;
    };
    ctx.notify_fork(asio::execution_context::fork_prepare);
    const pid_t child = ::fork();
    if (child == 0)
    {
        ctx.notify_fork(asio::execution_context::fork_child);
        bool good = takes("before");
        BOOST_REQUIRE(::send(ends.second.get(), "child", 5, 0) == 5);
        good &= takes("child");
        ::_exit(good ? 0 : 1);
    }
    ctx.notify_fork(asio::execution_context::fork_parent);
    int status = -1;
    BOOST_TEST(::waitpid(child, &status, 0) == child);
    BOOST_TEST(status == 0);
    BOOST_TEST(takes("before"));
    BOOST_REQUIRE(::send(ends.second.get(), "parent", 6, 0) == 6);
    BOOST_TEST(takes("parent"));
}

BOOST_AUTO_TEST_SUITE_END()
