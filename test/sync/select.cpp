// SPDX-License-Identifier: BSL-1.0
#include <zsync/sync/select.hpp>

#include <zsync/core/use_await.hpp>
#include <zsync/sync/channel.hpp>
#include <zsync/sync/event.hpp>
#include <zsync/sync/latch.hpp>
#include <zsync/sync/mutex.hpp>
#include <zsync/sync/semaphore.hpp>

#include "docs/examples/allocations.hpp"
#include "sync/wait_cases.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <stdexcept>
#include <vector>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using boost::system::error_code;
using zsync::channel;

namespace
{

const error_code closed = zsync::error::channel_closed;

/// A select that waits in several directions, of which one is served.
struct selected_items final : test::awaited
{
    ~selected_items() { BOOST_TEST(!items.try_receive()); }

    void wait(error_code& ec) override
    {
        check(zsync::select(ec, idle.receiving(), items.receiving(), never.waiting(), zsync::after(1h)), ec);
    }
    void wait_until(test::time_point deadline, error_code& ec) override
    {
        check(zsync::try_select_until(ec, deadline, idle.receiving(), items.receiving(), never.waiting()), ec);
    }
    void async_wait(asio::any_io_executor on, asio::cancellation_slot slot, test::plain_handler handler) override
    {
        zsync::async_select(
            idle.receiving(), items.receiving(), never.waiting(),
            test::bound(on, slot,
                        [this, handler](error_code ec, std::size_t which, auto none, auto item, auto nothing)
                        {
                            check({which, none, item, nothing}, ec);
                            handler(ec);
                        }));
    }
    void wake() override { items.try_send(++sent); }

    template <class Selected>
    void check(const Selected& all, error_code ec)
    {
        check({std::get<0>(all), std::get<1>(all), std::get<2>(all), std::get<3>(all)}, ec);
    }
    using results =
        std::tuple<std::size_t, boost::system::result<int>, boost::system::result<int>, boost::system::result<void>>;
    void check(const results& all, error_code ec)
    {
        BOOST_TEST(std::get<0>(all) == (ec ? zsync::none_selected : 1u));
        BOOST_TEST((std::get<1>(all).error() == test::aborted));
        BOOST_TEST((std::get<3>(all).error() == test::aborted));
        if (ec)
            BOOST_TEST((std::get<2>(all).error() == test::aborted));
        else
            BOOST_TEST(*std::get<2>(all) == ++received);
    }

    channel<int> idle{1};
    channel<int> items{3};
    zsync::event never;
    int sent = 0;
    int received = 0;
};

/// The same, in the other direction.
struct selected_room final : test::awaited
{
    selected_room() { BOOST_TEST(items.try_send(last++)); }

    void wait(error_code& ec) override { wait_until(test::time_point::max(), ec); }
    void wait_until(test::time_point deadline, error_code& ec) override
    {
        auto sending = items.sending(last);
        const auto [which, room, number] = zsync::try_select_until(ec, deadline, sending, idle.receiving());
        BOOST_TEST(which == (ec ? zsync::none_selected : 0u));
        BOOST_TEST(room.has_value() == !ec);
        last += !ec;
    }
    void async_wait(asio::any_io_executor on, asio::cancellation_slot slot, test::plain_handler handler) override
    {
        zsync::async_select(items.sending(last), idle.receiving(),
                            test::bound(on, slot,
                                        [this, handler](error_code ec, std::size_t which, auto room, auto)
                                        {
                                            BOOST_TEST(which == (ec ? zsync::none_selected : 0u));
                                            BOOST_TEST(room.has_value() == !ec);
                                            last += !ec;
                                            handler(ec);
                                        }));
    }
    void wake() override { right = right && items.receive() == first++; }

    ~selected_room() { BOOST_TEST(right); }

