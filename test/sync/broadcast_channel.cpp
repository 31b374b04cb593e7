// SPDX-License-Identifier: BSL-1.0
#include <zsync/sync/broadcast_channel.hpp>

#include <zsync/core/use_await.hpp>
#include <zsync/sync/select.hpp>

#include "sync/receiver_cases.hpp"

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using boost::system::error_code;
using test::closed;
using zsync::broadcast_channel;

namespace
{

const error_code lagged = zsync::error::lagged;

struct news final : test::subscribed<broadcast_channel<int>>
{
    news() : subscribed(4) {}
    void wake() override { sender.send(++sent); }
};

constexpr std::uint64_t many = 2'000;

struct tally
{
    std::atomic<int>& bad;
    std::uint64_t next = 0;

    bool see(error_code ec, std::uint64_t item, const broadcast_channel<std::uint64_t>::receiver& reader)
    {
        if (ec == lagged)
            next += reader.missed();
        else if (!ec)
            bad += item != next++;
        else if (ec == closed)
            bad += next != many;
        return ec != closed;
    }
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
    test::end_wakes_all(std::make_unique<broadcast_channel<int>>(1));
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
    test::receive_everywhere<tally>(std::make_unique<broadcast_channel<std::uint64_t>>(16),
                                    [](auto& channel)
                                    {
                                        for (std::uint64_t i = 0; i < many; ++i)
                                        {
                                            channel.send(i);
                                            if (i % 64 == 0)
                                                std::this_thread::yield();
                                        }
                                    });
}

BOOST_AUTO_TEST_SUITE_END()
