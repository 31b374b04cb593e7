// SPDX-License-Identifier: BSL-1.0
#include <zsync/fiber/fiber_local.hpp>

#include <zsync/core/use_await.hpp>
#include <zsync/fiber/fiber.hpp>
#include <zsync/fiber/spawn.hpp>

#include "docs/examples/allocations.hpp"
#include "fiber/run_all.hpp"

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace asio = boost::asio;
namespace this_fiber = zsync::this_fiber;
using namespace std::chrono_literals;
using test::run_all;
using zsync::fiber;
using zsync::fiber_context;
using zsync::fiber_local;

namespace
{

// Says when it is destroyed, after it has waited.
struct noted
{
    std::vector<std::string>* notes = nullptr;
    std::string name{};
    std::chrono::milliseconds lasts{0};

    noted() = default;
    noted(const noted&) = delete;
    noted& operator=(const noted&) = delete;

    void set(std::vector<std::string>& where, std::string what)
    {
        notes = &where;
        name = std::move(what);
    }

    ~noted()
    {
        boost::system::error_code ec;
        if (lasts > 0ms)
            this_fiber::sleep_for(lasts, ec);
        if (ec)
            name += ", interrupted";
        if (notes)
            notes->push_back(name);
    }
};

} // namespace

BOOST_AUTO_TEST_SUITE(fiber_local_values)

BOOST_AUTO_TEST_CASE(each_fiber_has_its_own)
{
    fiber_local<int> number([] { return 5; });
    *number = 100; // the thread's
    fiber_context ctx;
    std::vector<fiber> fibers;
    int right = 0;
    for (int index = 0; index < 10; ++index)
        fibers.emplace_back(ctx,
                            [&, index]
                            {
                                const int* const there = number.find();
                                const bool fresh = !there && *number == 5;
                                *number += index;
                                const int* const place = &*number;
                                this_fiber::yield();
                                right += fresh && *number == 5 + index && &number.get() == place;
                            });
    BOOST_TEST(run_all(ctx));
    BOOST_TEST(right == 10);
    BOOST_TEST(*number == 100);
    std::thread([&] { BOOST_TEST(!number.find()); }).join();
    number.reset();
    BOOST_TEST(!number.find());
}

BOOST_AUTO_TEST_CASE(they_end_on_the_fiber_the_last_first_before_anyone_is_told)
{
    fiber_local<noted> first;
    fiber_local<noted> second;
    fiber_context ctx;
    std::vector<std::string> notes;
    const auto function = [&]
    {
        first->set(notes, "first");
        second->set(notes, "second");
        first->lasts = second->lasts = 1ms; // they may wait
        return 1;
    };
    const std::vector<std::string> expected{"second", "first", "told"};
    const auto told = [&](auto&&...) { notes.push_back("told"); };
    const auto check = [&]
    {
        BOOST_TEST(notes == expected, boost::test_tools::per_element());
        notes.clear();
    };

    zsync::spawn(ctx, function, told);
    BOOST_TEST(run_all(ctx));
    check();

    zsync::spawn(
        ctx,
        [&]
        {
            BOOST_TEST(zsync::basic_fiber(ctx, function).join() == 1);
            told();
        },
        asio::detached);
    BOOST_TEST(run_all(ctx));
    check();

    std::optional work{asio::prefer(ctx.get_executor(), asio::execution::outstanding_work.tracked)};
    ctx.restart();
    std::thread other([&] { ctx.run(); });
    BOOST_TEST(zsync::basic_fiber(ctx, function).join() == 1); // made on another thread than it runs on
    told();
    work.reset();
    other.join();
    check();
}

