// SPDX-License-Identifier: BSL-1.0
#include <zsync/sync/channel.hpp>

#include <zsync/core/use_await.hpp>
#include <zsync/sync/oneshot.hpp>

#include "sync/wait_cases.hpp"

#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <vector>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using boost::system::error_code;
using zsync::channel;

namespace
{

const error_code closed = zsync::error::channel_closed;

/// What is received is what has been sent, and all of it.
template <std::size_t Capacity>
struct empty_channel final : test::awaited
{
    ~empty_channel() { BOOST_TEST(!items.try_receive()); }

    void wait(error_code& ec) override { check(items.receive(ec), ec); }
    void wait_until(test::time_point deadline, error_code& ec) override
    {
        check(items.try_receive_until(deadline, ec), ec);
    }
    void async_wait(asio::any_io_executor on, asio::cancellation_slot slot, test::plain_handler handler) override
    {
        items.async_receive(test::bound(on, slot,
                                        [this, handler](error_code ec, int item)
                                        {
                                            BOOST_TEST(item == (ec ? 0 : ++received));
                                            handler(ec);
                                        }));
    }
    void wake() override
    {
        if (Capacity > 0)
            items.try_send(++sent);
        else
            items.send(++sent); // by a thread that may come first
    }

    void check(std::optional<int> item, error_code ec)
    {
        BOOST_TEST(item.has_value() == !ec);
        if (item)
            BOOST_TEST(*item == ++received);
    }

    channel<int> items{Capacity};
    int sent = 0;
    int received = 0;
};

template <std::size_t Capacity>
struct full_channel final : test::awaited
{
    full_channel()
    {
        while (items.try_send(++last))
            continue;
    }

    void wait(error_code& ec) override { wait_until(test::time_point::max(), ec); }
    void wait_until(test::time_point deadline, error_code& ec) override
    {
        int item = last;
        items.try_send_until(std::move(item), deadline, ec);
        last += !ec;
    }
    void async_wait(asio::any_io_executor on, asio::cancellation_slot slot, test::plain_handler handler) override
    {
        items.async_send(last, test::bound(on, slot,
                                           [this, handler](error_code ec)
                                           {
                                               last += !ec;
                                               handler(ec);
                                           }));
    }
    void wake() override
    {
        right = right && items.receive() == first;
        ++first;
    }

    ~full_channel() { BOOST_TEST(right); }

    channel<int> items{Capacity};
    int first = 1;
    int last = 0;
    bool right = true;
};

} // namespace

BOOST_AUTO_TEST_SUITE(sync_channel)

BOOST_AUTO_TEST_CASE(every_wait_to_receive_ends_as_it_should)
{
    test::wait_cases<empty_channel<3>>();
    test::wait_cases<empty_channel<0>>();
    test::wait_cases<empty_channel<channel<int>::unbounded>>();
}

BOOST_AUTO_TEST_CASE(every_wait_to_send_ends_as_it_should)
{
    test::wait_cases<full_channel<2>>();
}

BOOST_AUTO_TEST_CASE(items_come_out_as_they_went_in)
{
    channel<std::unique_ptr<int>> items(20);
    for (int round = 0; round < 3; ++round)
    {
        for (int i = 0; i < 20; ++i)
            BOOST_TEST(items.try_send(std::make_unique<int>(i)));
        auto kept = std::make_unique<int>(20);
        BOOST_TEST(!items.try_send(std::move(kept)));
        BOOST_TEST(!items.try_send_for(std::move(kept), 1ms));
        BOOST_TEST(kept.get()); // what has not been sent is still there
        BOOST_TEST(items.size() == 20u);
        for (int i = 0; i < 13; ++i)
            BOOST_TEST(*items.receive() == i);
        for (int i = 0; i < 13; ++i)
            items.send(std::make_unique<int>(20 + i));
        for (int i = 13; i < 33; ++i)
            BOOST_TEST(**items.try_receive() == i);
        BOOST_TEST(!items.try_receive());
        BOOST_TEST(!items.try_receive_for(1ms));
    }
    items.send(nullptr); // destroyed with the channel
}

