// SPDX-License-Identifier: BSL-1.0
// Stock timers: on io_context and on ours, with the same results.
#include <zsync/drop_in.hpp>

#include "contexts.hpp"
#include "sockets.hpp"

#include <boost/asio/bind_allocator.hpp>
#include <boost/date_time/posix_time/posix_time.hpp>

#include <array>
#include <deque>
#include <future>
#include <optional>
#include <random>
#include <thread>
#include <type_traits>

#include <poll.h>

namespace
{

using namespace test;
using namespace std::chrono_literals;
using asio::steady_timer;
using asio::system_timer;
using clock = std::chrono::steady_clock;
namespace posix_time = boost::posix_time;

// Checks that waits were started on the wheel since the context was made: so many with a ring, none without.
void check_waits(context& under_test, std::uint64_t expected)
{
    const std::uint64_t counted = under_test.uring() ? under_test.uring()->counters().timer_waits : 0;
    BOOST_TEST(counted == (under_test.is_native() ? expected : 0u));
}

// A clock that is not one of the standard's.
struct other_clock
{
    using duration = clock::duration;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<other_clock>;
    [[maybe_unused]] static constexpr bool is_steady = true;
    static time_point now() noexcept { return time_point(clock::now().time_since_epoch()); }
};

// deadline_timer has the old names only; the others had them until Boost 1.87.
template <class Timer>
auto expiry_of(const Timer& timer)
{
    if constexpr (requires { timer.expiry(); })
        return timer.expiry();
    else
        return timer.expires_at();
}

template <class Timer, class Duration>
void expire_after(Timer& timer, Duration wait)
{
    if constexpr (requires { timer.expires_after(wait); })
        timer.expires_after(wait);
    else
        timer.expires_from_now(wait);
}

template <class Timer, class Now, class Duration>
void expires_in_time(context& under_test, Now now, Duration wait)
{
    Timer timer(under_test.ctx());
    expire_after(timer, wait);
    const auto deadline = expiry_of(timer);
    const auto told = std::make_shared<outcome>();
    bool early = false;
    timer.async_wait(
        [&, told](error_code error)
        {
            early = now() < deadline;
            recorder{told}(error);
        });
    BOOST_TEST(told->calls == 0);
    under_test.run();
    BOOST_TEST(told->calls == 1);
    BOOST_TEST(!told->error);
    BOOST_TEST(!early);
    BOOST_TEST((expiry_of(timer) == deadline));
    BOOST_TEST(timer.cancel() == 0u);
}

} // namespace

BOOST_AUTO_TEST_SUITE(drop_in_timers)

ON_ALL_CONTEXTS(a_wait_completes_when_its_clock_says_so_and_not_before, under_test)
{
    expires_in_time<steady_timer>(
        under_test, [] { return clock::now(); }, 5ms);
    expires_in_time<system_timer>(
        under_test, [] { return std::chrono::system_clock::now(); }, 5ms);
    expires_in_time<asio::high_resolution_timer>(
        under_test, [] { return std::chrono::high_resolution_clock::now(); }, 5ms);
    expires_in_time<asio::deadline_timer>(
        under_test, [] { return posix_time::microsec_clock::universal_time(); }, posix_time::milliseconds(5));
    check_waits(under_test, 4);
}

ON_ALL_CONTEXTS(a_timer_of_another_clock_stays_with_the_reactor, under_test)
{
    using timer_type = asio::basic_waitable_timer<other_clock>;
    expires_in_time<timer_type>(
        under_test, [] { return other_clock::now(); }, 5ms);
    check_waits(under_test, 0);
}

ON_ALL_CONTEXTS(a_deadline_that_has_passed_completes_but_not_inline, under_test)
{
    const auto told = std::make_shared<outcome>();
    steady_timer never_set(under_test.ctx());
    never_set.async_wait(record_in(told));
    steady_timer past(under_test.ctx(), clock::now() - 1h);
    past.async_wait(record_in(told));
    steady_timer least(under_test.ctx(), clock::time_point::min());
    least.async_wait(record_in(told));
    asio::deadline_timer before_all(under_test.ctx(), posix_time::ptime(posix_time::neg_infin));
    before_all.async_wait(record_in(told));
    asio::deadline_timer old(under_test.ctx(), posix_time::ptime(boost::gregorian::date(1500, 1, 1)));
    old.async_wait(record_in(told));
    BOOST_TEST(told->calls == 0);
    under_test.settle();
    BOOST_TEST(told->calls == 5);
    BOOST_TEST(!told->error);
}

