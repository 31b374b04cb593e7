// SPDX-License-Identifier: BSL-1.0
#include <zsync/sync/broadcast_channel.hpp>

#include <zsync/core/use_await.hpp>
#include <zsync/sync/select.hpp>

#include "sync/wait_cases.hpp"

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using boost::system::error_code;
using zsync::broadcast_channel;

namespace
{

const error_code closed = zsync::error::channel_closed;
const error_code lagged = zsync::error::lagged;

struct news final : test::awaited
{
    void wait(error_code& ec) override { check(reader.receive(ec), ec); }
    void wait_until(test::time_point deadline, error_code& ec) override
    {
        check(reader.try_receive_until(deadline, ec), ec);
    }
    void async_wait(asio::any_io_executor on, asio::cancellation_slot slot, test::plain_handler handler) override
    {
        reader.async_receive(test::bound(on, slot,
                                         [this, handler](error_code ec, int item)
                                         {
                                             BOOST_TEST(item == (ec ? 0 : ++received));
                                             handler(ec);
                                         }));
    }
    void wake() override { channel.send(++sent); }

    void check(std::optional<int> item, error_code ec)
    {
        BOOST_TEST(item.has_value() == !ec);
        if (item)
            BOOST_TEST(*item == ++received);
    }

    broadcast_channel<int> channel{4};
    broadcast_channel<int>::receiver reader = channel.subscribe();
    int sent = 0;
    int received = 0;
};

/// Copies that are counted, and fail when told to.
struct fragile
{
    fragile() = default;
    fragile(const fragile& other) : value(other.value)
    {
        if (fails)
            throw std::bad_alloc();
    }
    fragile(fragile&&) noexcept = default;
    fragile& operator=(fragile&&) noexcept = default;

    int value = 0;
    static inline bool fails = false;
};

} // namespace

BOOST_AUTO_TEST_SUITE(sync_broadcast_channel)

BOOST_AUTO_TEST_CASE(every_wait_ends_as_it_should)
{
    test::wait_cases<news>();
}

BOOST_AUTO_TEST_CASE(each_receiver_has_each_item_from_when_it_has_subscribed)
{
    broadcast_channel<std::string> channel(8);
    auto first = channel.subscribe();
    BOOST_TEST(channel.send("a"));
    auto second = channel.subscribe();
    channel.send("b");
    BOOST_TEST(first.receive() == "a");
    auto copy = first;
    BOOST_TEST(first.receive() == "b");
    BOOST_TEST(second.receive() == "b");
    BOOST_TEST(*copy.try_receive() == "b");
    for (auto* each : {&first, &second, &copy})
    {
        BOOST_TEST(!each->try_receive());
        BOOST_TEST(!each->try_receive_for(1ms));
        BOOST_TEST(each->missed() == 0u);
    }
}