BOOST_AUTO_TEST_CASE(a_closed_channel_drains_then_tells)
{
    channel<int> items(2);
    items.send(1);
    items.send(2);
    BOOST_TEST(!items.is_closed());
    items.close();
    items.close();
    BOOST_TEST(items.is_closed());
    error_code ec;
    items.send(3, ec);
    BOOST_TEST(ec == closed);
    BOOST_TEST(!items.try_send(3));
    BOOST_CHECK_EXCEPTION(items.send(3), boost::system::system_error, [](const auto& e) { return e.code() == closed; });
    BOOST_TEST(items.receive() == 1);
    BOOST_TEST(items.receive(ec).value_or(0) == 2);
    BOOST_TEST(!ec);
    BOOST_TEST(!items.receive(ec));
    BOOST_TEST(ec == closed);
    BOOST_CHECK_THROW(items.receive(), boost::system::system_error);
    BOOST_CHECK_THROW(items.try_receive_for(1ms), boost::system::system_error);
    asio::io_context ctx;
    items.async_receive(asio::bind_executor(ctx, [&](error_code e, int) { BOOST_TEST(e == closed); }));
    items.async_send(1, asio::bind_executor(ctx, [&](error_code e) { BOOST_TEST(e == closed); }));
    BOOST_TEST(ctx.run() == 2u);
}

BOOST_AUTO_TEST_CASE(closing_ends_every_wait)
{
    channel<int> empty(1);
    channel<std::unique_ptr<int>> full(0);
    zsync::fiber_context ctx;
    int ended = 0;
    const auto count = [&](error_code ec, auto...) { ended += ec == closed; };
    asio::post(ctx,
               [&]
               {
                   error_code ec;
                   empty.receive(ec);
                   count(ec);
               });
    asio::post(ctx,
               [&]
               {
                   error_code ec;
                   auto item = std::make_unique<int>();
                   full.send(std::move(item), ec);
                   count(ec);
                   ended += item != nullptr;
               });
    empty.async_receive(asio::bind_executor(ctx, count));
    full.async_send(nullptr, asio::bind_executor(ctx, count));
    asio::post(ctx,
               [&]
               {
                   empty.close();
                   full.close();
               });
    test::run_all(ctx);
    BOOST_TEST(ended == 5);
}