BOOST_AUTO_TEST_CASE(a_request_does_not_interrupt_their_destructors)
{
    fiber_local<noted> slow;
    fiber_context ctx;
    std::vector<std::string> notes;
    zsync::spawn(
        ctx,
        [&]
        {
            fiber one(ctx,
                      [&]
                      {
                          slow->set(notes, "slow");
                          slow->lasts = 2ms;
                      });
            this_fiber::yield();
            one.request_cancel();
            one.join();
        },
        asio::detached);
    BOOST_TEST(run_all(ctx));
    const std::vector<std::string> expected{"slow"};
    BOOST_TEST(notes == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_destructor_may_use_the_others_and_make_them)
{
    struct uses
    {
        fiber_local<noted>* other = nullptr;
        std::vector<std::string>* notes = nullptr;
        ~uses()
        {
            if (other)
                (*other)->set(*notes, other->find()->name + "+");
        }
    };
    fiber_local<noted> alive;
    fiber_local<noted> late;
    fiber_local<uses> one;
    fiber_local<uses> two;
    fiber_context ctx;
    std::vector<std::string> notes;
    zsync::spawn(
        ctx,
        [&]
        {
            alive->set(notes, "alive");
            one->other = &alive;
            two->other = &late;
            one->notes = two->notes = &notes;
        },
        asio::detached);
    BOOST_TEST(run_all(ctx));
    const std::vector<std::string> expected{"+", "alive+"};
    BOOST_TEST(notes == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(functions_that_share_a_fiber_share_no_values)
{
    fiber_local<noted> value;
    fiber_context ctx;
    std::vector<std::string> notes;
    for (const char* name : {"one", "two", "three"})
        asio::post(ctx,
                   [&, name]
                   {
                       if (value.find())
                           notes.push_back("inherited");
                       value->set(notes, name);
                       if (name[1] == 'w')
                           this_fiber::sleep_for(1ms);
                       else
                           value->lasts = 1ms;
                   });
    BOOST_TEST(run_all(ctx));
    std::sort(notes.begin(), notes.end());
    const std::vector<std::string> expected{"one", "three", "two"};
    BOOST_TEST(notes == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_threads_own_end_with_the_thread)
{
    fiber_local<noted> value;
    std::vector<std::string> notes;
    std::thread(
        [&]
        {
            value->set(notes, "thread");
            BOOST_TEST(notes.empty());
        })
        .join();
    BOOST_TEST(notes.size() == 1u);
}

BOOST_AUTO_TEST_CASE(what_cannot_be_made_is_not_there)
{
    int fails = 2;
    fiber_local<int> value(
        [&]() -> int
        {
            if (fails-- > 0)
                throw std::runtime_error("not yet");
            return 3;
        });
    BOOST_CHECK_THROW(*value, std::runtime_error);
    BOOST_TEST(!value.find());
    BOOST_CHECK_THROW(value.get(), std::runtime_error);
    BOOST_TEST(*value == 3);
    value.reset();
    value.reset();
    BOOST_TEST(!value.find());
    BOOST_TEST(*value == 3);
    value.reset();
}

BOOST_AUTO_TEST_CASE(there_may_be_many_and_they_may_come_and_go)
{
    std::vector<std::string> notes;
    const auto function = [&]
    {
        std::vector<std::unique_ptr<fiber_local<noted>>> all;
        for (int index = 0; index < 200; ++index)
            all.push_back(std::make_unique<fiber_local<noted>>());
        const auto count = [&](auto holds)
        {
            int found = 0;
            for (std::size_t index = 0; index < all.size(); ++index)
                found += holds(all[index]->find(), static_cast<int>(index));
            return found;
        };
        for (std::size_t index = 0; index < all.size(); ++index)
            (*all[index])->set(notes, std::to_string(index));
        BOOST_TEST(count([](noted* value, int index) { return value && value->name == std::to_string(index); }) == 200);
        for (std::size_t index = 0; index < all.size(); index += 2)
            all[index]->reset();
        BOOST_TEST(notes.size() == 100u);
        for (int round = 0; round < 1'000; ++round)
        {
            fiber_local<int> passing;
            *passing = round;
            passing.reset();
        }
        BOOST_TEST(count([](noted* value, int index)
                         { return index % 2 ? value && value->name == std::to_string(index) : !value; }) == 200);
        all.clear(); // not their values; and no other object takes those for its own
        for (int round = 0; round < 200; ++round)
            BOOST_TEST(!fiber_local<noted>().find());
        BOOST_TEST(notes.size() == 100u);
    };
    std::thread(function).join();
    BOOST_TEST(notes.size() == 200u);
}

BOOST_AUTO_TEST_CASE(an_object_may_go_before_its_values)
{
    fiber_context ctx;
    std::vector<std::string> notes;
    auto value = std::make_unique<fiber_local<noted>>();
    zsync::spawn(
        ctx,
        [&]
        {
            (*value)->set(notes, "left");
            value.reset();
            this_fiber::yield();
            BOOST_TEST(notes.empty());
        },
        asio::detached);
    BOOST_TEST(run_all(ctx));
    BOOST_TEST(notes.size() == 1u);
}

BOOST_AUTO_TEST_CASE(they_end_with_fibers_that_are_unwound)
{
    std::vector<std::string> notes;
    fiber_local<noted> value;
    {
        fiber_context ctx;
        for (const char* name : {"spawned", "waiting"})
            zsync::spawn(
                ctx,
                [&, name]
                {
                    value->set(notes, name);
                    value->lasts = 1ms;
                    this_fiber::sleep_for(24h);
                },
                asio::detached);
        asio::post(ctx,
                   [&]
                   {
                       value->set(notes, "posted");
                       this_fiber::sleep_for(24h);
                   });
        ctx.poll();
        BOOST_TEST(notes.empty());
    }
    std::sort(notes.begin(), notes.end());
    const std::vector<std::string> expected{"posted", "spawned", "waiting"};
    BOOST_TEST(notes == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(they_go_with_the_fiber_to_another_thread)
{
    fiber_context ctx;
    fiber_local<int> value;
    bool same = false;
    zsync::spawn(
        ctx,
        [&]
        {
            *value = 7;
            const int* const place = &*value;
            ctx.stop();
            this_fiber::yield();
            same = *value == 7 && value.find() == place;
        },
        asio::detached);
    ctx.run();
    BOOST_TEST(!same);
    std::thread([&] { BOOST_TEST(run_all(ctx)); }).join();
    BOOST_TEST(same);
}

BOOST_AUTO_TEST_CASE(who_uses_none_allocates_nothing)
{
    fiber_local<int> value;
    fiber_context ctx;
    zsync::spawn(
        ctx,
        [&]
        {
            const auto spawn_and_join = [&] { fiber(ctx, [] { this_fiber::yield(); }).join(); };
            spawn_and_join(); // a stack
            const std::size_t before = allocations();
            spawn_and_join();
            const bool none = allocations() == before && !value.find();
            *value = 1;
            const bool one_more = allocations() > before;
            BOOST_TEST(none);
            BOOST_TEST(one_more);
        },
        asio::detached);
    BOOST_TEST(run_all(ctx));
}

BOOST_AUTO_TEST_SUITE_END()