    channel<int> items{1};
    channel<int> idle{0};
    int first = 0;
    int last = 0;
    bool right = true;
};

/// An operation that completes when it is told to, whatever is asked of it.
template <class... Args>
struct stubborn
{
    std::function<void(Args...)> handler;
    bool asked = false;

    auto operator()(auto&& token)
    {
        return asio::async_initiate<decltype(token), void(Args...)>(
            [this](auto&& given)
            {
                auto slot = asio::get_associated_cancellation_slot(given);
                if (slot.is_connected())
                    slot.assign([this](asio::cancellation_type) { asked = true; });
                const auto kept = std::make_shared<std::decay_t<decltype(given)>>(std::move(given));
                handler = [kept](Args... args) { std::move (*kept)(std::move(args)...); };
            },
            token);
    }
};

} // namespace

BOOST_AUTO_TEST_SUITE(sync_select)

BOOST_AUTO_TEST_CASE(every_select_ends_as_it_should)
{
    test::wait_cases<selected_items>();
    test::wait_cases<selected_room>();
}

BOOST_AUTO_TEST_CASE(what_can_be_had_at_once_is_had_and_only_that)
{
    channel<int> one(1);
    channel<std::unique_ptr<int>> other(1);
    zsync::mutex mutex;
    zsync::binary_semaphore semaphore(1);
    zsync::latch latch(1);
    mutex.lock();
    semaphore.acquire();
    one.send(7);
    zsync::agent::current().cancellation().request();
    {
        auto [which, number, pointer, locked, acquired, down] =
            zsync::select(one.receiving(), other.receiving(), mutex.locking(), semaphore.acquiring(), latch.waiting());
        BOOST_TEST(which == 0u);
        BOOST_TEST(*number == 7);
        BOOST_TEST((pointer.error() == test::aborted));
    }
    BOOST_TEST(zsync::agent::current().cancellation().take()); // not delivered by then
    const auto next = [&]
    {
        return std::get<0>(zsync::try_select(one.receiving(), other.receiving(), mutex.locking(), semaphore.acquiring(),
                                             latch.waiting()));
    };
    BOOST_TEST(next() == zsync::none_selected);
    mutex.unlock();
    BOOST_TEST(next() == 2u);
    BOOST_TEST(!mutex.try_lock());
    semaphore.release();
    BOOST_TEST(next() == 3u);
    BOOST_TEST(!semaphore.try_acquire());
    latch.count_down();
    BOOST_TEST(next() == 4u);
}

BOOST_AUTO_TEST_CASE(locks_and_units_are_handed_over_to_a_select_that_waits)
{
    zsync::mutex mutex;
    zsync::counting_semaphore<> semaphore(0);
    zsync::fiber_context ctx;
    std::array<int, 2> had{};
    mutex.lock();
    for (int i = 0; i < 4; ++i)
        asio::post(ctx,
                   [&]
                   {
                       const auto which = std::get<0>(zsync::select(mutex.locking(), semaphore.acquiring()));
                       ++had[which];
                       if (which == 0)
                           mutex.unlock();
                   });
    asio::post(ctx, [&] { semaphore.release(3); });
    asio::post(ctx, [&] { mutex.unlock(); });
    test::run_all(ctx);
    BOOST_TEST(had[0] == 1);
    BOOST_TEST(had[1] == 3);
    BOOST_TEST(mutex.try_lock());
    BOOST_TEST(!semaphore.try_acquire());
}

BOOST_AUTO_TEST_CASE(a_unit_goes_past_those_whose_select_has_ended)
{
    zsync::counting_semaphore<> semaphore(0);
    zsync::event stop;
    zsync::fiber_context ctx;
    std::vector<std::size_t> order;
    asio::post(ctx, [&] { order.push_back(std::get<0>(zsync::select(semaphore.acquiring(), stop.waiting()))); });
    asio::post(ctx,
               [&]
               {
                   semaphore.acquire();
                   order.push_back(2);
               });
    asio::post(ctx,
               [&]
               {
                   stop.set();
                   semaphore.release(2); // the first in the list has been told otherwise, though it has not run yet
               });
    test::run_all(ctx);
    BOOST_TEST(order == (std::vector<std::size_t>{1, 2}), boost::test_tools::per_element());
    BOOST_TEST(semaphore.try_acquire());
    BOOST_TEST(!semaphore.try_acquire());
}

BOOST_AUTO_TEST_CASE(none_of_several_that_are_ready_is_starved)
{
    zsync::event a(true);
    zsync::event b(true);
    zsync::event c(true);
    std::array<int, 3> chosen{};
    for (int i = 0; i < 3'000; ++i)
        ++chosen[std::get<0>(zsync::select(a.waiting(), b.waiting(), c.waiting()))];
    for (int each : chosen)
        BOOST_TEST(each > 800);
}

BOOST_AUTO_TEST_CASE(an_item_that_is_not_sent_stays_with_its_case)
{
    channel<std::unique_ptr<int>> full(0);
    zsync::event stop(true);
    auto sending = full.sending(std::make_unique<int>(5));
    BOOST_TEST(std::get<0>(zsync::select(sending, stop.waiting())) == 1u);
    BOOST_TEST(*sending.item() == 5);
    full.close();
    const auto [which, sent] = zsync::select(sending);
    BOOST_TEST((sent.error() == closed));
    BOOST_TEST(*sending.item() == 5);
}

BOOST_AUTO_TEST_CASE(a_closed_channel_can_be_had_and_tells_that_it_is)
{
    channel<int> items(1);
    channel<int> idle(0);
    items.send(1);
    items.close();
    error_code ec = test::aborted;
    BOOST_TEST(*std::get<1>(zsync::select(ec, items.receiving(), idle.receiving())) == 1);
    BOOST_TEST(!ec);
    BOOST_TEST((std::get<1>(zsync::select(items.receiving(), idle.receiving())).error() == closed));

    zsync::fiber_context ctx;
    asio::post(ctx,
               [&]
               {
                   const auto [which, in, out] = zsync::select(idle.receiving(), idle.sending(1));
                   BOOST_TEST(((which == 0 ? in.error() : out.error()) == closed));
               });
    asio::post(ctx, [&] { idle.close(); });
    test::run_all(ctx);
}

BOOST_AUTO_TEST_CASE(selects_meet_at_a_rendezvous_and_none_meets_itself)
{
    channel<int> a(0);
    channel<int> b(0);
    zsync::fiber_context ctx;
    int received = 0;
    int sent = 0;
    const auto both = [&]
    {
        const auto [which, in, out] = zsync::select(a.receiving(), b.sending(1));
        (which == 0 ? received : sent) += 1;
    };
    asio::post(ctx, both);
    asio::post(ctx, [&] { BOOST_TEST((received == 0 && sent == 0)); });
    asio::post(ctx,
               [&]
               {
                   const auto [which, in, out] = zsync::select(b.receiving(), a.sending(1));
                   (which == 0 ? received : sent) += 1;
               });
    test::run_all(ctx);
    BOOST_TEST(received == 1);
    BOOST_TEST(sent == 1);

    const auto alone = zsync::try_select_for(1ms, a.receiving(), a.sending(1));
    BOOST_TEST(std::get<0>(alone) == zsync::none_selected);
}

BOOST_AUTO_TEST_CASE(the_earliest_timer_ends_a_select)
{
    zsync::event never;
    const auto start = std::chrono::steady_clock::now();
    BOOST_TEST(std::get<0>(zsync::select(zsync::after(1h), never.waiting(), zsync::after(2ms))) == 2u);
    BOOST_TEST((std::chrono::steady_clock::now() >= start + 2ms));
    BOOST_TEST(std::get<0>(zsync::select(zsync::at(start), never.waiting())) == 0u);
    BOOST_TEST(std::get<0>(zsync::try_select_for(1ms, zsync::at(test::time_point::max()))) == zsync::none_selected);

    zsync::fiber_context ctx;
    std::size_t which = 7;
    asio::post(ctx, [&] { which = std::get<0>(zsync::select(never.waiting(), zsync::after(1ms))); });
    std::size_t told = 7;
    zsync::async_select(never.waiting(), zsync::after(1ms), zsync::after(1h),
                        asio::bind_executor(ctx, [&](error_code, std::size_t index, auto...) { told = index; }));
    test::run_all(ctx);
    BOOST_TEST(which == 1u);
    BOOST_TEST(told == 1u);
}

BOOST_AUTO_TEST_CASE(an_operation_ends_a_select_and_one_that_loses_is_cancelled)
{
    zsync::event happened;
    const auto check = [&](auto& ctx, bool alone)
    {
        asio::steady_timer soon(ctx, 1ms);
        asio::steady_timer late(ctx, 1h);
        {
            const auto [which, nothing, first, second] =
                zsync::select(happened.waiting(), late.async_wait(asio::deferred), soon.async_wait(asio::deferred));
            BOOST_TEST(which == 2u);
            BOOST_TEST((first && std::get<0>(*first) == test::aborted));
            BOOST_TEST((second && !std::get<0>(*second)));
        }
        asio::post(ctx, [&] { happened.set(); });
        {
            const auto [which, nothing, first] = zsync::select(happened.waiting(), late.async_wait(asio::deferred));
            BOOST_TEST(which == 0u);
            // The other thread may have been faster: then it has not been started.
            BOOST_TEST((first ? std::get<0>(*first) == test::aborted : !alone));
        }
        {
            const auto [which, nothing, first] = zsync::select(happened.waiting(), late.async_wait(asio::deferred));
            BOOST_TEST(which == 0u);
            BOOST_TEST(!first); // not started
        }
        happened.reset();
    };
    {
        zsync::fiber_context ctx;
        asio::post(ctx, [&] { check(ctx, true); });
        test::run_all(ctx);
    }
    {
        zsync::blocking_context ctx;
        check(ctx, true); // which nobody else runs
        asio::post(ctx, [&] { check(ctx, true); });
        test::run_all(ctx);
    }
    {
        test::other_fibers ctx;
        auto work = asio::make_work_guard(ctx);
        std::thread other([&] { test::runs_out(ctx); });
        check(ctx, false);
        work.reset();
        other.join();
    }
}

BOOST_AUTO_TEST_CASE(an_operation_that_completes_all_the_same_keeps_its_result)
{
    zsync::fiber_context ctx;
    stubborn<error_code, std::unique_ptr<int>> op;
    const auto complete_when_asked = [&](auto self) -> void
    {
        if (op.asked)
            std::exchange(op.handler, nullptr)(error_code(), std::make_unique<int>(9));
        else
            asio::post(ctx, [self] { self(self); });
    };
    const auto complete = [&] { complete_when_asked(complete_when_asked); };
    asio::post(ctx,
               [&]
               {
                   { // beside a timer
                       const auto [which, late, value] = zsync::select(zsync::after(1ms), op);
                       BOOST_TEST(which == 0u);
                       BOOST_TEST(*std::get<1>(*value) == 9);
                   }
                   op.asked = false;
                   asio::post(ctx, complete);
                   { // at the deadline of the select: then it is what is returned
                       error_code ec = test::aborted;
                       zsync::event never;
                       const auto [which, none, value] =
                           zsync::try_select_until(ec, std::chrono::steady_clock::now() + 1ms, never.waiting(), op);
                       BOOST_TEST(!ec);
                       BOOST_TEST(which == 1u);
                       BOOST_TEST(*std::get<1>(*value) == 9);
                   }
                   op.asked = false;
                   asio::post(ctx, complete);
                   { // in spite of a request, which stays pending
                       auto& cancellation = zsync::agent::current().cancellation();
                       asio::post(ctx, [&] { cancellation.request(); });
                       const auto [which, value] = zsync::select(op);
                       BOOST_TEST(which == 0u);
                       BOOST_TEST(*std::get<1>(*value) == 9);
                       BOOST_TEST(cancellation.take());
                   }
               });
    asio::post(ctx, complete);
    test::run_all(ctx);
}

BOOST_AUTO_TEST_CASE(a_request_cancels_the_operations_too)
{
    zsync::fiber_context ctx;
    asio::steady_timer late(ctx, 1h);
    zsync::agent* waiting = nullptr;
    bool ended = false;
    asio::post(ctx,
               [&]
               {
                   waiting = &zsync::agent::current();
                   error_code ec;
                   const auto [which, value] = zsync::select(ec, late.async_wait(asio::deferred));
                   BOOST_TEST(which == zsync::none_selected);
                   BOOST_TEST(ec == test::aborted);
                   BOOST_TEST((value && std::get<0>(*value) == test::aborted));
                   waiting->cancellation().recancel();
                   BOOST_CHECK_THROW(zsync::select(late.async_wait(asio::deferred)), boost::system::system_error);
                   ended = true;
               });
    asio::post(ctx, [&] { waiting->cancellation().request(); });
    test::run_all(ctx);
    BOOST_TEST(ended);
}

BOOST_AUTO_TEST_CASE(an_operation_that_cannot_be_started_is_an_error_unless_something_else_has_come)
{
    zsync::fiber_context ctx;
    bool ended = false;
    const auto thrower = [](auto&& token)
    {
        return asio::async_initiate<decltype(token), void(error_code)>(
            [](auto&&) { throw std::runtime_error("not today"); }, token);
    };
    asio::post(ctx,
               [&]
               {
                   asio::steady_timer late(ctx, 1h);
                   BOOST_CHECK_THROW(zsync::select(late.async_wait(asio::deferred), thrower), std::runtime_error);
                   zsync::event event;
                   auto setting = [&](auto&& token)
                   {
                       return asio::async_initiate<decltype(token), void(error_code)>(
                           [&](auto&&)
                           {
                               event.set();
                               throw std::runtime_error("not today");
                           },
                           token);
                   };
                   BOOST_TEST(std::get<0>(zsync::select(event.waiting(), setting)) == 0u);
                   ended = true;
               });
    test::run_all(ctx);
    BOOST_TEST(ended);

    // One that the caller may not wait for: its own thread would have to run it.
    asio::io_context loop;
    asio::steady_timer late(loop, 1h);
    error_code ec;
    asio::post(loop, [&] { zsync::select(ec, late.async_wait(asio::deferred)); });
    loop.run();
    BOOST_TEST(ec == test::deadlock);

    std::optional<error_code> told;
    zsync::async_select(thrower, asio::bind_executor(loop, [&](error_code e, std::size_t, auto) { told = e; }));
    loop.restart();
    loop.run();
    BOOST_TEST((told && *told == make_error_code(boost::system::errc::not_enough_memory)));
}

BOOST_AUTO_TEST_CASE(a_handler_selects_among_operations)
{
    asio::io_context ctx;
    asio::steady_timer soon(ctx, 1ms);
    asio::steady_timer late(ctx, 1h);
    zsync::event event;
    bool told = false;
    zsync::async_select(event.waiting(), late.async_wait(asio::deferred), soon.async_wait(asio::deferred),
                        asio::bind_executor(ctx,
                                            [&](error_code ec, std::size_t which, auto nothing, auto first, auto second)
                                            {
                                                BOOST_TEST(!ec);
                                                BOOST_TEST(which == 2u);
                                                BOOST_TEST((nothing.error() == test::aborted));
                                                BOOST_TEST((first && std::get<0>(*first) == test::aborted));
                                                BOOST_TEST((second && !std::get<0>(*second)));
                                                told = true;
                                            }));
    test::run_all(ctx);
    BOOST_TEST(told);

    told = false;
    asio::cancellation_signal signal;
    zsync::async_select(event.waiting(), late.async_wait(asio::deferred),
                        test::bound(ctx.get_executor(), signal.slot(),
                                    [&](error_code ec, std::size_t which, auto, auto first)
                                    {
                                        BOOST_TEST(ec == test::aborted);
                                        BOOST_TEST(which == zsync::none_selected);
                                        BOOST_TEST((first && std::get<0>(*first) == test::aborted));
                                        told = true;
                                    }));
    signal.emit(asio::cancellation_type::total);
    test::run_all(ctx);
    BOOST_TEST(told);
}

BOOST_AUTO_TEST_CASE(a_coroutine_selects)
{
    asio::io_context ctx;
    channel<int> items(1);
    bool ended = false;
    asio::co_spawn(
        ctx,
        [&]() -> asio::awaitable<void>
        {
            const auto [which, item, late] =
                co_await zsync::async_select(items.receiving(), zsync::after(1h), asio::use_awaitable);
            BOOST_TEST(which == 0u);
            BOOST_TEST(*item == 3);
            ended = true;
        },
        asio::detached);
    asio::post(ctx, [&] { items.try_send(3); });
    test::run_all(ctx);
    BOOST_TEST(ended);
}

BOOST_AUTO_TEST_CASE(a_handler_is_destroyed_with_its_context_and_its_operations)
{
    const auto alive = std::make_shared<int>();
    zsync::event event;
    channel<int> items(0);
    const auto destroy = [&]<class Context>(std::type_identity<Context>, bool wake, bool run)
    {
        {
            Context ctx;
            asio::steady_timer late(ctx, 1h);
            zsync::async_select(event.waiting(), items.receiving(), late.async_wait(asio::deferred), zsync::after(2h),
                                asio::bind_executor(ctx, [alive](error_code, std::size_t, auto...) { std::abort(); }));
            if (run)
                ctx.poll();
            if (wake)
                event.set();
        }
        event.reset();
        BOOST_TEST(alive.use_count() == 1);
    };
    for (bool wake : {false, true})
        for (bool run : {false, true})
        {
            destroy(std::type_identity<asio::io_context>(), wake, run);
            destroy(std::type_identity<zsync::fiber_context>(), wake, run);
        }
}

BOOST_AUTO_TEST_CASE(a_fiber_that_unwinds_in_a_select_has_its_operations_ended)
{
    bool unwound = false;
    zsync::event never;
    {
        zsync::fiber_context ctx;
        zsync::spawn(
            ctx,
            [&]
            {
                asio::steady_timer late(ctx, 1h);
                try
                {
                    zsync::select(never.waiting(), late.async_wait(asio::deferred), zsync::after(2h));
                }
                catch (const zsync::fiber_unwind&)
                {
                    unwound = true;
                    throw;
                }
            },
            asio::detached);
        ctx.poll();
    }
    BOOST_TEST(unwound);
}

BOOST_AUTO_TEST_CASE(a_select_among_waitables_allocates_nothing)
{
    zsync::fiber_context ctx;
    channel<int> a(0);
    channel<int> b(0);
    std::uint64_t allocated = 1;
    asio::post(ctx,
               [&]
               {
                   for (int i = 0; i < 100; ++i)
                       zsync::select(a.sending(i), b.sending(i));
                   a.close();
               });
    asio::post(ctx,
               [&]
               {
                   std::uint64_t before = 0;
                   for (int i = 0; std::get<0>(zsync::select(a.receiving(), b.receiving(), zsync::after(1h))) < 2; ++i)
                   {
                       if (i == 10)
                           before = allocations();
                       if (i == 90)
                       {
                           allocated = allocations() - before;
                           break;
                       }
                   }
                   a.close();
                   b.close();
               });
    test::run_all(ctx);
    BOOST_TEST(allocated == 0u);
}

BOOST_AUTO_TEST_CASE(nothing_is_lost_or_repeated_when_threads_fibers_and_handlers_select)
{
    constexpr int each = 600;
    constexpr int senders = 5;
    channel<int> direct(0);
    channel<int> buffered(2);
    std::vector<std::atomic<int>> seen(each * senders);
    std::atomic<int> sending{senders};
    std::atomic<int> bad{0};
    const auto sent = [&]
    {
        if (--sending == 0)
        {
            direct.close();
            buffered.close();
        }
    };
    const auto see = [&](std::size_t which, const auto& one, const auto& other)
    {
        if (which < 2 && (which == 0 ? one : other))
            ++seen[static_cast<std::size_t>(which == 0 ? *one : *other)];
        if (one.has_value() + other.has_value() > 1)
            ++bad;
        return which < 2 && !(which == 0 ? one : other); // closed
    };
    const auto send_all = [&](int number, bool gives_up)
    {
        for (int i = 0; i < each;)
        {
            const int item = number * each + i;
            const auto which =
                gives_up ? std::get<0>(zsync::try_select_for(10us, direct.sending(item), buffered.sending(item)))
                         : std::get<0>(zsync::select(buffered.sending(item), direct.sending(item)));
            i += which != zsync::none_selected;
        }
        sent();
    };
    const auto receive_all = [&](bool gives_up)
    {
        for (bool done = false; !done;)
        {
            error_code ec;
            const auto [which, one, other, late] =
                zsync::select(ec, direct.receiving(), buffered.receiving(),
                              zsync::at(gives_up ? std::chrono::steady_clock::now() + 10us : test::time_point::max()));
            done = see(which, one, other);
        }
        // What is left in the other.
        while (const auto item = buffered.try_receive())
            ++seen[static_cast<std::size_t>(*item)];
    };
    std::vector<std::thread> threads;
    threads.emplace_back(send_all, 0, true);
    threads.emplace_back(receive_all, true);
    for (int t = 0; t < 2; ++t)
        threads.emplace_back(
            [&, t]
            {
                test::other_fibers ctx;
                asio::post(ctx, [&] { send_all(1 + 2 * t, false); });
                asio::post(ctx, [&] { send_all(2 + 2 * t, true); });
                // One after the other, each cancelled soon.
                std::function<void()> receive_one = [&]
                {
                    auto& cancellation = zsync::agent::current().cancellation();
                    asio::post(ctx, [&] { cancellation.request(); });
                    error_code ec;
                    const auto [which, one, other] = zsync::select(ec, direct.receiving(), buffered.receiving());
                    const bool done = see(which, one, other);
                    cancellation.protect();
                    asio::post(ctx, zsync::use_await); // after the request
                    cancellation.unprotect();
                    if (!done)
                        asio::post(ctx, receive_one);
                };
                asio::post(ctx, receive_one);
                asio::post(ctx, [&] { receive_all(false); });
                test::runs_out(ctx);
            });
    threads.emplace_back(
        [&]
        {
            asio::io_context ctx;
            asio::cancellation_signal signal;
            int count = 0;
            std::function<void()> receive = [&]
            {
                zsync::async_select(direct.receiving(), zsync::after(count % 3 == 0 ? 1us : 1h), buffered.receiving(),
                                    test::bound(ctx.get_executor(), signal.slot(),
                                                [&](error_code, std::size_t which, auto one, auto, auto other)
                                                {
                                                    if (!see(which == 2 ? 1 : which == 1 ? 2 : which, one, other))
                                                        receive();
                                                }));
                if (++count % 4 == 0)
                    signal.emit(asio::cancellation_type::total);
            };
            receive();
            test::runs_out(ctx);
        });
    for (auto& thread : threads)
        thread.join();
    BOOST_TEST(bad == 0);
    BOOST_TEST(std::count(seen.begin(), seen.end(), 1) == each * senders);
}

BOOST_AUTO_TEST_SUITE_END()
