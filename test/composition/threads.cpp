// SPDX-License-Identifier: BSL-1.0
// Strands, futures and channels over native sockets whose context two threads run.
#include <zsync/drop_in.hpp>

#include "forms.hpp"

#include <boost/asio/experimental/concurrent_channel.hpp>
#include <boost/asio/use_future.hpp>

#include <future>
#include <thread>

namespace
{

using namespace test;
using asio::use_awaitable;
using asio::use_future;

/// The contexts that several threads may run, each with two of them until the end of the scope.
template <class Context>
struct two_threads : Context
{
    two_threads()
        : work_(asio::make_work_guard(this->ctx())),
          one_([this] { this->run_here(); }),
          two_([this] { this->run_here(); })
    {
    }

    ~two_threads()
    {
        this->ctx().stop();
        one_.join();
        two_.join();
    }

private:
    asio::executor_work_guard<asio::io_context::executor_type> work_;
    std::thread one_, two_;
};

using shared_contexts = std::tuple<two_threads<plain_io_context>, two_threads<default_uring_context>>;

template <class T>
T result_of(std::future<T> future)
{
    BOOST_TEST_REQUIRE((future.wait_for(context::watchdog) == std::future_status::ready));
    return future.get();
}

} // namespace

BOOST_AUTO_TEST_SUITE(composition_threads)

BOOST_AUTO_TEST_CASE_TEMPLATE(a_thread_outside_waits_with_futures, Context, shared_contexts)
{
    Context under_test;
    connected<asio::any_io_executor> pair(under_test);
    const std::string sent = pattern(500'000);
    std::string received(sent.size(), ' ');
    auto read = asio::async_read(pair.server, asio::buffer(received), use_future);
    auto written = asio::async_write(pair.client, asio::buffer(sent), use_future);
    BOOST_TEST(result_of(std::move(written)) == sent.size());
    BOOST_TEST(result_of(std::move(read)) == sent.size());
    BOOST_TEST((received == sent));

    auto refused = pair.client.async_read_some(asio::buffer(received), use_future);
    asio::post(pair.client.get_executor(), [&] { pair.client.cancel(); });
    BOOST_CHECK_EXCEPTION(result_of(std::move(refused)), boost::system::system_error,
                          [](const auto& thrown) { return thrown.code() == asio::error::operation_aborted; });
    under_test.check_native(3);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_strand_keeps_handlers_of_both_directions_apart, Context, shared_contexts)
{
    Context under_test;
    auto strand = asio::make_strand(under_test.ctx());
    connected<asio::any_io_executor> pair(under_test);
    int turns = 0; // only ever touched in the strand: ThreadSanitizer sees to it
    constexpr int rounds = 300;
    std::promise<int> done;
    // Both ends pass bytes along, two ways at once; each step runs in the strand.
    const auto pass = [&](auto& from, auto& to, char first) -> asio::awaitable<void>
    {
        char byte = first;
        for (int i = 0; i < rounds; ++i)
        {
            co_await asio::async_write(from, asio::buffer(&byte, 1), use_awaitable);
            ++turns;
            co_await asio::async_read(to, asio::buffer(&byte, 1), use_awaitable);
            if (++turns == 4 * rounds)
                done.set_value(turns);
        }
    };
    asio::co_spawn(strand, pass(pair.client, pair.server, 'a'), asio::detached);
    asio::co_spawn(strand, pass(pair.server, pair.client, 'b'), asio::detached);
    BOOST_TEST(result_of(done.get_future()) == 4 * rounds);
    under_test.check_native(4 * rounds);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_socket_of_a_strand_completes_in_it, Context, shared_contexts)
{
    Context under_test;
    auto strand = asio::make_strand(under_test.ctx());
    tcp::socket client(strand);
    tcp::socket server(under_test.ctx());
    connect_pair(client, server);
    char byte = 0;
    std::promise<bool> inside;
    asio::post(strand,
               [&]
               {
                   client.async_read_some(asio::buffer(&byte, 1), [&](error_code, std::size_t)
                                          { inside.set_value(strand.running_in_this_thread()); });
               });
    asio::write(server, asio::buffer("s", 1));
    BOOST_TEST(result_of(inside.get_future()));
    BOOST_TEST(byte == 's');
    under_test.check_native(1);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_concurrent_channel_joins_two_strands, Context, shared_contexts)
{
    Context under_test;
    connected<asio::any_io_executor> pair(under_test);
    asio::experimental::concurrent_channel<void(error_code, int)> sizes(under_test.ctx(), 4);
    std::promise<std::size_t> total;
    constexpr int messages = 200;
    asio::co_spawn(
        asio::make_strand(under_test.ctx()),
        [&]() -> asio::awaitable<void>
        {
            std::string bytes = pattern(messages);
            for (int size = 1; size <= messages; ++size)
            {
                co_await asio::async_write(pair.client, asio::buffer(bytes, static_cast<std::size_t>(size)),
                                           use_awaitable);
                co_await sizes.async_send(error_code(), size, use_awaitable);
            }
            co_await sizes.async_send(error_code(), 0, use_awaitable); // close() would drop what is still in there
        },
        asio::detached);
    asio::co_spawn(
        asio::make_strand(under_test.ctx()),
        [&]() -> asio::awaitable<void>
        {
            std::string bytes(messages, ' ');
            std::size_t sum = 0;
            while (const int size = co_await sizes.async_receive(use_awaitable))
                sum += co_await asio::async_read(pair.server, asio::buffer(bytes, static_cast<std::size_t>(size)),
                                                 use_awaitable);
            total.set_value(sum);
        },
        asio::detached);
    BOOST_TEST(result_of(total.get_future()) == messages * (messages + 1) / 2u);
    under_test.check_native(2 * messages);
}

BOOST_AUTO_TEST_SUITE_END()
