// SPDX-License-Identifier: BSL-1.0
#include <zsync/sync/one_of.hpp>

#include <zsync/sync/channel.hpp>
#include <zsync/sync/event.hpp>
#include <zsync/sync/select.hpp>

#include "sync/wait_cases.hpp"

#include <array>
#include <atomic>
#include <deque>
#include <memory>
#include <span>
#include <thread>
#include <vector>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using boost::system::error_code;
using zsync::channel;
using zsync::none_selected;
using zsync::one_of;

namespace
{

constexpr auto receiving = [](auto& from) { return from.receiving(); };

/// A select among channels in a list, of which one is served, and an event beside it.
struct listed_items final : test::awaited
{
    ~listed_items() { BOOST_TEST(!channels[1].try_receive()); }

    void wait(error_code& ec) override { wait_until(test::time_point::max(), ec); }
    void wait_until(test::time_point deadline, error_code& ec) override
    {
        auto [which, nothing, item] =
            zsync::try_select_until(ec, deadline, never.waiting(), one_of(channels, receiving));
        check(ec, which, item);
    }
    void async_wait(asio::any_io_executor on, asio::cancellation_slot slot, test::plain_handler handler) override
    {
        zsync::async_select(never.waiting(), one_of(channels, receiving),
                            test::bound(on, slot,
                                        [this, handler](error_code ec, std::size_t which, auto, auto item)
                                        {
                                            check(ec, which, item);
                                            handler(ec);
                                        }));
    }
    void wake() override { channels[1].try_send(++sent); }

    template <class Item>
    void check(error_code ec, std::size_t which, const Item& item)
    {
        BOOST_TEST(which == (ec ? none_selected : 1u));
        BOOST_TEST(item.place == (ec ? none_selected : 1u));
        if (ec)
            BOOST_TEST((item.result.error() == test::aborted));
        else
            BOOST_TEST(*item.result == ++received);
    }

    std::array<channel<int>, 3> channels{channel<int>(3), channel<int>(3), channel<int>(3)};
    zsync::event never;
    int sent = 0;
    int received = 0;
};

} // namespace

BOOST_AUTO_TEST_SUITE(sync_one_of)

BOOST_AUTO_TEST_CASE(every_select_among_a_list_ends_as_it_should)
{
    test::wait_cases<listed_items>();
}

BOOST_AUTO_TEST_CASE(what_can_be_had_at_once_is_had_and_only_that)
{
    std::deque<channel<int>> channels;
    for (int index = 0; index < 300; ++index)
        channels.emplace_back(1);
    channels[299].send(7);
    channels[0].close();
    const auto [first, item] = zsync::select(one_of(channels, receiving));
    BOOST_TEST(first == 0u);
    if (item.place == 0)
        BOOST_TEST((item.result.error() == zsync::error::channel_closed));
    else
        BOOST_TEST(item.place == 299u);
    BOOST_TEST(channels[299].size() == (item.place == 0 ? 1u : 0u));
}

BOOST_AUTO_TEST_CASE(a_list_that_is_not_chosen_says_so)
{
    std::vector<zsync::event> events(3);
    zsync::event stop(true);
    const auto [which, list, stopped] =
        zsync::select(one_of(events, [](auto& each) { return each.waiting(); }), stop.waiting());
    BOOST_TEST(which == 1u);
    BOOST_TEST(list.place == none_selected);
    BOOST_TEST((list.result.error() == test::aborted));
    BOOST_TEST(std::get<0>(zsync::try_select(one_of(events, [](auto& each) { return each.waiting(); }))) ==
               none_selected);
}

BOOST_AUTO_TEST_CASE(an_empty_list_is_never_ready)
{
    std::vector<channel<int>*> none;
    const auto from = [](channel<int>* each) { return each->receiving(); };
    BOOST_TEST(std::get<0>(zsync::try_select(one_of(none, from))) == none_selected);
    const auto [which, list, late] = zsync::select(one_of(none, from), zsync::after(1ms));
    BOOST_TEST(which == 1u);
    BOOST_TEST(list.place == none_selected);
}

BOOST_AUTO_TEST_CASE(things_that_are_lent_keep_what_is_not_sent)
{
    std::array<channel<std::unique_ptr<int>>, 2> full{channel<std::unique_ptr<int>>(0),
                                                      channel<std::unique_ptr<int>>(1)};
    std::vector<decltype(full[0].sending(nullptr))> sendings;
    sendings.push_back(full[0].sending(std::make_unique<int>(0)));
    sendings.push_back(full[1].sending(std::make_unique<int>(1)));
    const auto [which, sent] = zsync::select(one_of(sendings));
    BOOST_TEST(which == 0u);
    BOOST_TEST(sent.place == 1u);
    BOOST_TEST(sent.result.has_value());
    BOOST_TEST(*sendings[0].item() == 0);
    BOOST_TEST(!sendings[1].item());
    BOOST_TEST(std::get<0>(zsync::try_select(one_of(std::span(sendings).first(1)))) == none_selected);
}