BOOST_AUTO_TEST_CASE(a_slow_receiver_is_told_how_many_it_has_missed_and_goes_on_with_the_oldest_kept)
{
    broadcast_channel<int> channel(3);
    auto slow = channel.subscribe();
    auto tried = slow;
    auto handled = slow;
    auto selected = slow;
    for (int i = 0; i < 10; ++i)
        channel.send(i);
    error_code ec;
    BOOST_TEST(!slow.receive(ec));
    BOOST_TEST(ec == lagged);
    BOOST_TEST(slow.missed() == 7u);
    BOOST_TEST(slow.receive() == 7);
    BOOST_TEST(slow.missed() == 0u);
    channel.send(10);
    channel.send(11);
    BOOST_CHECK_EXCEPTION(slow.receive(), boost::system::system_error,
                          [](const auto& e) { return e.code() == lagged; });
    BOOST_TEST(slow.missed() == 1u);
    for (int i = 9; i < 12; ++i)
        BOOST_TEST(slow.receive() == i);

    BOOST_TEST(*tried.try_receive() == 9); // does not report
    BOOST_TEST(tried.missed() == 9u);

    BOOST_TEST((std::get<1>(zsync::select(selected.receiving())).error() == lagged));
    BOOST_TEST(*std::get<1>(zsync::select(selected.receiving())) == 9);

    asio::io_context ctx;
    std::vector<int> seen;
    std::function<void(error_code, int)> next = [&](error_code e, int item)
    {
        seen.push_back(e == lagged ? -1 : e ? -2 : item);
        if (e != closed)
            handled.async_receive(asio::bind_executor(ctx, next));
    };
    handled.async_receive(asio::bind_executor(ctx, next));
    channel.close();
    ctx.run();
    BOOST_TEST(seen == (std::vector{-1, 9, 10, 11, -2}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_closed_channel_drains_then_tells_also_when_it_is_gone)
{
    auto channel = std::make_unique<broadcast_channel<int>>(2);
    auto reader = channel->subscribe();
    auto copy = reader;
    channel->send(1);
    channel->send(2);
    channel->close();
    channel->close();
    BOOST_TEST(channel->is_closed());
    BOOST_TEST(!channel->send(3));
    channel.reset();
    BOOST_TEST(reader.is_closed());
    BOOST_TEST(reader.receive() == 1);
    BOOST_TEST(reader.receive() == 2);
    error_code ec;
    BOOST_TEST(!reader.receive(ec));
    BOOST_TEST(ec == closed);
    BOOST_CHECK_THROW(reader.try_receive_for(1ms), boost::system::system_error);
    BOOST_TEST(!reader.try_receive());
    BOOST_TEST(*std::get<1>(zsync::select(copy.receiving())) == 1);
    copy.receive();
    BOOST_TEST((std::get<1>(zsync::select(copy.receiving())).error() == closed));
}

BOOST_AUTO_TEST_CASE(the_channels_end_wakes_all_who_wait)
{
    zsync::fiber_context ctx;
    auto channel = std::make_unique<broadcast_channel<int>>(1);
    auto a = channel->subscribe();
    auto b = channel->subscribe();
    auto c = channel->subscribe();
    int ended = 0;
    asio::post(ctx,
               [&]
               {
                   error_code ec;
                   a.receive(ec);
                   ended += ec == closed;
               });
    b.async_receive(asio::bind_executor(ctx, [&](error_code ec, int) { ended += ec == closed; }));
    asio::post(ctx, [&] { ended += std::get<1>(zsync::select(c.receiving(), zsync::after(1h))).error() == closed; });
    asio::post(ctx, [&] { channel.reset(); });
    test::run_all(ctx);
    BOOST_TEST(ended == 3);
}

BOOST_AUTO_TEST_CASE(an_item_that_could_not_be_copied_can_be_received_again)
{
    broadcast_channel<fragile> channel(1);
    auto reader = channel.subscribe();
    channel.send(fragile());
    fragile::fails = true;
    BOOST_CHECK_THROW(reader.receive(), std::bad_alloc);
    BOOST_TEST((std::get<1>(zsync::select(reader.receiving())).error() == boost::system::errc::not_enough_memory));
    asio::io_context ctx;
    reader.async_receive(asio::bind_executor(ctx, [](error_code ec, const fragile&)
                                             { BOOST_TEST((ec == boost::system::errc::not_enough_memory)); }));
    ctx.run();
    fragile::fails = false;
    BOOST_TEST(reader.try_receive().has_value());
}

BOOST_AUTO_TEST_CASE(threads_fibers_and_handlers_each_receive_all_or_know_how_many_they_have_missed)
{
    constexpr std::uint64_t count = 2'000;
    auto channel = std::make_unique<broadcast_channel<std::uint64_t>>(16);
    std::atomic<int> bad{0};
    struct tally
    {
        std::atomic<int>& bad;
        std::uint64_t next = 0;

        bool see(error_code ec, std::uint64_t item, std::uint64_t missed)
        {
            if (ec == lagged)
                next += missed;
            else if (!ec)
                bad += item != next++;
            else if (ec == closed)
                bad += next != count;
            return ec != closed;
        }
    };
    const auto read_all = [&](broadcast_channel<std::uint64_t>::receiver reader, bool gives_up)
    {
        tally seen{bad};
        for (bool more = true; more;)
        {
            error_code ec;
            const auto item =
                gives_up ? reader.try_receive_until(std::chrono::steady_clock::now() + 10us, ec) : reader.receive(ec);
            more = seen.see(ec, item.value_or(0), reader.missed());
        }
    };
    const auto select_all = [&](broadcast_channel<std::uint64_t>::receiver reader)
    {
        tally seen{bad};
        for (bool more = true; more;)
        {
            const auto item = std::get<1>(zsync::select(reader.receiving(), zsync::after(20us)));
            const error_code ec = item ? error_code() : item.error();
            more = seen.see(ec, item ? *item : 0, reader.missed());
        }
    };
    std::vector<std::thread> threads;
    threads.emplace_back(read_all, channel->subscribe(), true);
    for (int t = 0; t < 2; ++t)
        threads.emplace_back(
            [&, reader = channel->subscribe()]
            {
                test::other_fibers ctx;
                asio::post(ctx, [&] { read_all(reader, false); });
                asio::post(ctx, [&] { read_all(reader, true); });
                asio::post(ctx, [&] { select_all(reader); });
                test::runs_out(ctx);
            });
    threads.emplace_back(
        [&, reader = channel->subscribe()]() mutable
        {
            asio::io_context ctx;
            asio::cancellation_signal signal;
            tally seen{bad};
            int calls = 0;
            std::function<void(error_code, std::uint64_t)> next = [&](error_code ec, std::uint64_t item)
            {
                if (!seen.see(ec, item, reader.missed()))
                    return;
                reader.async_receive(asio::bind_cancellation_slot(signal.slot(), asio::bind_executor(ctx, next)));
                if (++calls % 4 == 0)
                    signal.emit(asio::cancellation_type::total);
            };
            reader.async_receive(asio::bind_cancellation_slot(signal.slot(), asio::bind_executor(ctx, next)));
            test::runs_out(ctx);
        });
    for (std::uint64_t i = 0; i < count; ++i)
    {
        channel->send(i);
        if (i % 64 == 0)
            std::this_thread::yield();
    }
    channel.reset();
    for (auto& thread : threads)
        thread.join();
    BOOST_TEST(bad == 0);
}

BOOST_AUTO_TEST_SUITE_END()
