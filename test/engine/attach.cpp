// SPDX-License-Identifier: BSL-1.0
#include <zsync/engine/attach.hpp>

#include <zsync/engine/engine_for.hpp>
#include <zsync/file/file.hpp>
#include <zsync/net/stream.hpp>
#include <zsync/uring/uring_context.hpp>

#include "support/child_process.hpp"
#include "support/contexts.hpp"
#include "support/descriptors.hpp"
#include "support/forbid_ring.hpp"
#include "support/needs_ring.hpp"
#include "support/ping_pong.hpp"
#include "support/process_state.hpp"

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>

#include <array>
#include <chrono>
#include <future>
#include <memory>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using boost::system::error_code;
using test::reply;
using zsync::engine_kind;

namespace
{

using native_tcp = asio::ip::tcp::socket::rebind_executor<zsync::native_executor_type>::other;
using native_acceptor = asio::basic_socket_acceptor<asio::ip::tcp, zsync::native_executor_type>;

/// Sends a byte over a native connection of a context. Returns whether it came.
bool exchange_natively(asio::io_context& ctx)
{
    const auto executor = zsync::native_executor(ctx);
    native_acceptor listener(executor, {asio::ip::address_v4::loopback(), 0});
    native_tcp client(executor), server(executor);
    reply accepted, connected, sent, received;
    std::array<char, 8> data{};
    listener.async_accept(server,
                          [&](error_code ec)
                          {
                              accepted.handler()(ec, 0);
                              server.async_receive(asio::buffer(data), received.handler());
                          });
    client.async_connect(listener.local_endpoint(),
                         [&](error_code ec)
                         {
                             connected.handler()(ec, 0);
                             client.async_send(asio::buffer("x", 1), sent.handler());
                         });
    ctx.restart();
    ctx.run_for(test::most_patience);
    return accepted.succeeded() && connected.succeeded() && sent.succeeded() && received.succeeded() && data[0] == 'x';
}

const boost::unit_test::precondition needs_a_ring(test::needs_ring);

BOOST_AUTO_TEST_SUITE(engine_attach)

BOOST_AUTO_TEST_CASE(an_io_context_gets_a_ring, *needs_a_ring)
{
    asio::io_context ctx;
    const zsync::attach_result result = zsync::attach(ctx);
    BOOST_TEST((result.engine == engine_kind::uring));
    BOOST_TEST(result.ring_error == error_code());
    BOOST_TEST(result.why != "");
    BOOST_TEST((zsync::engine_for(ctx).kind() == engine_kind::uring));
    BOOST_TEST(exchange_natively(ctx));
    BOOST_TEST(zsync::engine_for(ctx).counters().operations_started == 4u);
}

BOOST_AUTO_TEST_CASE(attaching_again_changes_nothing, *needs_a_ring)
{
    asio::io_context ctx;
    zsync::attach(ctx);
    const zsync::engine* const first = &zsync::engine_for(ctx);
    BOOST_TEST((zsync::attach(ctx, {.ring_entries = 8}).engine == engine_kind::uring));
    BOOST_TEST((zsync::attach(static_cast<asio::execution_context&>(ctx)).engine == engine_kind::uring));
    BOOST_TEST(&zsync::engine_for(ctx) == first);

    zsync::uring_context own;
    const zsync::engine* const ring = &zsync::engine_for(own);
    BOOST_TEST((zsync::attach(own).engine == engine_kind::uring));
    BOOST_TEST(&zsync::engine_for(own) == ring);
}

BOOST_AUTO_TEST_CASE(what_the_reactor_has_goes_on, *needs_a_ring)
{
    // A context that has run already: its task is the reactor, and a timer and a socket wait there.
    asio::io_context ctx;
    auto pair = test::make_socket_pair();
    asio::local::stream_protocol::socket early(ctx, asio::local::stream_protocol(), pair.first.release());
    asio::steady_timer timer(ctx, 20ms);
    std::array<char, 8> data{};
    reply received;
    bool fired = false;
    early.async_receive(asio::buffer(data), received.handler());
    timer.async_wait([&](error_code ec) { fired = !ec; });
    ctx.poll();

    BOOST_TEST((zsync::attach(ctx).engine == engine_kind::uring));
    BOOST_REQUIRE_EQUAL(::send(pair.second.get(), "x", 1, MSG_NOSIGNAL), 1);
    ctx.restart();
    ctx.run_for(test::most_patience);
    BOOST_TEST(fired);
    BOOST_TEST(received.succeeded(), received);
    BOOST_TEST(exchange_natively(ctx));
}

BOOST_AUTO_TEST_CASE(several_threads_run_an_attached_context, *needs_a_ring)
{
    asio::io_context ctx;
    zsync::attach(ctx);
    BOOST_TEST(test::play_on_three_threads(ctx, 100));
}

BOOST_AUTO_TEST_CASE(a_thread_pool_gets_a_guest_ring, *needs_a_ring)
{
    const std::size_t before = test::this_process().threads;
    asio::thread_pool pool(2);
    BOOST_TEST((zsync::attach(pool).engine == engine_kind::uring));
    BOOST_TEST((zsync::engine_for(pool).kind() == engine_kind::uring));
    BOOST_TEST((zsync::attach(pool).engine == engine_kind::uring));
    const test::eight_games games(pool.get_executor(), 200);
    BOOST_TEST(test::this_process().threads <= before + 2);
    pool.wait();
    BOOST_TEST(games.ended());
    BOOST_TEST(zsync::engine_for(pool).counters().operations_started == 8u * 200 * 2);
}

BOOST_AUTO_TEST_CASE(operations_of_a_guest_ring_are_cancelled_and_closed, *needs_a_ring)
{
    asio::thread_pool pool(2);
    zsync::attach(pool);
    auto [a, b] = zsync::make_stream_pair(pool.get_executor());
    std::array<char, 8> data;
    std::promise<error_code> first, second;
    a.async_read_some(asio::buffer(data), [&](error_code ec, std::size_t) { first.set_value(ec); });
    a.cancel();
    BOOST_TEST(first.get_future().get() == asio::error::operation_aborted);
    a.async_read_some(asio::buffer(data), [&](error_code ec, std::size_t) { second.set_value(ec); });
    a.close();
    BOOST_TEST(second.get_future().get() == asio::error::operation_aborted);
    pool.wait();
}

BOOST_AUTO_TEST_CASE(a_pool_is_destroyed_with_operations_in_flight, *needs_a_ring)
{
    const std::size_t descriptors = test::this_process().descriptors;
    std::array<char, 8> data;
    auto alive = std::make_shared<int>();
    {
        asio::thread_pool pool(2);
        zsync::attach(pool);
        auto [a, b] = zsync::make_stream_pair(pool.get_executor());
        a.async_read_some(asio::buffer(data), [alive](error_code, std::size_t) {});
        pool.stop();
        pool.join();
    }
    BOOST_TEST(alive.use_count() == 1);
    BOOST_TEST(test::this_process().descriptors == descriptors);
}

BOOST_AUTO_TEST_CASE(a_guest_ring_lives_through_a_fork, *needs_a_ring)
{
    // As if in the child: a new ring in the place of the one that was shared.
    for (const auto event : {asio::execution_context::fork_parent, asio::execution_context::fork_child})
    {
        asio::io_context ctx;
        zsync::attach(static_cast<asio::execution_context&>(ctx));
        auto [a, b] = zsync::make_stream_pair(ctx.get_executor());
        std::array<char, 8> data;
        reply read, wrote;
        b.async_read_some(asio::buffer(data), read.handler());
        ctx.poll();
        ctx.notify_fork(asio::io_context::fork_prepare);
        ctx.notify_fork(event);
        a.async_write_some(asio::buffer("x", 1), wrote.handler());
        ctx.restart();
        ctx.run_for(test::most_patience);
        BOOST_TEST(read.succeeded(), read);
        BOOST_TEST(wrote.succeeded(), wrote);
    }
}

BOOST_AUTO_TEST_CASE(a_context_that_has_an_engine_keeps_it)
{
    asio::thread_pool pool(1);
    zsync::engine& first = zsync::engine_for(pool);
    BOOST_TEST((zsync::attach(pool).engine == engine_kind::reactor));
    BOOST_TEST(&zsync::engine_for(pool) == &first);

    zsync::fiber_context fibers;
    BOOST_TEST((zsync::attach(fibers).engine == fibers.engine()));
}

BOOST_AUTO_TEST_CASE(without_a_ring_the_context_stays_on_epoll_and_says_why)
{
    const auto child = test::run_in_child(
        [](const test::child_voice& voice)
        {
            if (test::forbid_ring() != 0)
            {
                voice.say("no filters");
                return 0;
            }
            asio::io_context ctx;
            asio::thread_pool pool(1);
            const auto plain = zsync::attach(ctx);
            const auto guest = zsync::attach(pool);
            bool good = true;
            for (const auto& result : {plain, guest})
            {
                good &= voice.check(result.engine == engine_kind::reactor, "the context is on epoll");
                good &= voice.check(result.ring_error.value() == EPERM, "the error is the set-up's");
                good &= voice.check(result.why != "", "it says why");
            }
            int thrown = 0;
            for (const bool plainly : {true, false})
            {
                try
                {
                    plainly ? zsync::attach(ctx, {.require_ring = true}) : zsync::attach(pool, {.require_ring = true});
                }
                catch (const boost::system::system_error& failure)
                {
                    thrown += failure.code() == plain.ring_error;
                }
            }
            good &= voice.check(thrown == 2, "who requires a ring is refused");
            good &= voice.check(exchange_natively(ctx), "native types work on epoll");
            return good ? 0 : 1;
        });
    BOOST_TEST(child.ok(), child);
    if (child.text == "no filters")
        BOOST_TEST_MESSAGE("skipped: no seccomp filters here");
    else
        BOOST_TEST(child.text == "");
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace
