// SPDX-License-Identifier: BSL-1.0
// Descriptors, mappings and threads, counted before and after many contexts were made, used and destroyed.
#include <zsync/uring/uring_context.hpp>

#include "support/native_sockets.hpp"
#include "support/needs_ring.hpp"
#include "support/process_state.hpp"

#include <boost/asio.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <array>
#include <csignal>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>

namespace asio = boost::asio;
using boost::system::error_code;
using test::answer;
using test::connection;
using test::context_mode;
using test::native_acceptor;
using test::native_socket;
using test::options_of;
using test::process_state;
using test::tcp;

namespace
{

constexpr int times = 50;

// The heap may grow and keep what it has: only a ring's mappings are to be the same.
bool same(const process_state& now, const process_state& before)
{
    return now.descriptors == before.descriptors && now.threads == before.threads &&
           now.ring_workers == before.ring_workers && now.ring_mappings == before.ring_mappings;
}

template <class Function>
void leaves_nothing_behind(Function f)
{
    f(); // what is made once, and stays: the allocator's arenas, the resolver's files
    const process_state before = test::this_process();
    for (int i = 0; i < times; ++i)
        f();
    process_state after;
    // A thread that was joined is seen for a moment longer.
    test::eventually(
        [&]
        {
            after = test::this_process();
            return same(after, before);
        });
    BOOST_TEST(same(after, before), "now " << after << "; before " << before);
#ifndef __SANITIZE_THREAD__ // which maps memory for each thread there ever was
    // A leak of one mapping a time would show; the allocator's few do not.
    BOOST_TEST(after.mappings < before.mappings + times / 2, "now " << after << "; before " << before);
#endif
}

// Handlers that own what they use, so that the context owns it all.
struct in_flight
{
    connection receiving;
    connection sending;
    native_acceptor acceptor;
    native_socket connecting;
    asio::steady_timer timer;
    tcp::socket stock;
    test::full_listener listener;
    std::array<char, 8> data{};
    std::string much = std::string(8 << 20, 'x');

    explicit in_flight(zsync::uring_context& ctx)
        : receiving(ctx),
          sending(ctx),
          acceptor(ctx.native_executor(), test::any_port()),
          connecting(ctx.native_executor()),
          timer(ctx, std::chrono::hours(1)),
          stock(ctx)
    {
    }