BOOST_AUTO_TEST_CASE(a_rendezvous_holds_the_sender_until_the_item_is_taken)
{
    channel<int> items(0);
    zsync::fiber_context ctx;
    std::vector<int> order;
    BOOST_TEST(!items.try_send(1));
    asio::post(ctx,
               [&]
               {
                   order.push_back(1);
                   items.send(7);
                   order.push_back(3);
               });
    asio::post(ctx,
               [&]
               {
                   order.push_back(2);
                   BOOST_TEST(items.size() == 0u);
                   BOOST_TEST(items.try_receive().value_or(0) == 7);
               });
    test::run_all(ctx);
    BOOST_TEST(order == (std::vector{1, 2, 3}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_loop_over_a_channel_ends_when_it_is_closed)
{
    channel<int> items(2);
    zsync::fiber_context ctx;
    std::vector<int> seen;
    asio::post(ctx,
               [&]
               {
                   for (int item : items)
                       seen.push_back(item);
               });
    asio::post(ctx,
               [&]
               {
                   for (int i = 0; i < 5; ++i)
                       items.send(i);
                   items.close();
               });
    test::run_all(ctx);
    BOOST_TEST(seen == (std::vector{0, 1, 2, 3, 4}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_loop_over_a_channel_throws_what_cancels_it)
{
    channel<int> items(2);
    std::thread(
        [&]
        {
            zsync::agent::current().cancellation().request();
            BOOST_CHECK_THROW(items.begin(), boost::system::system_error);
        })
        .join();
}

BOOST_AUTO_TEST_CASE(an_unbounded_channel_never_holds_a_sender)
{
    zsync::unbounded_channel<int> items;
    for (int i = 0; i < 1'000; ++i)
        BOOST_TEST(items.try_send(i));
    for (int i = 0; i < 1'000; ++i)
        BOOST_TEST(items.receive() == i);
}

BOOST_AUTO_TEST_CASE(a_oneshot_carries_one_item)
{
    zsync::oneshot<int> once;
    BOOST_TEST(!once.try_receive());
    BOOST_TEST(once.send(1));
    BOOST_TEST(!once.send(2));
    BOOST_TEST(once.is_closed());
    BOOST_TEST(once.receive() == 1);
    error_code ec;
    BOOST_TEST(!once.try_receive_until(test::time_point::max(), ec));
    BOOST_TEST(ec == closed);
    zsync::oneshot<int> none;
    none.close();
    BOOST_TEST(!none.send(1));
    BOOST_CHECK_THROW(none.receive(), boost::system::system_error);
}

BOOST_AUTO_TEST_CASE(whoever_has_received_may_destroy_a_oneshot)
{
    for (int i = 0; i < 300; ++i)
    {
        auto once = std::make_unique<zsync::oneshot<int>>();
        std::thread sender([at = once.get(), i] { at->send(i); });
        BOOST_TEST(once->receive() == i);
        once.reset();
        sender.join();
    }
}

BOOST_DATA_TEST_CASE(nothing_is_lost_or_repeated_between_threads_fibers_and_handlers,
                     boost::unit_test::data::make({0, 1, 8}), capacity)
{
    constexpr int each = 800;
    constexpr int senders = 4;
    channel<std::unique_ptr<int>> items(static_cast<std::size_t>(capacity));
    std::vector<std::atomic<int>> seen(each * senders);
    std::atomic<int> sending{senders};
    std::atomic<int> bad{0};
    const auto see = [&](const std::unique_ptr<int>& item) { item ? ++seen[static_cast<std::size_t>(*item)] : ++bad; };
    const auto send_all = [&](int number, bool gives_up)
    {
        for (int i = 0; i < each; ++i)
        {
            auto item = std::make_unique<int>(number * each + i);
            if (gives_up)
                while (!items.try_send_for(std::move(item), 10us))
                    if (!item)
                        ++bad;
            if (item)
                items.send(std::move(item));
        }
        if (--sending == 0)
            items.close();
    };
    const auto receive_all = [&](bool gives_up)
    {
        error_code ec;
        while (ec != closed)
        {
            const auto item =
                gives_up ? items.try_receive_until(std::chrono::steady_clock::now() + 10us, ec) : items.receive(ec);
            if (item)
                see(*item);
        }
    };
    std::vector<std::thread> threads;
    threads.emplace_back(send_all, 0, true);
    threads.emplace_back(receive_all, true);
    threads.emplace_back(
        [&]
        {
            test::other_fibers ctx;
            asio::post(ctx, [&] { send_all(1, false); });
            asio::post(ctx, [&] { send_all(2, true); });
            // One after the other, each cancelled soon.
            std::function<void()> receive_one = [&]
            {
                auto& cancellation = zsync::agent::current().cancellation();
                asio::post(ctx, [&] { cancellation.request(); });
                error_code ec;
                if (const auto item = items.receive(ec))
                    see(*item);
                cancellation.protect();
                asio::post(ctx, zsync::use_await); // after the request
                cancellation.unprotect();
                if (ec != closed)
                    asio::post(ctx, receive_one);
            };
            asio::post(ctx, receive_one);
            asio::post(ctx, [&] { receive_all(true); });
            test::runs_out(ctx);
        });
    threads.emplace_back(
        [&]
        {
            asio::io_context ctx;
            asio::cancellation_signal signal;
            int next = 3 * each;
            std::function<void(error_code)> sent = [&](error_code)
            {
                if (next == 4 * each)
                {
                    if (--sending == 0)
                        items.close();
                    return;
                }
                items.async_send(std::make_unique<int>(next++), asio::bind_executor(ctx, sent));
            };
            std::function<void(error_code, std::unique_ptr<int>)> received =
                [&](error_code ec, std::unique_ptr<int> item)
            {
                if (!ec)
                    see(item);
                if (ec == closed)
                    return;
                items.async_receive(asio::bind_cancellation_slot(signal.slot(), asio::bind_executor(ctx, received)));
                if (next % 4 == 0)
                    signal.emit(asio::cancellation_type::total);
            };
            sent({});
            items.async_receive(asio::bind_cancellation_slot(signal.slot(), asio::bind_executor(ctx, received)));
            test::runs_out(ctx);
        });
    for (auto& thread : threads)
        thread.join();
    BOOST_TEST(bad == 0);
    BOOST_TEST(std::count(seen.begin(), seen.end(), 1) == each * senders);
}

BOOST_AUTO_TEST_SUITE_END()
