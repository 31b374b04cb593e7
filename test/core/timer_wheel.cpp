// SPDX-License-Identifier: BSL-1.0
#include <zsync/core/timer_wheel.hpp>

#include <boost/test/unit_test.hpp>

#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>

#include <deque>
#include <iterator>
#include <map>
#include <random>
#include <vector>

using namespace std::chrono_literals;
using zsync::timer_list;
using zsync::timer_node;
using zsync::timer_wheel;
using time_point = timer_wheel::clock::time_point;
using duration = timer_wheel::clock::duration;

namespace
{

const time_point start{12'345'678'901ns};

std::vector<timer_node*> deliver(timer_wheel& wheel, time_point now)
{
    timer_list due;
    const std::size_t count = wheel.expire(now, due);
    std::vector<timer_node*> result;
    while (timer_node* t = due.pop_front())
        result.push_back(t);
    BOOST_TEST(result.size() == count);
    return result;
}

using timers = std::vector<timer_node*>;

// A duration whose magnitude, not its value, is uniform: every level of the wheel gets its share.
duration any_magnitude(std::mt19937_64& random)
{
    return duration(random() >> (1 + random() % 62));
}

} // namespace

BOOST_AUTO_TEST_SUITE(core_timer_wheel)

BOOST_AUTO_TEST_CASE(an_empty_wheel_needs_no_wakeup_and_expires_nothing)
{
    timer_wheel wheel(start);
    BOOST_TEST(wheel.empty());
    BOOST_TEST(!wheel.next_wakeup().has_value());
    BOOST_TEST(deliver(wheel, start + 24h).empty());
    BOOST_TEST(deliver(wheel, time_point::max()).empty());
}

BOOST_AUTO_TEST_CASE(a_timer_is_due_at_its_deadline_and_not_a_nanosecond_before)
{
    for (auto distance : {0ns, 1ns, 1023ns, 1024ns, 1025ns, 65'535ns, 65'536ns, 1'000'000'007ns})
    {
        timer_wheel wheel(start);
        timer_node t;
        wheel.insert(t, start + distance);
        BOOST_TEST(t.linked());
        BOOST_TEST((t.deadline() == start + distance));
        BOOST_TEST((wheel.next_wakeup() == start + distance));
        BOOST_TEST(deliver(wheel, start + distance - 1ns).empty());
        BOOST_TEST((wheel.next_wakeup() == start + distance));
        BOOST_TEST((deliver(wheel, start + distance) == timers{&t}));
        BOOST_TEST(!t.linked());
        BOOST_TEST(wheel.empty());
    }
}

BOOST_AUTO_TEST_CASE(a_passed_deadline_is_due_at_the_next_expire)
{
    timer_wheel wheel(start);
    BOOST_TEST(deliver(wheel, start + 1h).empty());
    timer_node late, latest, ancient;
    wheel.insert(late, start + 30min);
    wheel.insert(latest, start - 1h);
    wheel.insert(ancient, time_point::min());
    BOOST_TEST((wheel.next_wakeup() == time_point::min()));
    BOOST_TEST((deliver(wheel, start + 1h) == timers{&ancient, &latest, &late}));
}

BOOST_AUTO_TEST_CASE(a_clock_that_steps_back_makes_nothing_early)
{
    timer_wheel wheel(start);
    BOOST_TEST(deliver(wheel, start + 1h).empty());
    timer_node passed, ahead;
    wheel.insert(passed, start + 30min);
    wheel.insert(ahead, start + 2h);
    BOOST_TEST(deliver(wheel, start + 29min).empty());
    BOOST_TEST((deliver(wheel, start + 31min) == timers{&passed}));
    BOOST_TEST((deliver(wheel, start + 2h) == timers{&ahead}));
}

BOOST_AUTO_TEST_CASE(delivery_is_in_deadline_order_even_within_a_tick_and_ties_keep_insertion_order)
{
    timer_wheel wheel(start);
    std::deque<timer_node> nodes(1000);
    timers expected(nodes.size());
    // Ten deadlines a nanosecond apart, each given to a hundred timers, inserted in rounds of descending deadlines.
    for (std::size_t i = 0; i != nodes.size(); ++i)
    {
        const std::size_t deadline = 9 - i % 10;
        wheel.insert(nodes[i], start + 5s + std::chrono::nanoseconds(deadline));
        expected[deadline * 100 + i / 10] = &nodes[i];
    }
    BOOST_TEST((deliver(wheel, start + 6s) == expected));
}

BOOST_AUTO_TEST_CASE(ties_keep_insertion_order_when_the_later_one_was_inserted_from_nearby)
{
    timer_wheel wheel(start);
    const auto deadline = start + 10s;
    timer_node far, near, last;
    wheel.insert(far, deadline);
    BOOST_TEST(deliver(wheel, deadline - 50us).empty());
    wheel.insert(near, deadline);
    BOOST_TEST(deliver(wheel, deadline - 10ns).empty());
    wheel.insert(last, deadline);
    BOOST_TEST((deliver(wheel, deadline) == timers{&far, &near, &last}));
}

BOOST_AUTO_TEST_CASE(a_rearm_counts_as_an_insertion_among_ties)
{
    timer_wheel wheel(start);
    timer_node first, second;
    wheel.insert(first, start + 1s);
    wheel.insert(second, start + 1s);
    BOOST_TEST(wheel.rearm(first, start + 1s));
    BOOST_TEST((deliver(wheel, start + 1s) == timers{&second, &first}));
}

BOOST_AUTO_TEST_CASE(rearm_moves_later_and_earlier_and_inserts_what_is_not_linked)
{
    timer_wheel wheel(start);
    timer_node t, other;
    BOOST_TEST(!wheel.rearm(t, start + 1s));
    wheel.insert(other, start + 2s);
    BOOST_TEST(wheel.rearm(t, start + 3s));
    BOOST_TEST(wheel.size() == 2u);
    // The old deadline remains a wake-up, at which nothing is due and after which the new ones are known.
    BOOST_TEST((*wheel.next_wakeup() <= start + 2s));
    BOOST_TEST(deliver(wheel, start + 1s).empty());
    BOOST_TEST((*wheel.next_wakeup() > start + 1s));
    BOOST_TEST((deliver(wheel, start + 4s) == timers{&other, &t}));
    wheel.insert(t, start + 1h);
    BOOST_TEST(wheel.rearm(t, start + 5s));
    BOOST_TEST((wheel.next_wakeup() == start + 5s));
    BOOST_TEST((deliver(wheel, start + 5s) == timers{&t}));
}

BOOST_AUTO_TEST_CASE(cancel_unlinks_once)
{
    timer_wheel wheel(start);
    timer_node t, other;
    BOOST_TEST(!wheel.cancel(t));
    wheel.insert(t, start + 1s);
    wheel.insert(other, start + 1s);
    BOOST_TEST(wheel.cancel(t));
    BOOST_TEST(!wheel.cancel(t));
    BOOST_TEST(!t.linked());
    BOOST_TEST(wheel.size() == 1u);
    BOOST_TEST(wheel.cancel(other));
    BOOST_TEST(wheel.empty());
    BOOST_TEST(!wheel.next_wakeup().has_value());
}

BOOST_AUTO_TEST_CASE(a_due_timer_can_be_cancelled_or_rearmed_until_it_is_popped)
{
    timer_wheel wheel(start);
    timer_node first, cancelled, rearmed, last;
    for (timer_node* t : {&first, &cancelled, &rearmed, &last})
        wheel.insert(*t, start + 1s);
    timer_list due;
    BOOST_TEST(wheel.expire(start + 1s, due) == 4u);
    BOOST_TEST(wheel.empty());
    BOOST_TEST(due.pop_front() == &first);
    BOOST_TEST(!wheel.cancel(first));
    BOOST_TEST(cancelled.linked());
    BOOST_TEST(wheel.cancel(cancelled));
    BOOST_TEST(!cancelled.linked());
    BOOST_TEST(wheel.rearm(rearmed, start + 2s));
    BOOST_TEST(wheel.size() == 1u);
    BOOST_TEST(due.pop_front() == &last);
    BOOST_TEST(due.pop_front() == nullptr);
    BOOST_TEST(due.empty());
    BOOST_TEST((deliver(wheel, start + 2s) == timers{&rearmed}));
}

BOOST_AUTO_TEST_CASE(a_moved_timer_keeps_its_place_in_the_wheel_and_among_the_due)
{
    timer_wheel wheel(start);
    timer_node first, old_place, last, new_place, newest_place, unlinked, other;
    for (timer_node* t : {&first, &old_place, &last})
        wheel.insert(*t, start + 1s);
    wheel.move(old_place, new_place);
    BOOST_TEST(!old_place.linked());
    BOOST_TEST(new_place.linked());
    BOOST_TEST((new_place.deadline() == start + 1s));
    BOOST_TEST(wheel.size() == 3u);

    timer_list due;
    BOOST_TEST(wheel.expire(start + 1s, due) == 3u);
    wheel.move(new_place, newest_place);
    BOOST_TEST(!new_place.linked());
    BOOST_TEST(due.pop_front() == &first);
    BOOST_TEST(due.pop_front() == &newest_place);
    BOOST_TEST(due.pop_front() == &last);

    // The only one of its slot.
    wheel.insert(first, start + 2s);
    wheel.move(first, other);
    BOOST_TEST(wheel.cancel(other));
    BOOST_TEST(!wheel.next_wakeup().has_value());
    wheel.move(unlinked, other);
    BOOST_TEST(!other.linked());
}

BOOST_AUTO_TEST_CASE(an_expire_that_has_enough_leaves_the_later_ones_for_the_next)
{
    timer_wheel wheel(start);
    std::deque<timer_node> nodes(100);
    for (std::size_t i = 0; i != nodes.size(); ++i)
        wheel.insert(nodes[i], start + 1ms * (100 - i));
    timer_node same_tick[2];
    for (timer_node& t : same_tick)
        wheel.insert(t, start + 10ms);

    const time_point now = start + 60ms;
    timer_list due;
    time_point last = start;
    std::size_t taken = 0;
    for (std::size_t count = 1; count != 0; taken += count)
    {
        count = wheel.expire(now, due, 10);
        BOOST_TEST(count <= 12u);
        if (count == 0)
            break;
        BOOST_TEST((taken + count == 62u || *wheel.next_wakeup() <= now));
        while (timer_node* t = due.pop_front())
        {
            BOOST_TEST((t->deadline() >= last));
            last = t->deadline();
        }
    }
    BOOST_TEST(taken == 62u);
    BOOST_TEST((last == now));
    BOOST_TEST(wheel.size() == 40u);
    // What comes meanwhile and has passed is due before the rest.
    timer_node late;
    wheel.insert(late, start + 5ms);
    BOOST_TEST(wheel.expire(start + 200ms, due, 1) == 1u);
    BOOST_TEST(due.pop_front() == &late);
    for (timer_node& t : nodes)
        wheel.cancel(t);
}

BOOST_AUTO_TEST_CASE(take_all_takes_every_timer_of_every_level)
{
    timer_wheel wheel(start);
    std::mt19937_64 random(7);
    std::deque<timer_node> nodes(1000);
    for (timer_node& t : nodes)
        wheel.insert(t, start + any_magnitude(random));
    timer_list all;
    wheel.take_all(all);
    BOOST_TEST(wheel.empty());
    BOOST_TEST(!wheel.next_wakeup().has_value());
    std::size_t count = 0;
    while (all.pop_front())
        ++count;
    BOOST_TEST(count == nodes.size());
}

BOOST_AUTO_TEST_CASE(what_is_inserted_while_delivering_waits_for_the_next_expire)
{
    timer_wheel wheel(start);
    timer_node again;
    wheel.insert(again, start);
    timer_list due;
    BOOST_TEST(wheel.expire(start + 1s, due) == 1u);
    std::size_t delivered = 0;
    while (timer_node* t = due.pop_front())
    {
        ++delivered;
        wheel.insert(*t, start);
    }
    BOOST_TEST(delivered == 1u);
    BOOST_TEST((deliver(wheel, start + 1s) == timers{&again}));
}

BOOST_AUTO_TEST_CASE(expire_appends_to_a_list_not_yet_worked_off)
{
    timer_wheel wheel(start);
    timer_node a, b;
    wheel.insert(a, start + 1s);
    wheel.insert(b, start + 2s);
    timer_list due;
    BOOST_TEST(wheel.expire(start + 1s, due) == 1u);
    BOOST_TEST(wheel.expire(start + 2s, due) == 1u);
    BOOST_TEST(due.pop_front() == &a);
    BOOST_TEST(due.pop_front() == &b);
}

BOOST_AUTO_TEST_CASE(the_whole_range_of_time_points_fits)
{
    for (auto origin : {time_point::min(), time_point(), start})
    {
        timer_wheel wheel(origin);
        timer_node never, almost, soon;
        wheel.insert(never, time_point::max());
        wheel.insert(almost, time_point::max() - 1ns);
        wheel.insert(soon, origin + 1s);
        BOOST_TEST((deliver(wheel, origin + 24h * 365) == timers{&soon}));
        BOOST_TEST((wheel.next_wakeup() == time_point::max() - 1ns));
        BOOST_TEST(deliver(wheel, time_point::max() - 2ns).empty());
        BOOST_TEST((deliver(wheel, time_point::max() - 1ns) == timers{&almost}));
        BOOST_TEST((deliver(wheel, time_point::max()) == timers{&never}));
    }
}

BOOST_AUTO_TEST_CASE(ten_years_of_idling_cost_no_more_than_a_moment)
{
    // Tick by tick this would be 3e11 steps for each of the rounds.
    timer_wheel wheel(start);
    timer_node t, beyond;
    wheel.insert(beyond, time_point::max());
    auto now = start;
    for (int round = 0; round != 20; ++round)
    {
        wheel.insert(t, now + 10 * 365 * 24h);
        now += 10 * 365 * 24h;
        BOOST_TEST(deliver(wheel, now - 1ns).empty());
        BOOST_TEST((deliver(wheel, now) == timers{&t}));
    }
    BOOST_TEST(wheel.cancel(beyond));
}

BOOST_AUTO_TEST_CASE(a_loop_that_sleeps_until_next_wakeup_wakes_once_a_deadline)
{
    std::mt19937_64 random(7);
    timer_wheel wheel(start);
    std::deque<timer_node> nodes(1000);
    std::multimap<time_point, timer_node*> model;
    for (auto& t : nodes)
    {
        const auto deadline = start + any_magnitude(random) / 2;
        wheel.insert(t, deadline);
        model.emplace(deadline, &t);
    }
    while (!model.empty())
    {
        const auto now = wheel.next_wakeup();
        BOOST_REQUIRE((now == model.begin()->first));
        for (timer_node* t : deliver(wheel, *now))
        {
            BOOST_REQUIRE(model.begin()->second == t);
            model.erase(model.begin());
        }
    }
    BOOST_TEST(wheel.empty());
}

BOOST_DATA_TEST_CASE(random_steps_agree_with_a_multimap, boost::unit_test::data::xrange(1, 9), seed)
{
    // Insert, re-arm, cancel, cancel what is due, and expire after gaps from nanoseconds to years.
    struct node : timer_node
    {
        typename std::multimap<time_point, node*>::iterator place;
        bool in_model = false;
    };
    std::mt19937_64 random(static_cast<unsigned>(seed));
    timer_wheel wheel(start);
    std::deque<node> nodes(1 + 300u * static_cast<unsigned>(seed));
    std::multimap<time_point, node*> model; // an insertion goes after its equals
    auto now = start;
    std::size_t failures = 0;
    auto check = [&](bool holds) { failures += !holds; };
    auto forget = [&](node& n)
    {
        model.erase(n.place);
        n.in_model = false;
    };

    const auto among_first = [&](std::size_t n, time_point otherwise)
    {
        if (model.empty())
            return otherwise;
        return std::next(model.begin(), static_cast<long>(random() % n % model.size()))->first;
    };
    const auto some_deadline = [&]() -> time_point
    {
        switch (random() % 16)
        {
        case 0: // passed
            return now - std::min(any_magnitude(random), now - start + 10s);
        case 1: // a tie, most probably
            return among_first(3, now);
        case 2:
            return time_point::max() - duration(random() % 3);
        default:
            return now + std::min(any_magnitude(random), time_point::max() - now);
        }
    };

    for (int step = 0; step != 100'000; ++step)
    {
        node& n = nodes[random() % nodes.size()];
        check(n.linked() == n.in_model);
        const auto action = random() % 16;
        if (action < 8)
        {
            const auto deadline = some_deadline();
            if (n.in_model || action < 2)
            {
                check(wheel.rearm(n, deadline) == n.in_model);
                if (n.in_model)
                    forget(n);
            }
            else
            {
                wheel.insert(n, deadline);
            }
            n.place = model.emplace(deadline, &n);
            n.in_model = true;
        }
        else if (action < 12)
        {
            check(wheel.cancel(n) == n.in_model);
            if (n.in_model)
                forget(n);
        }
        else
        {
            if (action == 12 && !model.empty())
                now = std::max(now, model.begin()->first - duration(random() % 2));
            else if (random() % 4096 == 0)
                now += 10 * 365 * 24h;
            else
                now += duration(random() >> (16 + random() % 48)); // up to 78 hours
            timer_list due;
            std::size_t expected = 0;
            for (auto it = model.begin(); it != model.end() && it->first <= now; ++it)
                ++expected;
            check(wheel.expire(now, due) == expected);
            while (!due.empty())
            {
                if (!model.empty() && random() % 8 == 0)
                {
                    // Cancel one in the middle of delivery, due or not.
                    node& victim = *std::next(model.begin(), static_cast<long>(random() % 4 % model.size()))->second;
                    check(wheel.cancel(victim));
                    forget(victim);
                    continue;
                }
                auto& front = static_cast<node&>(*due.pop_front());
                check(front.deadline() <= now);
                check(model.begin()->second == &front);
                forget(front);
            }
            check(model.empty() || model.begin()->first > now);
            check(!wheel.next_wakeup() || *wheel.next_wakeup() > now);
        }
        check(wheel.size() == model.size());
        check(wheel.next_wakeup().has_value() == !model.empty());
        check(model.empty() || *wheel.next_wakeup() <= model.begin()->first);
        BOOST_REQUIRE_MESSAGE(failures == 0, "step " << step);
    }
    BOOST_TEST((now < start + 200 * 365 * 24h)); // else the steps were spent at the end of time
    for (auto& n : nodes)
        wheel.cancel(n);
    BOOST_TEST(wheel.empty());
}

BOOST_AUTO_TEST_SUITE_END()