    static std::shared_ptr<in_flight> start(zsync::uring_context& ctx)
    {
        const auto all = std::make_shared<in_flight>(ctx);
        const auto keep = [all](error_code, auto&&...) {};
        all->receiving.socket.async_receive(asio::buffer(all->data), keep);
        asio::async_write(all->sending.socket, asio::buffer(all->much), keep);
        all->acceptor.async_accept(keep);
        all->connecting.async_connect(all->listener.endpoint(), keep);
        all->timer.async_wait(keep);
        all->stock.connect(all->acceptor.local_endpoint()); // accepted, and in nobody's hands
        all->stock.async_wait(tcp::socket::wait_read, keep);
        return all;
    }
};

BOOST_AUTO_TEST_SUITE(uring_leaks, *boost::unit_test::precondition(test::needs_ring))

BOOST_DATA_TEST_CASE(contexts_that_are_not_used, test::all_modes)
{
    leaves_nothing_behind([&] { zsync::uring_context ctx(options_of(sample)); });
}

BOOST_DATA_TEST_CASE(contexts_that_have_run_out_of_work, test::all_modes)
{
    leaves_nothing_behind(
        [&]
        {
            zsync::uring_context ctx(options_of(sample));
            connection on(ctx);
            std::array<char, 4> data{};
            answer received, timeout;
            on.socket.async_receive(asio::buffer(data), received.handler());
            on.send("data");
            asio::steady_timer timer(ctx, std::chrono::microseconds(1));
            timer.async_wait(timeout.handler());
            asio::signal_set signals(ctx, SIGUSR2);
            signals.async_wait([](error_code, int) {});
            asio::post(ctx, [&] { signals.cancel(); });
            BOOST_TEST_REQUIRE(test::run_all(ctx));
            BOOST_TEST_REQUIRE(received.succeeded());
            BOOST_TEST_REQUIRE(ctx.counters().operations_completed == 1u);
        });
}

BOOST_DATA_TEST_CASE(contexts_with_operations_in_the_kernel, test::all_modes)
{
    std::weak_ptr<in_flight> alive;
    leaves_nothing_behind(
        [&]
        {
            zsync::uring_context ctx(options_of(sample));
            alive = in_flight::start(ctx);
            ctx.poll();
        });
    BOOST_TEST(alive.expired());
}

BOOST_DATA_TEST_CASE(contexts_with_operations_that_were_never_handed_over, test::all_modes)
{
    std::weak_ptr<in_flight> alive;
    leaves_nothing_behind(
        [&]
        {
            zsync::uring_context ctx(options_of(sample));
            alive = in_flight::start(ctx);
        });
    BOOST_TEST(alive.expired());
}

BOOST_DATA_TEST_CASE(contexts_with_completions_that_were_never_delivered, test::all_modes)
{
    std::weak_ptr<connection> alive;
    leaves_nothing_behind(
        [&]
        {
            zsync::uring_context ctx(options_of(sample));
            // An accepted descriptor is in the completion: nobody but the context can close it.
            native_acceptor acceptor(ctx.native_executor(), test::any_port());
            acceptor.async_accept([](error_code, native_socket) {});
            const auto on = std::make_shared<connection>(ctx);
            alive = on;
            std::array<char, 4> data{};
            on->socket.async_receive(asio::buffer(data), [on](error_code, std::size_t) {});
            ctx.poll();
            on->send("data");
            test::descriptor client = test::make_tcp_socket();
            const auto address = acceptor.local_endpoint();
            BOOST_TEST_REQUIRE(::connect(client.get(), address.data(), static_cast<socklen_t>(address.size())) == 0);
        });
    BOOST_TEST(alive.expired());
}

BOOST_DATA_TEST_CASE(contexts_that_were_run_and_destroyed_by_other_threads, test::locked_modes)
{
    std::weak_ptr<in_flight> alive;
    leaves_nothing_behind(
        [&]
        {
            auto ctx = std::make_unique<zsync::uring_context>(options_of(sample));
            std::thread([&] { alive = in_flight::start(*ctx); }).join();
            std::thread([&] { ctx->poll(); }).join();
            std::thread([&] { ctx.reset(); }).join();
        });
    BOOST_TEST(alive.expired());
}

BOOST_AUTO_TEST_CASE(contexts_that_two_threads_run)
{
    std::weak_ptr<in_flight> alive;
    leaves_nothing_behind(
        [&]
        {
            zsync::uring_context ctx;
            alive = in_flight::start(ctx);
            test::runners running(ctx, 2);
            for (int i = 0; i < 10; ++i)
                asio::post(ctx, [] {});
        });
    BOOST_TEST(alive.expired());
}

BOOST_DATA_TEST_CASE(contexts_that_an_exception_went_through, test::all_modes)
{
    std::weak_ptr<in_flight> alive;
    leaves_nothing_behind(
        [&]
        {
            zsync::uring_context ctx(options_of(sample));
            alive = in_flight::start(ctx);
            asio::post(ctx, [] { throw std::runtime_error("out of a handler"); });
            BOOST_CHECK_THROW(ctx.run(), std::runtime_error);
        });
    BOOST_TEST(alive.expired());
}

BOOST_AUTO_TEST_CASE(many_contexts_side_by_side)
{
    leaves_nothing_behind(
        []
        {
            std::array<std::unique_ptr<zsync::uring_context>, 8> all;
            for (auto& each : all)
                each = std::make_unique<zsync::uring_context>();
            for (auto& each : all)
            {
                in_flight::start(*each);
                each->poll();
            }
        });
}

BOOST_AUTO_TEST_CASE(operations_that_were_cancelled_or_closed)
{
    zsync::uring_context ctx;
    leaves_nothing_behind(
        [&]
        {
            const auto all = in_flight::start(ctx);
            ctx.poll();
            all->receiving.socket.cancel();
            all->sending.socket.close();
            all->acceptor.close();
            all->connecting.close();
            all->timer.cancel();
            all->stock.close();
            BOOST_TEST_REQUIRE(test::run_all(ctx));
        });
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace
