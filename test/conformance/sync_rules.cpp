// SPDX-License-Identifier: BSL-1.0

// The rules for locks, conditions, channels and select. The other side of each wait is a plain thread:
// that there is in every model.
#include "cells.hpp"
#include "tasks.hpp"

#include <zsync/core/deadline_scope.hpp>
#include <zsync/sync.hpp>

#include <boost/asio/error.hpp>

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <numeric>
#include <optional>
#include <shared_mutex>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

using boost::asio::error::operation_aborted;
using boost::system::error_code;
using test::error_of;
using test::for_ever;
using test::request_cancel;
using namespace std::chrono_literals;

namespace
{

const error_code timed_out = zsync::error::timed_out;
const error_code channel_closed = zsync::error::channel_closed;

/// Holds something on a thread of its own, from when it is made until it is destroyed.
class held_elsewhere
{
public:
    explicit held_elsewhere(auto& lockable)
        : thread_(
              [this, &lockable]
              {
                  const std::lock_guard hold(lockable);
                  held_.set();
                  release_.wait();
              })
    {
        held_.wait();
    }

    ~held_elsewhere() { release_.set(); }

private:
    zsync::event held_;
    zsync::event release_;
    std::jthread thread_;
};

} // namespace

BOOST_AUTO_TEST_SUITE(conformance)

// R5: locks, conditions, channels and select are cancellation points where they have to wait.

ZSYNC_RULE_CASE(R5, a_lock_is_a_point)
{
    zsync::mutex lock;
    {
        const held_elsewhere other(lock);
        request_cancel();
        BOOST_TEST(error_of([&] { lock.lock(); }) == operation_aborted);
    }
    const std::lock_guard hold(lock); // the request was delivered, once
}

ZSYNC_RULE_CASE(R5, a_shared_lock_is_a_point)
{
    zsync::shared_mutex lock;
    {
        const held_elsewhere other(lock);
        request_cancel();
        BOOST_TEST(error_of([&] { lock.lock_shared(); }) == operation_aborted);
        zsync::recancel();
        BOOST_TEST(error_of([&] { lock.lock(); }) == operation_aborted);
    }
    const std::shared_lock hold(lock);
}

ZSYNC_RULE_CASE(R5, a_lock_that_is_free_is_no_point)
{
    zsync::mutex lock;
    request_cancel();
    {
        const std::lock_guard hold(lock);
    }
    BOOST_TEST(error_of([] { zsync::check_cancel(); }) == operation_aborted); // still pending
}

ZSYNC_RULE_CASE(R5, a_wait_for_a_condition_is_a_point_and_holds_the_lock_again)
{
    zsync::mutex lock;
    zsync::condition_variable changed;
    std::unique_lock hold(lock);
    request_cancel();
    BOOST_TEST(error_of([&] { changed.wait(hold, [] { return false; }); }) == operation_aborted);
    BOOST_TEST(hold.owns_lock());
    BOOST_TEST(!lock.try_lock());
}

ZSYNC_RULE_CASE(R5, waits_for_semaphores_events_latches_and_barriers_are_points)
{
    zsync::counting_semaphore<> none(0);
    zsync::event never;
    zsync::latch open(1);
    zsync::barrier<> alone(2);
    const std::function<void()> waits[] = {[&] { none.acquire(); }, [&] { never.wait(); }, [&] { open.wait(); },
                                           [&] { alone.arrive_and_wait(); }};
    for (const auto& wait : waits)
    {
        zsync::recancel();
        request_cancel();
        BOOST_TEST(error_of(wait) == operation_aborted);
    }
}

ZSYNC_RULE_CASE(R5, channel_operations_are_points_and_lose_nothing)
{
    zsync::channel<std::unique_ptr<int>> items(1);
    request_cancel();
    BOOST_TEST(error_of([&] { items.receive(); }) == operation_aborted);
    items.send(std::make_unique<int>(1));
    auto second = std::make_unique<int>(2);
    zsync::recancel();
    BOOST_TEST(error_of([&] { items.send(std::move(second)); }) == operation_aborted);
    BOOST_REQUIRE(second); // what has not been sent is still the sender's
    BOOST_TEST(*items.receive() == 1);
    BOOST_TEST(!items.try_receive());
}

ZSYNC_RULE_CASE(R5, select_is_a_point_where_nothing_can_be_had)
{
    zsync::channel<int> first(1);
    zsync::channel<int> second(1);
    request_cancel();
    BOOST_TEST(error_of([&] { zsync::select(first.receiving(), second.receiving()); }) == operation_aborted);
    second.send(7);
    zsync::recancel();
    const auto chosen = zsync::select(first.receiving(), second.receiving());
    BOOST_TEST(std::get<0>(chosen) == 1u);
    BOOST_TEST(error_of([] { zsync::check_cancel(); }) == operation_aborted);
}

// R11: a deadline_scope holds for the waits of its task, too, and what can be had wins.

ZSYNC_RULE_CASE(R11, a_deadline_scope_ends_waits_for_locks_and_channels)
{
    zsync::mutex lock;
    zsync::mutex is_free;
    zsync::channel<int> items(1);
    const held_elsewhere other(lock);
    items.send(1);
    const zsync::deadline_scope scope(-1s);
    BOOST_TEST(error_of([&] { lock.lock(); }) == timed_out);
    const std::lock_guard hold(is_free);
    BOOST_TEST(items.receive() == 1);
    BOOST_TEST(error_of([&] { items.receive(); }) == timed_out);
    BOOST_TEST(error_of([&] { zsync::select(items.receiving()); }) == timed_out);
}

// R13: channels drain, and are closed then; capacity 0 is a rendezvous; select never loses an item.

ZSYNC_RULE_CASE(R13, a_channel_drains_and_is_closed_then)
{
    zsync::channel<int> items(3);
    items.send(1);
    items.send(2);
    items.close();
    BOOST_TEST(error_of([&] { items.send(3); }) == channel_closed);
    BOOST_TEST(items.receive() == 1);
    BOOST_TEST(items.receive() == 2);
    BOOST_TEST(error_of([&] { items.receive(); }) == channel_closed);
}

ZSYNC_RULE_CASE(R13, closing_ends_waits_on_both_sides)
{
    zsync::channel<int> empty(1);
    std::jthread closes([&] { empty.close(); });
    BOOST_TEST(error_of([&] { empty.receive(); }) == channel_closed);

    zsync::channel<int> nobody_receives(0);
    std::jthread closes_too([&] { nobody_receives.close(); });
    BOOST_TEST(error_of([&] { nobody_receives.send(1); }) == channel_closed);
}

ZSYNC_RULE_CASE(R13, capacity_0_passes_from_hand_to_hand)
{
    zsync::channel<int> meeting(0);
    BOOST_TEST(!meeting.try_send(1));
    std::vector<int> received;
    {
        std::jthread receiver(
            [&]
            {
                for (int n = 0; n != 3; ++n)
                    received.push_back(meeting.receive());
            });
        for (int n = 0; n != 3; ++n)
            meeting.send(n);
    }
    BOOST_TEST(received == (std::vector{0, 1, 2}));
}

ZSYNC_RULE_CASE(R13, select_takes_one_item_and_leaves_the_others)
{
    zsync::channel<int> first(4);
    zsync::channel<int> second(4);
    constexpr int count = 200;
    std::jthread feeds(
        [&]
        {
            for (int n = 0; n != count; ++n)
                (n % 2 ? first : second).send(n);
            first.close();
            second.close();
        });
    std::vector<int> all;
    for (bool open = true; open;)
    {
        const auto [which, one, other] = zsync::select(first.receiving(), second.receiving());
        const auto& taken = which == 0 ? one : other;
        const auto& left = which == 0 ? other : one;
        BOOST_TEST_REQUIRE(left.has_error());
        if (taken)
            all.push_back(*taken);
        else
            open = false;
    }
    // The other one may have been closed a moment later.
    for (zsync::channel<int>* each : {&first, &second})
        for (error_code ec; const std::optional<int> item = each->receive(ec);)
            all.push_back(*item);
    std::sort(all.begin(), all.end());
    std::vector<int> sent(count);
    std::iota(sent.begin(), sent.end(), 0);
    BOOST_TEST(all == sent);
}

ZSYNC_RULE_CASE(R13, an_item_that_select_has_not_sent_is_still_the_senders)
{
    zsync::channel<std::unique_ptr<int>> full(0);
    zsync::event happened;
    std::jthread other([&] { happened.set(); });
    auto sending = full.sending(std::make_unique<int>(5));
    const auto chosen = zsync::select(sending, happened.waiting());
    BOOST_TEST(std::get<0>(chosen) == 1u);
    int received = 0;
    {
        std::jthread receiver([&] { received = *full.receive(); });
        BOOST_TEST(std::get<0>(zsync::select(sending)) == 0u);
    }
    BOOST_TEST(received == 5);
}

BOOST_AUTO_TEST_SUITE_END()