BOOST_AUTO_TEST_CASE(none_of_a_list_that_are_ready_is_starved_and_the_list_counts_as_one)
{
    std::vector<zsync::event> events(4);
    for (auto& each : events)
        each.set();
    zsync::event beside(true);
    std::array<int, 5> chosen{};
    std::vector<decltype(beside.waiting())> list;
    for (auto& each : events)
        list.push_back(each.waiting());
    for (int i = 0; i < 4'000; ++i)
    {
        const auto [which, one, other] = zsync::select(one_of(list), beside.waiting());
        ++chosen[which == 0 ? one.place : 4u];
    }
    for (std::size_t place = 0; place < 4; ++place)
        BOOST_TEST(chosen[place] > 350); // 500 on average
    BOOST_TEST(chosen[4] > 1'700);       // 2000
}

BOOST_AUTO_TEST_CASE(one_of_a_list_of_operations_ends_it_and_the_others_are_cancelled)
{
    zsync::fiber_context ctx;
    asio::post(ctx,
               [&]
               {
                   std::vector<asio::steady_timer> timers;
                   timers.emplace_back(ctx, 1h);
                   timers.emplace_back(ctx, 1ms);
                   timers.emplace_back(ctx, 1h);
                   const auto waiting = [](auto& timer) { return timer.async_wait(asio::deferred); };
                   zsync::event never;
                   const auto [which, nothing, timed] = zsync::select(never.waiting(), one_of(timers, waiting));
                   BOOST_TEST(which == 1u);
                   BOOST_TEST(timed.place == 1u);
                   BOOST_REQUIRE(timed.results.size() == 3u);
                   for (std::size_t place = 0; place < 3; ++place)
                   {
                       const error_code ec = std::get<0>(timed.results[place].value());
                       BOOST_TEST((ec == (place == 1 ? error_code() : test::aborted)));
                   }

                   // Lent ones are copied, and can be used again.
                   std::vector again{waiting(timers[0])};
                   for (int round = 0; round < 2; ++round)
                       BOOST_TEST(std::get<0>(zsync::select(one_of(again), zsync::after(1ms))) == 1u);

                   // What can be had at once is had without starting any.
                   never.set();
                   const auto [at_once, set, unstarted] = zsync::select(never.waiting(), one_of(timers, waiting));
                   BOOST_TEST(at_once == 0u);
                   BOOST_TEST(unstarted.place == none_selected);
                   BOOST_TEST(!unstarted.results[0].has_value());
               });
    test::run_all(ctx);
}

BOOST_AUTO_TEST_CASE(an_operation_of_a_list_that_cannot_be_started_is_an_error)
{
    // Asio runs below: nothing of that context may be waited for by the thread.
    asio::io_context ctx;
    error_code refused;
    std::size_t place = 0;
    asio::post(ctx,
               [&]
               {
                   std::vector<asio::steady_timer> timers;
                   timers.emplace_back(ctx, 1h);
                   timers.emplace_back(ctx, 1h);
                   const auto [which, timed] = zsync::select(
                       refused, one_of(timers, [](auto& timer) { return timer.async_wait(asio::deferred); }));
                   BOOST_TEST(which == none_selected);
                   place = timed.place;
               });
    ctx.run();
    BOOST_TEST((refused == test::deadlock));
    BOOST_TEST(place == none_selected);
}

BOOST_AUTO_TEST_CASE(a_handler_selects_among_a_list)
{
    asio::io_context ctx;
    std::vector<asio::steady_timer> timers;
    timers.emplace_back(ctx, 1ms);
    timers.emplace_back(ctx, 1h);
    std::vector<channel<int>*> none;
    bool told = false;
    zsync::async_select(one_of(timers, [](auto& timer) { return timer.async_wait(asio::deferred); }),
                        one_of(none, [](auto* each) { return each->receiving(); }),
                        asio::bind_executor(ctx,
                                            [&](error_code ec, std::size_t which, auto timed, auto item)
                                            {
                                                told = true;
                                                BOOST_TEST(!ec);
                                                BOOST_TEST(which == 0u);
                                                BOOST_TEST(timed.place == 0u);
                                                BOOST_TEST(timed.results.size() == 2u);
                                                BOOST_TEST(item.place == none_selected);
                                            }));
    test::run_all(ctx);
    BOOST_TEST(told);
}

BOOST_AUTO_TEST_CASE(nothing_is_lost_or_repeated_between_lists_on_threads_and_fibers)
{
    constexpr int each = 400;
    constexpr int senders = 4;
    std::array<channel<int>, 5> channels{channel<int>(0), channel<int>(0), channel<int>(1), channel<int>(0),
                                         channel<int>(2)};
    std::vector<std::atomic<int>> seen(each * senders);
    std::atomic<int> sending{senders};
    const auto send_all = [&](int number)
    {
        for (int i = 0; i < each;)
        {
            const int item = number * each + i;
            const auto which =
                std::get<0>(zsync::try_select_for(50us, one_of(channels, [&](auto& to) { return to.sending(item); })));
            i += which != none_selected;
        }
        if (--sending == 0)
            for (auto& one : channels)
                one.close();
    };
    const auto receive_all = [&](bool gives_up)
    {
        std::vector<channel<int>*> open;
        for (auto& one : channels)
            open.push_back(&one);
        while (!open.empty())
        {
            const auto end = gives_up ? std::chrono::steady_clock::now() + 20us : test::time_point::max();
            const auto [which, item, late] =
                zsync::select(one_of(open, [](auto* from) { return from->receiving(); }), zsync::at(end));
            if (which != 0)
                continue;
            if (item.result)
                ++seen[static_cast<std::size_t>(*item.result)];
            else
                open.erase(open.begin() + static_cast<std::ptrdiff_t>(item.place));
        }
    };
    std::vector<std::thread> threads;
    threads.emplace_back(send_all, 0);
    threads.emplace_back(receive_all, true);
    threads.emplace_back(
        [&]
        {
            test::other_fibers ctx;
            for (int number = 1; number < senders; ++number)
                asio::post(ctx, [&, number] { send_all(number); });
            asio::post(ctx, [&] { receive_all(false); });
            asio::post(ctx, [&] { receive_all(true); });
            test::runs_out(ctx);
        });
    for (auto& thread : threads)
        thread.join();
    for (const auto& count : seen)
        BOOST_REQUIRE(count == 1);
}

BOOST_AUTO_TEST_SUITE_END()