ON_ALL_CONTEXTS(a_deadline_that_never_comes_can_be_cancelled, under_test)
{
    const auto told = std::make_shared<outcome>();
    steady_timer steady(under_test.ctx(), clock::time_point::max());
    system_timer wall(under_test.ctx(), std::chrono::system_clock::time_point::max());
    asio::deadline_timer infinite(under_test.ctx(), posix_time::ptime(posix_time::pos_infin));
    asio::deadline_timer far(under_test.ctx(), posix_time::ptime(boost::gregorian::date(9999, 1, 1)));
    const auto for_all = [&](auto act) { act(steady), act(wall), act(infinite), act(far); };
    for_all([&](auto& timer) { timer.async_wait(record_in(told)); });
    under_test.settle();
    BOOST_TEST(told->calls == 0);
    for_all([&](auto& timer) { BOOST_TEST(timer.cancel() == 1u); });
    under_test.run();
    BOOST_TEST(told->calls == 4);
    BOOST_TEST(told->error == asio::error::operation_aborted);
}

ON_ALL_CONTEXTS(waits_complete_in_the_order_of_their_deadlines, under_test)
{
    std::mt19937 random(1);
    std::uniform_int_distribution<int> microseconds(0, 20'000);
    const auto start = clock::now();
    std::deque<steady_timer> timers;
    std::vector<clock::time_point> order;
    for (int i = 0; i != 500; ++i)
    {
        auto& timer = timers.emplace_back(under_test.ctx(), start + std::chrono::microseconds(microseconds(random)));
        timer.async_wait([&](error_code) { order.push_back(timer.expiry()); });
    }
    under_test.run();
    BOOST_TEST(order.size() == timers.size());
    BOOST_TEST(std::is_sorted(order.begin(), order.end()));
    check_waits(under_test, 500);
}

ON_ALL_CONTEXTS(a_crowd_that_is_due_at_once_completes_in_order_and_can_be_cancelled_till_then, under_test)
{
    const auto start = clock::now();
    std::deque<steady_timer> timers;
    std::vector<std::size_t> order;
    constexpr std::size_t count = 1000;
    std::size_t last_cancelled = 0;
    for (std::size_t i = 0; i != count; ++i)
    {
        timers.emplace_back(under_test.ctx(), start - 1ms * (count - i));
        timers.back().async_wait(
            [&, i](error_code error)
            {
                if (i == 0)
                    last_cancelled = timers.back().cancel();
                if (!error)
                    order.push_back(i);
            });
    }
    under_test.run();
    BOOST_TEST(order.size() == count - last_cancelled);
    BOOST_TEST(std::is_sorted(order.begin(), order.end()));
}

// What succeeds, fails and is cancelled.

ON_ALL_CONTEXTS(a_cancel_before_the_wait_cancels_nothing, under_test)
{
    const auto told = std::make_shared<outcome>();
    steady_timer timer(under_test.ctx(), 1ms);
    BOOST_TEST(timer.cancel() == 0u);
    BOOST_TEST(timer.cancel_one() == 0u);
    timer.async_wait(record_in(told));
    under_test.run();
    BOOST_TEST(told->calls == 1);
    BOOST_TEST(!told->error);
}

ON_ALL_CONTEXTS(all_waits_of_a_timer_are_cancelled_and_counted, under_test)
{
    const auto told = std::make_shared<outcome>();
    steady_timer timer(under_test.ctx(), 1h);
    for (int i = 0; i != 3; ++i)
        timer.async_wait(record_in(told));
    under_test.settle();
    BOOST_TEST(timer.cancel() == 3u);
    BOOST_TEST(timer.cancel() == 0u);
    BOOST_TEST(told->calls == 0);
    under_test.run();
    BOOST_TEST(told->calls == 3);
    BOOST_TEST(told->error == asio::error::operation_aborted);
    check_waits(under_test, 3);
}

ON_ALL_CONTEXTS(cancel_one_takes_the_oldest_and_leaves_the_others, under_test)
{
    steady_timer timer(under_test.ctx(), 20ms);
    std::vector<std::pair<int, bool>> order;
    for (int i = 0; i != 3; ++i)
        timer.async_wait([&, i](error_code error) { order.emplace_back(i, error.failed()); });
    BOOST_TEST(timer.cancel_one() == 1u);
    under_test.run();
    const std::vector<std::pair<int, bool>> expected{{0, true}, {1, false}, {2, false}};
    BOOST_TEST((order == expected));
}

ON_ALL_CONTEXTS(a_new_deadline_cancels_the_waits_for_the_old_one, under_test)
{
    const auto first = std::make_shared<outcome>();
    const auto second = std::make_shared<outcome>();
    steady_timer timer(under_test.ctx(), 1h);
    timer.async_wait(record_in(first));
    BOOST_TEST(timer.expires_after(1ms) == 1u);
    BOOST_TEST(timer.expires_at(clock::now() + 1ms) == 0u);
    timer.async_wait(record_in(second));
    under_test.run();
    BOOST_TEST(first->error == asio::error::operation_aborted);
    BOOST_TEST(second->calls == 1);
    BOOST_TEST(!second->error);
}

ON_ALL_CONTEXTS(a_time_out_that_is_pushed_ahead_again_and_again_expires_once, under_test)
{
    const auto told = std::make_shared<outcome>();
    int aborted = 0;
    steady_timer timer(under_test.ctx());
    for (int i = 1; i <= 100; ++i)
    {
        timer.expires_after(std::chrono::microseconds(100 * i));
        if (i == 100)
            timer.async_wait(record_in(told));
        else
            timer.async_wait([&](error_code error) { aborted += error == asio::error::operation_aborted; });
        if (i % 10 == 0)
            timer.cancel_one();
        if (i == 100)
            timer.async_wait([&](error_code error) { aborted += 100 * !error; });
    }
    under_test.run();
    BOOST_TEST(aborted == 99 + 100);
    BOOST_TEST(told->error == asio::error::operation_aborted);
    BOOST_TEST((clock::now() >= timer.expiry()));
}

ON_ALL_CONTEXTS(what_is_due_with_another_timer_can_no_longer_be_cancelled, under_test)
{
    const auto now = clock::now();
    steady_timer first(under_test.ctx(), now - 2ms);
    steady_timer second(under_test.ctx(), now - 1ms);
    const auto told = std::make_shared<outcome>();
    std::size_t cancelled = 1;
    first.async_wait([&](error_code) { cancelled = second.cancel(); });
    second.async_wait(record_in(told));
    under_test.run();
    BOOST_TEST(cancelled == 0u);
    BOOST_TEST(!told->error);
}

ON_ALL_CONTEXTS(a_destroyed_timer_cancels_its_waits, under_test)
{
    const auto told = std::make_shared<outcome>();
    {
        steady_timer timer(under_test.ctx(), 1h);
        timer.async_wait(record_in(told));
        steady_timer no_waits(under_test.ctx(), 1h);
        no_waits.async_wait(record_in(told));
        no_waits.cancel();
    }
    under_test.run();
    BOOST_TEST(told->calls == 2);
    BOOST_TEST(told->error == asio::error::operation_aborted);
}

ON_ALL_CONTEXTS(a_destroyed_context_destroys_handlers_and_calls_none, under_test)
{
    const auto told = std::make_shared<outcome>();
    const auto kept = std::make_shared<int>(0);
    // Timers that die with their own handlers, and one that starts another when its handler dies.
    for (const auto wait : {clock::duration(1h), clock::duration(-1h), clock::duration(10ms)})
    {
        auto timer = std::make_shared<steady_timer>(under_test.ctx(), wait);
        timer->async_wait([timer, kept, told](error_code) { ++told->calls; });
        auto wall = std::make_shared<system_timer>(under_test.ctx(), wait);
        wall->async_wait([wall, kept, told](error_code) { ++told->calls; });
    }
    {
        auto late = std::make_shared<steady_timer>(under_test.ctx(), 1h);
        auto other = std::make_shared<steady_timer>(under_test.ctx(), 1h);
        std::shared_ptr<void> dies(told.get(), [late, kept, told](void*)
                                   { late->async_wait([late, kept, told](error_code) { ++told->calls; }); });
        other->async_wait([other, dies](error_code) {});
    }
    under_test.destroy();
    BOOST_TEST(kept.use_count() == 1);
    BOOST_TEST(told->calls == 0);
}

// Moves.

ON_ALL_CONTEXTS(a_timer_moves_with_its_waits, under_test)
{
    const auto told = std::make_shared<outcome>();
    steady_timer first(under_test.ctx(), 10ms);
    const auto deadline = first.expiry();
    first.async_wait(record_in(told));
    first.async_wait(record_in(told));
    under_test.settle();
    steady_timer second(std::move(first));
    BOOST_TEST((second.expiry() == deadline));
    BOOST_TEST((first.expiry() == clock::time_point()));
    BOOST_TEST(first.cancel() == 0u);
    BOOST_TEST(second.cancel_one() == 1u);
    steady_timer third(under_test.ctx());
    third = std::move(second);
    BOOST_TEST((third.expiry() == deadline));
    under_test.run();
    BOOST_TEST(told->calls == 2);
    BOOST_TEST(!told->error);

    // What was moved from is a timer like any other.
    first.expires_after(1ms);
    first.async_wait(record_in(told));
    under_test.run();
    BOOST_TEST(told->calls == 3);
    BOOST_TEST(!told->error);
}

ON_ALL_CONTEXTS(a_timer_takes_over_from_one_of_another_context, under_test)
{
    asio::io_context plain;
    const auto here = std::make_shared<outcome>();
    const auto there = std::make_shared<outcome>();
    steady_timer timer(under_test.ctx(), 1h);
    timer.async_wait(record_in(here));
    steady_timer others(plain, 1ms);
    others.async_wait(record_in(there));
    timer = std::move(others);
    under_test.run();
    BOOST_TEST(here->error == asio::error::operation_aborted);
    BOOST_TEST(there->calls == 0);
    plain.run_for(context::watchdog);
    BOOST_TEST(there->calls == 1);
    BOOST_TEST(!there->error);
    timer = steady_timer(under_test.ctx(), 1ms);
    timer.async_wait(record_in(here));
    under_test.run();
    BOOST_TEST(here->calls == 2);
    BOOST_TEST(!here->error);
}

ON_ALL_CONTEXTS(a_timer_may_change_its_executor_type, under_test)
{
    using typed_timer = steady_timer::rebind_executor<asio::io_context::executor_type>::other;
    const auto told = std::make_shared<outcome>();
    typed_timer typed(under_test.ctx(), 5ms);
    typed.async_wait(record_in(told));
    steady_timer any(std::move(typed));
    any.async_wait(record_in(told));
    BOOST_TEST((any.get_executor() == under_test.executor()));
    typed_timer assigned_from(under_test.ctx(), 5ms);
    assigned_from.async_wait(record_in(told));
    steady_timer assigned(under_test.ctx());
    assigned = std::move(assigned_from);
    under_test.run();
    BOOST_TEST(told->calls == 3);
    BOOST_TEST(!told->error);
}

// Cancellation slots.

ON_ALL_CONTEXTS(a_slot_cancels_its_wait_alone, under_test)
{
    for (const auto type :
         {asio::cancellation_type::terminal, asio::cancellation_type::partial, asio::cancellation_type::total})
    {
        asio::cancellation_signal signal;
        const auto other = std::make_shared<outcome>();
        const auto named = std::make_shared<outcome>();
        steady_timer timer(under_test.ctx(), 10ms);
        timer.async_wait(record_in(other));
        timer.async_wait(record_in(named, signal.slot()));
        timer.async_wait(record_in(other));
        under_test.settle();
        signal.emit(asio::cancellation_type::none);
        signal.emit(type);
        signal.emit(type);
        BOOST_TEST(named->calls == 0);
        under_test.run();
        BOOST_TEST(named->calls == 1);
        BOOST_TEST(named->error == asio::error::operation_aborted);
        BOOST_TEST(other->calls == 2);
        BOOST_TEST(!other->error);
    }
}

ON_ALL_CONTEXTS(a_slot_emitted_before_the_wait_or_after_its_end_cancels_nothing, under_test)
{
    asio::cancellation_signal signal;
    signal.emit(asio::cancellation_type::terminal);
    const auto told = std::make_shared<outcome>();
    steady_timer timer(under_test.ctx(), 1ms);
    timer.async_wait(record_in(told, signal.slot()));
    under_test.run();
    BOOST_TEST(told->calls == 1);
    BOOST_TEST(!told->error);
    signal.emit(asio::cancellation_type::terminal);

    // Nor does an emptied slot, whose wait goes on.
    timer.expires_after(1ms);
    timer.async_wait(record_in(told, signal.slot()));
    signal.slot().clear();
    signal.emit(asio::cancellation_type::terminal);
    under_test.run();
    BOOST_TEST(told->calls == 2);
    BOOST_TEST(!told->error);
}

// On io_context, Asio's canceller goes on naming the service that is gone.
BOOST_AUTO_TEST_CASE_TEMPLATE(a_signal_may_outlive_its_context, Context, uring_contexts)
{
    Context under_test;
    if (!under_test.is_native())
        return;
    asio::cancellation_signal pending, ended;
    const auto told = std::make_shared<outcome>();
    {
        steady_timer timer(under_test.ctx(), 1h);
        timer.async_wait(record_in(told, ended.slot()));
        timer.cancel();
        under_test.run();
        BOOST_TEST(told->calls == 1);
        // The handler owns the timer, and dies with the context.
        auto owned = std::make_shared<steady_timer>(under_test.ctx(), 1h);
        owned->async_wait(record_in(told, pending.slot(), owned));
    }
    under_test.destroy();
    pending.emit(asio::cancellation_type::terminal);
    ended.emit(asio::cancellation_type::terminal);
    BOOST_TEST(told->calls == 1);
}

// On io_context, Asio's canceller goes on naming the timer that was moved from.
BOOST_AUTO_TEST_CASE_TEMPLATE(a_slot_follows_its_wait_into_another_timer, Context, uring_contexts)
{
    Context under_test;
    if (!under_test.is_native())
        return;
    asio::cancellation_signal signal, other_signal;
    const auto told = std::make_shared<outcome>();
    std::optional<steady_timer> first(std::in_place, under_test.ctx(), 1h);
    first->async_wait(record_in(told, signal.slot()));
    first->async_wait(record_in(told, other_signal.slot()));
    steady_timer second(std::move(*first));
    first.reset();
    signal.emit(asio::cancellation_type::total);
    under_test.settle();
    BOOST_TEST(told->calls == 1);
    BOOST_TEST(told->error == asio::error::operation_aborted);
    BOOST_TEST(second.cancel() == 1u);
    under_test.run();
    BOOST_TEST(told->calls == 2);
}

// Memory, threads, run functions.

namespace
{

struct allocation_count
{
    std::size_t allocated = 0;
    std::size_t freed = 0;
    bool freed_before_call = false;
};

template <class T>
struct counting_allocator
{
    using value_type = T;
    allocation_count* count;

    explicit counting_allocator(allocation_count& c) : count(&c) {}
    template <class U>
    counting_allocator(const counting_allocator<U>& other) : count(other.count)
    {
    }

    T* allocate(std::size_t n)
    {
        ++count->allocated;
        return std::allocator<T>().allocate(n);
    }

    void deallocate(T* p, std::size_t n)
    {
        ++count->freed;
        std::allocator<T>().deallocate(p, n);
    }

    friend bool operator==(const counting_allocator&, const counting_allocator&) = default;
};

} // namespace

ON_ALL_CONTEXTS(a_waits_memory_is_its_handlers_allocators_and_is_free_when_that_is_called, under_test)
{
    allocation_count count;
    steady_timer timer(under_test.ctx(), 1ms);
    const auto wait = [&]
    {
        timer.async_wait(asio::bind_allocator(counting_allocator<void>(count), [&](error_code)
                                              { count.freed_before_call = count.freed == count.allocated; }));
    };
    wait();
    BOOST_TEST(count.allocated == 1u);
    under_test.run();
    BOOST_TEST(count.freed_before_call);
    BOOST_TEST(count.freed == 1u);
    timer.expires_after(1h);
    wait();
    timer.cancel();
    under_test.run();
    BOOST_TEST(count.allocated == 2u);
    BOOST_TEST(count.freed == 2u);
}

ON_ALL_CONTEXTS(a_synchronous_wait_blocks_until_the_deadline, under_test)
{
    steady_timer timer(under_test.ctx(), 5ms);
    timer.wait();
    BOOST_TEST((clock::now() >= timer.expiry()));
    error_code error = asio::error::fault;
    timer.wait(error);
    BOOST_TEST(!error);
    asio::deadline_timer wall(under_test.ctx(), posix_time::milliseconds(5));
    wall.wait();
    BOOST_TEST((posix_time::microsec_clock::universal_time() >= wall.expires_at()));
}

ON_ALL_CONTEXTS(poll_run_one_and_run_for_treat_a_due_wait_as_ready, under_test)
{
    int calls = 0;
    steady_timer first(under_test.ctx(), clock::now());
    steady_timer second(under_test.ctx(), clock::now());
    steady_timer later(under_test.ctx(), 1h);
    for (steady_timer* timer : {&first, &second, &later})
        timer->async_wait([&](error_code) { ++calls; });
    asio::io_context& ctx = under_test.ctx();
    BOOST_TEST(ctx.poll_one() == 1u);
    BOOST_TEST(calls == 1);
    BOOST_TEST(ctx.poll() == 1u);
    BOOST_TEST(ctx.poll() == 0u);
    BOOST_TEST(!ctx.stopped());
    BOOST_TEST(ctx.run_one_for(2ms) == 0u);
    later.expires_after(1ms);
    later.async_wait([&](error_code) { ++calls; });
    BOOST_TEST(ctx.run_one() == 1u); // the cancelled one
    BOOST_TEST(ctx.run_one() == 1u);
    BOOST_TEST(calls == 4);
    BOOST_TEST(ctx.run() == 0u);
    BOOST_TEST(ctx.stopped());
}

ON_ALL_CONTEXTS(what_is_over_when_its_time_out_is_looked_at_has_not_run_out_of_time, under_test)
{
    tcp::socket a(under_test.ctx()), b(under_test.ctx());
    connect_pair(a, b);
    asio::write(b, asio::buffer("text", 4));
    BOOST_REQUIRE(wait_for_event(a.native_handle(), POLLIN));
    std::string order;
    std::array<char, 4> into;
    steady_timer timer(under_test.ctx(), clock::now());
    timer.async_wait([&](error_code) { order += "timer "; });
    a.async_read_some(asio::buffer(into), [&](error_code, std::size_t) { order += "read "; });
    under_test.run();
    BOOST_TEST(order == "read timer ");
    order.clear();
    tcp::acceptor listener(under_test.ctx(), any_port());
    tcp::socket client(under_test.ctx());
    timer.expires_at(clock::now());
    timer.async_wait([&](error_code) { order += "timer "; });
    client.async_connect(listener.local_endpoint(), [&](error_code) { order += "connect "; });
    under_test.run();
    BOOST_TEST(order == "connect timer ");
}

ON_ALL_CONTEXTS(an_earlier_deadline_from_another_thread_ends_the_wait_for_a_later_one, under_test)
{
    steady_timer later(under_test.ctx(), 1h);
    later.async_wait([](error_code) {});
    std::thread runner([&] { under_test.run_here(); });
    // Again and again, since nobody can tell when the other thread is asleep in the kernel.
    for (int i = 0; i != 50; ++i)
    {
        std::promise<void> fired;
        steady_timer steady(under_test.ctx(), 100us);
        steady.async_wait([&](error_code) { fired.set_value(); });
        BOOST_TEST_REQUIRE((fired.get_future().wait_for(context::watchdog) == std::future_status::ready));
        std::promise<void> fired_too;
        system_timer wall(under_test.ctx(), 100us);
        wall.async_wait([&](error_code) { fired_too.set_value(); });
        BOOST_TEST_REQUIRE((fired_too.get_future().wait_for(context::watchdog) == std::future_status::ready));
    }
    BOOST_TEST(later.cancel() == 1u);
    runner.join();
}

ON_ALL_CONTEXTS(a_cancel_from_another_thread_ends_a_wait_that_the_context_sleeps_for, under_test)
{
    const auto keep_running = asio::make_work_guard(under_test.ctx());
    std::thread runner([&] { under_test.run_here(); });
    steady_timer timer(under_test.ctx());
    for (int i = 0; i != 50; ++i)
    {
        std::promise<error_code> ended;
        timer.expires_after(1h);
        timer.async_wait([&](error_code error) { ended.set_value(error); });
        if (i % 2 == 0)
            std::this_thread::yield(); // asleep or not: nobody can tell
        BOOST_TEST(timer.cancel() == 1u);
        auto told = ended.get_future();
        BOOST_TEST_REQUIRE((told.wait_for(context::watchdog) == std::future_status::ready));
        BOOST_TEST(told.get() == asio::error::operation_aborted);
    }
    under_test.ctx().stop();
    runner.join();
}

#if __has_include(<boost/asio/handler_alloc_hook.hpp>) && !defined(BOOST_ASIO_NO_DEPRECATED) // newer Boosts have none
namespace
{

// A handler that says where its operations stand as one did before there were associated allocators.
struct hooked
{
    allocation_count* count;

    void operator()(error_code) const {}

    friend void* asio_handler_allocate(std::size_t bytes, hooked* self)
    {
        ++self->count->allocated;
        return ::operator new(bytes);
    }

    friend void asio_handler_deallocate(void* memory, std::size_t, hooked* self)
    {
        ++self->count->freed;
        ::operator delete(memory);
    }
};

} // namespace

ON_ALL_CONTEXTS(a_waits_memory_is_where_its_handlers_hook_says, under_test)
{
    allocation_count count;
    steady_timer timer(under_test.ctx(), 1h);
    timer.async_wait(hooked{&count});
    BOOST_TEST(count.allocated == 1u);
    timer.cancel();
    under_test.run();
    BOOST_TEST(count.freed == 1u);
}
#endif

namespace
{

// Starts a wait again and again on one timer, from whatever thread runs its strand, while another thread cancels.
struct restarter : std::enable_shared_from_this<restarter>
{
    restarter(asio::io_context& ctx, unsigned seed) : timer(asio::make_strand(ctx)), random(seed) {}

    void start()
    {
        if (++started == 300)
            return;
        timer.expires_after(std::chrono::microseconds(random() % 200));
        timer.async_wait(asio::bind_cancellation_slot(signal.slot(),
                                                      [self = shared_from_this()](error_code error)
                                                      {
                                                          ++(error ? self->aborted : self->expired);
                                                          self->start();
                                                      }));
        switch (random() % 4)
        {
        case 0:
            timer.cancel();
            break;
        case 1:
            signal.emit(asio::cancellation_type::total);
            break;
        default:
            asio::post(timer.get_executor(), [self = shared_from_this()] { self->timer.cancel_one(); });
        }
    }

    steady_timer timer;
    std::minstd_rand random;
    asio::cancellation_signal signal;
    int started = 0;
    int expired = 0;
    int aborted = 0;
};

} // namespace

BOOST_AUTO_TEST_CASE(each_of_many_waits_ends_once_when_several_threads_run_the_context)
{
    default_uring_context under_test;
    std::vector<std::shared_ptr<restarter>> all;
    for (unsigned i = 0; i != 50; ++i)
    {
        all.push_back(std::make_shared<restarter>(under_test.ctx(), i + 1));
        asio::post(all.back()->timer.get_executor(), [one = all.back()] { one->start(); });
    }
    std::vector<std::thread> runners;
    for (int i = 0; i != 3; ++i)
        runners.emplace_back([&] { under_test.run_here(); });
    for (auto& each : runners)
        each.join();
    for (const auto& one : all)
        BOOST_TEST(one->expired + one->aborted == 299);
    check_waits(under_test, 50 * 299);
}

BOOST_AUTO_TEST_SUITE_END()
