// SPDX-License-Identifier: BSL-1.0
#include <zsync/engine/engine_for.hpp>

#include <zsync/net/stream.hpp>

#include "support/contexts.hpp"
#include "support/descriptors.hpp"
#include "support/ping_pong.hpp"
#include "support/process_state.hpp"

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>

#include <array>
#include <future>
#include <memory_resource>
#include <thread>

namespace asio = boost::asio;
using boost::system::error_code;
using test::reply;

BOOST_AUTO_TEST_SUITE(engine_engine_for)

BOOST_AUTO_TEST_CASE(each_context_has_its_engine)
{
    asio::io_context plain;
    BOOST_TEST((zsync::engine_for(plain).kind() == zsync::engine_kind::reactor));
    BOOST_TEST(&zsync::engine_for(plain) == &zsync::engine_for(plain));
    asio::thread_pool pool(1);
    BOOST_TEST((zsync::engine_for(pool).kind() == zsync::engine_kind::reactor));
    BOOST_TEST(&zsync::engine_for(pool) != &zsync::engine_for(plain));
    zsync::uring_context ring;
    BOOST_TEST((zsync::engine_for(ring).kind() == ring.engine()));
    zsync::fiber_context fibers;
    BOOST_TEST((zsync::engine_for(fibers).kind() == fibers.engine()));
    BOOST_TEST(zsync::place_of(fibers).owner == zsync::loop::of(fibers));
    BOOST_TEST(!zsync::place_of(plain).owner);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(run_ends_when_nothing_is_in_flight, Context, test::contexts)
{
    Context context;
    auto [a, b] = zsync::make_stream_pair(context.executor());
    BOOST_TEST(context.run()); // open streams are no work
    std::array<char, 8> data;
    for (int i = 0; i < 3; ++i)
    {
        reply read, wrote;
        b.async_read_some(asio::buffer(data), read.handler());
        a.async_write_some(asio::buffer("x", 1), wrote.handler());
        BOOST_TEST(context.run());
        BOOST_TEST(read.succeeded(), read);
        BOOST_TEST(wrote.succeeded(), wrote);
    }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(run_does_not_end_before, Context, test::contexts)
{
    Context context;
    auto [a, b] = zsync::make_stream_pair(context.executor());
    std::array<char, 8> data;
    reply read;
    b.async_read_some(asio::buffer(data), read.handler());
    ssize_t sent = 0;
    std::thread other([&sent, peer = a.native_handle()] { sent = ::send(peer, "x", 1, MSG_NOSIGNAL); });
    BOOST_TEST(context.run());
    other.join();
    BOOST_TEST(sent == 1);
    BOOST_TEST(read.succeeded(), read);
}

BOOST_AUTO_TEST_CASE(no_thread_is_started)
{
    const std::size_t before = test::this_process().threads;
    test::plain_context context;
    auto [a, b] = zsync::make_stream_pair(context.executor());
    std::array<char, 8> data;
    reply read, wrote;
    b.async_read_some(asio::buffer(data), read.handler());
    a.async_write_some(asio::buffer("x", 1), wrote.handler());
    BOOST_TEST(context.run());
    BOOST_TEST(test::this_process().threads == before);
}

BOOST_AUTO_TEST_CASE(a_thread_pool_performs_operations)
{
    asio::thread_pool pool(2);
    const test::eight_games games(pool.get_executor(), 200);
    pool.wait();
    BOOST_TEST(games.ended());
}

BOOST_AUTO_TEST_CASE(a_future_is_waited_for_on_a_thread_of_the_context)
{
    // The turn must not be left to the thread that waits.
    asio::thread_pool pool(2);
    auto [a, b] = zsync::make_stream_pair(pool.get_executor());
    std::promise<std::size_t> got;
    asio::post(pool,
               [&, &a = a, &b = b]
               {
                   std::array<char, 8> data;
                   auto read = b.async_read_some(asio::buffer(data), asio::use_future);
                   auto wrote = a.async_write_some(asio::buffer("x", 1), asio::use_future);
                   got.set_value(wrote.get() + read.get());
               });
    auto answer = got.get_future();
    BOOST_REQUIRE((answer.wait_for(test::most_patience) == std::future_status::ready));
    BOOST_TEST(answer.get() == 2u);
    pool.wait();
}

BOOST_AUTO_TEST_CASE(several_threads_run_a_plain_context)
{
    asio::io_context ctx;
    BOOST_TEST(test::play_on_three_threads(ctx, 200));
}

BOOST_AUTO_TEST_CASE(several_threads_run_a_ring_context)
{
    zsync::uring_context ctx;
    BOOST_TEST(test::play_on_three_threads(ctx, 200));
}

BOOST_AUTO_TEST_CASE(operations_use_the_handlers_memory_again)
{
    // Room for some blocks, not for a thousand.
    test::plain_context context;
    auto [a, b] = zsync::make_stream_pair(context.executor());
    std::array<std::byte, 32 * 1024> memory;
    std::pmr::monotonic_buffer_resource backing(memory.data(), memory.size(), std::pmr::null_memory_resource());
    std::pmr::unsynchronized_pool_resource blocks(&backing);
    reply last;
    std::array<char, 8> data;
    for (int i = 0; i < 1000; ++i)
    {
        last = {};
        BOOST_REQUIRE_EQUAL(::send(a.native_handle(), "x", 1, MSG_NOSIGNAL), 1);
        b.async_read_some(asio::buffer(data),
                          asio::bind_allocator(std::pmr::polymorphic_allocator<std::byte>(&blocks), last.handler()));
        BOOST_TEST(context.run());
        BOOST_TEST(last.succeeded(), last);
    }
}

BOOST_AUTO_TEST_CASE(a_fork_leaves_the_parent_running)
{
    test::plain_context context;
    auto [a, b] = zsync::make_stream_pair(context.executor());
    std::array<char, 8> data;
    reply read, wrote;
    b.async_read_some(asio::buffer(data), read.handler());
    context.settle();
    context.ctx.notify_fork(asio::io_context::fork_prepare);
    context.ctx.notify_fork(asio::io_context::fork_parent);
    a.async_write_some(asio::buffer("x", 1), wrote.handler());
    BOOST_TEST(context.run());
    BOOST_TEST(read.succeeded(), read);
}

BOOST_AUTO_TEST_CASE(a_child_goes_on_with_what_was_in_flight)
{
    // As if in the child: a new epoll descriptor in the place of the one that was shared.
    test::plain_context context;
    auto [a, b] = zsync::make_stream_pair(context.executor());
    std::array<char, 8> data;
    reply read, wrote;
    b.async_read_some(asio::buffer(data), read.handler());
    context.settle();
    context.ctx.notify_fork(asio::io_context::fork_prepare);
    context.ctx.notify_fork(asio::io_context::fork_child);
    a.async_write_some(asio::buffer("x", 1), wrote.handler());
    BOOST_TEST(context.run());
    BOOST_TEST(read.succeeded(), read);
}

BOOST_AUTO_TEST_SUITE_END()
