// SPDX-License-Identifier: BSL-1.0
#include <zsync/uring/uring_engine.hpp>

#include "support/descriptors.hpp"
#include "support/engines.hpp"
#include "support/needs_ring.hpp"
#include "support/uring_loop.hpp"

#include <boost/system/errc.hpp>
#include <boost/system/system_error.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <sys/un.h>

using namespace std::chrono_literals;
using namespace test;
using std::chrono::microseconds;
using std::chrono::steady_clock;
using zsync::operation_id;
using zsync::uring_engine;

BOOST_AUTO_TEST_SUITE(uring_uring_engine, *boost::unit_test::precondition(test::needs_ring))

#include "support/engine_contract.hpp"

BOOST_DATA_TEST_CASE(what_is_taken_back_goes_on_and_succeeds, modes)
{
    loop on(sample);
    std::deque<waiting> all;
    for (const kind k : kinds_that_wait)
        on.start(all.emplace_back(k).op);
    for (int times = 0; times < 3; ++times)
    {
        on.turn();
        on.take_back();
    }
    BOOST_TEST(on.engine.counters().operations_retried == 3 * all.size());
    BOOST_TEST(on.engine.counters().operations_completed == 0u);
    for (auto& each : all)
        each.satisfy();
    for (std::size_t index = 0; index < all.size(); ++index)
    {
        BOOST_TEST_CONTEXT(kinds_that_wait[index])
        {
            BOOST_TEST(on.finish(all[index].op));
            BOOST_TEST(all[index].succeeded(), "result " << all[index].op.result);
            BOOST_TEST(all[index].op.completions == 1);
        }
    }
}

BOOST_DATA_TEST_CASE(what_is_taken_back_can_be_cancelled, modes* each_kind, on_mode, of)
{
    loop on(on_mode);
    waiting it(of);
    const auto id = on.let_it_wait(it.op);
    on.take_back();
    on.engine.cancel(id);
    BOOST_TEST(on.finish(it.op));
    BOOST_TEST(it.op.result == -ECANCELED);
}

BOOST_DATA_TEST_CASE(cancelled_before_it_is_handed_over_it_never_is, modes* each_kind, on_mode, of)
{
    loop on(on_mode);
    waiting it(of);
    const auto id = on.start(it.op);
    on.engine.cancel(id);
    BOOST_TEST(!it.op.done()); // a turn delivers, nothing else
    BOOST_TEST(on.finish(it.op));
    BOOST_TEST(it.op.result == -ECANCELED);
    BOOST_TEST(it.op.completions == 1);

    const auto now = on.engine.counters();
    BOOST_TEST(now.operations_started == 1u);
    BOOST_TEST(now.operations_completed == 1u);
    BOOST_TEST(now.operations_cancelled == 1u);
    BOOST_TEST(now.completions == 0u);
}

BOOST_DATA_TEST_CASE(not_ready_is_waited_for_and_tried_again, modes)
{
    loop on(sample);
    const auto ends = test::make_socket_pair();
    std::array<char, 8> data{};
    record op(opcode::receive, ends.first.get(), data.data(), data.size(), MSG_DONTWAIT);
    on.start(op);
    for (int turns = 0; turns < 3; ++turns)
        on.turn();
    BOOST_TEST(!op.done());
    BOOST_TEST(on.engine.counters().operations_retried > 0u);
    put(ends.second, "hello");
    BOOST_TEST(on.finish(op));
    BOOST_TEST(op.result == 5);
    BOOST_TEST(data.data() == "hello");
}

BOOST_DATA_TEST_CASE(a_refused_connect_is_refused_after_it_was_taken_back, modes)
{
    loop on(sample);
    waiting it({opcode::connect, "connect"});
    on.let_it_wait(it.op);
    on.take_back();
    ::shutdown(it.op.descriptor, SHUT_RDWR); // resets what is being connected
    BOOST_TEST(on.finish(it.op));
    BOOST_TEST(it.op.result < 0);
    BOOST_TEST(it.op.result != -ECANCELED);
}

// More than fits

BOOST_DATA_TEST_CASE(more_operations_than_the_submission_queue_holds_all_complete_in_order, modes)
{
    loop on(sample, 4);
    std::deque<record> ops(1000);
    std::vector<std::size_t> order;
    for (std::size_t index = 0; index < ops.size(); ++index)
    {
        ops[index].then = [&order, index](record&) { order.push_back(index); };
        on.engine.start(ops[index]);
    }
    BOOST_TEST(on.until([&] { return order.size() == ops.size(); }));
    BOOST_TEST(std::is_sorted(order.begin(), order.end()));
    const auto now = on.engine.counters();
    BOOST_TEST(now.sq_full > 0u);
    BOOST_TEST(now.cq_overflows > 0u);
    BOOST_TEST(now.operations_started == 1000u);
    BOOST_TEST(now.operations_completed == 1000u);
    BOOST_TEST(now.operations_cancelled == 0u);
}

BOOST_DATA_TEST_CASE(more_completions_than_their_queue_holds_are_all_delivered, modes)
{
    loop on(sample, 4);
    const auto pipe = test::make_pipe();
    std::string bytes(1000, ' ');
    std::deque<record> ops;
    for (char& byte : bytes)
        on.engine.start(ops.emplace_back(opcode::read, pipe.first.get(), &byte, 1));
    on.turn();
    BOOST_TEST(std::none_of(ops.begin(), ops.end(), [](const record& op) { return op.done(); }));

    put(pipe.second, std::string(1000, 'x'));
    const auto done = [](const record& op) { return op.done(); };
    BOOST_TEST(on.until([&] { return std::all_of(ops.begin(), ops.end(), done); }));
    BOOST_TEST(std::all_of(ops.begin(), ops.end(), [](const record& op) { return op.result == 1; }));
    BOOST_TEST(bytes == std::string(1000, 'x'));
}

BOOST_DATA_TEST_CASE(more_cancellations_than_the_submission_queue_holds_all_arrive, modes)
{
    loop on(sample, 4);
    const auto pipe = test::make_pipe();
    char byte;
    std::deque<record> ops;
    std::vector<operation_id> ids;
    for (int count = 0; count < 1000; ++count)
        ids.push_back(on.start(ops.emplace_back(opcode::read, pipe.first.get(), &byte, 1)));
    on.turn();
    for (std::size_t index = 0; index < ids.size(); index += 2)
        on.engine.cancel(ids[index]);
    on.until([&] { return std::count_if(ops.begin(), ops.end(), [](const record& op) { return op.done(); }) == 500; });
    for (std::size_t index = 0; index < ops.size(); ++index)
        BOOST_REQUIRE_EQUAL(ops[index].completions, index % 2 == 0);

    on.engine.cancel_descriptor(pipe.first.get());
    on.until([&] { return std::all_of(ops.begin(), ops.end(), [](const record& op) { return op.done(); }); });
    BOOST_TEST(on.engine.counters().operations_completed == 1000u);
    BOOST_TEST(std::all_of(ops.begin(), ops.end(),
                           [](const record& op) { return op.completions == 1 && op.result == -ECANCELED; }));
}

BOOST_DATA_TEST_CASE(more_operations_than_the_queues_hold_are_taken_back_and_shut_down, modes)
{
    const auto pipe = test::make_pipe();
    char byte;
    std::deque<record> ops;
    {
        loop on(sample, 4);
        for (int count = 0; count < 1000; ++count)
            on.engine.start(ops.emplace_back(opcode::read, pipe.first.get(), &byte, 1));
        on.turn();
        on.take_back();
        on.turn();
    }
    BOOST_TEST(std::all_of(ops.begin(), ops.end(),
                           [](const record& op) { return op.completions == 1 && op.result == -ECANCELED; }));
}

// Records

BOOST_DATA_TEST_CASE(a_record_may_be_started_again_where_it_completes, modes)
{
    loop on(sample, 8);
    record op;
    op.then = [&](record& self)
    {
        if (self.completions < 1000)
            on.engine.start(self);
    };
    on.engine.start(op);
    BOOST_TEST(on.until([&] { return op.completions == 1000; }));
}

// Turns

BOOST_DATA_TEST_CASE(a_turn_waits_for_its_timeout_and_no_longer, modes)
{
    loop on(sample);
    on.turn();
    auto begin = steady_clock::now();
    BOOST_TEST(on.turn(30ms) == 0u);
    BOOST_TEST((steady_clock::now() - begin >= 30ms));

    begin = steady_clock::now();
    BOOST_TEST(on.turn(0us) == 0u);
    BOOST_TEST(on.turn(-1us) == 0u);
    const auto waits = on.engine.counters().ring_waits;
    BOOST_TEST(waits == 1u);
}

BOOST_DATA_TEST_CASE(a_turn_with_nothing_to_do_and_no_time_costs_no_system_call, modes)
{
    loop on(sample);
    on.turn();
    const auto before = on.engine.counters().ring_enters;
    for (int turns = 0; turns < 10; ++turns)
        on.turn();
    BOOST_TEST(on.engine.counters().ring_enters == before);
}

BOOST_DATA_TEST_CASE(many_operations_are_submitted_and_awaited_with_one_system_call, modes)
{
    loop on(sample);
    on.turn();
    const auto before = on.engine.counters().ring_enters;
    std::deque<record> ops(32);
    for (auto& op : ops)
        on.engine.start(op);
    BOOST_TEST(on.turn(forever) == ops.size());
    BOOST_TEST(on.engine.counters().ring_enters == before + 1);
}

BOOST_DATA_TEST_CASE(waking_from_another_thread_ends_the_turn, locked_modes)
{
    loop on(sample);
    for (int times = 0; times < 100; ++times)
    {
        const auto before = on.engine.counters().ring_enters;
        std::thread waker(
            [&]
            {
                if (times % 2 == 0) // or else perhaps before the turn
                    eventually([&] { return on.engine.counters().ring_enters != before; });
                on.engine.wake();
            });
        on.turn(forever);
        waker.join();
    }
}

// Threads

BOOST_DATA_TEST_CASE(operations_outlive_the_thread_that_handed_them_over, locked_modes)
{
    loop on(sample);
    std::deque<waiting> all;
    std::thread(
        [&]
        {
            for (const kind k : kinds_that_wait)
                on.start(all.emplace_back(k).op);
            on.turn();
            on.engine.leave();
        })
        .join();
    for (auto& each : all)
        each.satisfy();
    for (std::size_t index = 0; index < all.size(); ++index)
    {
        BOOST_TEST_CONTEXT(kinds_that_wait[index])
        {
            BOOST_TEST(on.finish(all[index].op));
            BOOST_TEST(all[index].succeeded(), "result " << all[index].op.result);
        }
    }
}

BOOST_AUTO_TEST_CASE(a_second_owner_is_refused_while_the_first_has_operations_in_flight)
{
    loop on(mode::one_owner);
    if (!on.engine.one_owner())
    {
        BOOST_TEST_MESSAGE("skipped: this kernel has no SINGLE_ISSUER");
        return;
    }
    waiting it({opcode::receive, "receive"});
    on.let_it_wait(it.op);
    std::thread(
        [&]
        {
            BOOST_CHECK_EXCEPTION(on.turn(), boost::system::system_error,
                                  [](const auto& error) { return error.code() == boost::system::errc::file_exists; });
            on.engine.leave(); // not this thread's to leave
        })
        .join();
    on.turn();
    BOOST_TEST(!it.op.done());
    on.engine.leave();
    std::thread(
        [&]
        {
            it.satisfy();
            BOOST_TEST(on.finish(it.op));
            on.engine.leave();
        })
        .join();
    BOOST_TEST(it.succeeded());
}

BOOST_AUTO_TEST_CASE(a_shared_engine_is_nobodys)
{
    loop on(mode::one_owner);
    waiting it({opcode::receive, "receive"});
    on.let_it_wait(it.op);
    on.engine.leave();
    on.engine.share();
    BOOST_TEST(!on.engine.one_owner());
    on.turn();
    BOOST_TEST(!it.op.done());

    // No leave() any more between two threads that take turns.
    std::thread(
        [&]
        {
            it.satisfy();
            BOOST_TEST(on.finish(it.op));
        })
        .join();
    BOOST_TEST(it.succeeded());
    BOOST_TEST(on.perform(opcode::nop) == 0);
}

BOOST_AUTO_TEST_CASE(only_a_ring_with_one_owner_says_so)
{
    for (const mode m : {mode::shared, mode::one_runner, mode::unlocked})
        BOOST_TEST(!loop(m).engine.one_owner());
}

BOOST_DATA_TEST_CASE(several_threads_may_start_cancel_and_close_at_once, locked_modes)
{
    loop on(sample, 8);
    std::atomic<int> cancelled{0};
    std::atomic<int> received{0};
    {
        runner thread(on);
        const auto work = [&](unsigned seed)
        {
            for (unsigned times = seed; times < seed + 300; ++times)
            {
                auto ends = test::make_socket_pair();
                std::array<char, 4> data;
                record op(opcode::receive, ends.first.get(), data.data(), data.size());
                const auto id = on.start(op);
                switch (times % 4)
                {
                case 0:
                    on.engine.cancel(id);
                    break;
                case 1:
                    on.engine.cancel_descriptor(op.descriptor);
                    break;
                case 2:
                    on.engine.detach_descriptor(op.descriptor);
                    ends.first.reset();
                    break;
                default:
                    [[maybe_unused]] const auto sent = ::write(ends.second.get(), "data", 4);
                    break;
                }
                if (!eventually([&] { return op.done(); }))
                    return;
                ++(op.result == -ECANCELED ? cancelled : received);
            }
        };
        std::array threads = {std::thread(work, 0), std::thread(work, 1), std::thread(work, 2)};
        for (auto& each : threads)
            each.join();
    }
    BOOST_TEST(cancelled == 3 * 225);
    BOOST_TEST(received == 3 * 75);
}

BOOST_DATA_TEST_CASE(counters_count, modes)
{
    loop on(sample);
    BOOST_TEST(on.engine.counters().operations_started == 0u);
    BOOST_TEST(on.perform(opcode::nop) == 0);
    waiting it({opcode::receive, "receive"});
    const auto id = on.let_it_wait(it.op);
    on.engine.cancel(id);
    BOOST_TEST(on.finish(it.op));

    const auto now = on.engine.counters();
    BOOST_TEST(now.operations_started == 2u);
    BOOST_TEST(now.operations_completed == 2u);
    BOOST_TEST(now.operations_cancelled == 1u);
    BOOST_TEST(now.operations_retried == 0u);
    BOOST_TEST(now.cancels_requested == 1u);
    BOOST_TEST(now.completions >= 2u);
    BOOST_TEST(now.ring_enters >= 3u);
    BOOST_TEST(now.ring_waits <= now.ring_enters);
    BOOST_TEST(now.sq_full == 0u);
    BOOST_TEST(now.cq_overflows == 0u);
    BOOST_TEST(now.reactor_runs == 0u);
}

BOOST_AUTO_TEST_CASE(a_ring_that_cannot_be_set_up_is_told_by_its_errno)
{
    zsync::uring_engine_options options;
    options.entries = 0; // is taken for one
    uring_engine small(options);
    small.shutdown(nullptr);

    options.entries = ~0u; // clamped by the kernel
    BOOST_CHECK_NO_THROW(uring_engine(options).shutdown(nullptr));
}

BOOST_AUTO_TEST_CASE(it_says_what_it_is_and_what_it_supports)
{
    loop on(mode::shared);
    BOOST_CHECK(on.engine.kind() == zsync::engine_kind::uring);
    for (const kind k : kinds_that_wait)
        BOOST_TEST(on.engine.supports(k.code), k);
    BOOST_TEST(on.engine.supports(opcode::nop));
}

// Spinning: a turn that watches the queue before it sleeps.

BOOST_DATA_TEST_CASE(a_turn_that_spins_finds_what_completes_meanwhile_without_sleeping, modes)
{
    auto options = options_of(sample, 64);
    options.spin_for = microseconds(std::chrono::seconds(20)); // so that none of it is luck
    uring_engine engine(options);
    const descriptor event(::eventfd(0, EFD_CLOEXEC));
    record op;
    op.code = zsync::opcode::poll;
    op.flags = POLLIN;
    op.descriptor = event.get();
    engine.start(op);
    std::thread writer(
        [&]
        {
            // Once the turn spins: its counter says so.
            while (engine.counters().spins == 0)
                std::this_thread::yield();
            ::eventfd_write(event.get(), 1);
        });
    while (op.completions == 0)
        engine.turn(forever, nullptr);
    writer.join();
    BOOST_TEST(op.result == POLLIN);
    const auto counted = engine.counters();
    BOOST_TEST(counted.spins >= 1u);
    BOOST_TEST(counted.spin_hits == counted.spins);
    BOOST_TEST(counted.wakes == 0u);
    engine.shutdown(nullptr);
}

BOOST_DATA_TEST_CASE(a_spinning_turn_is_woken_and_sees_what_another_thread_starts, locked_modes)
{
    auto options = options_of(sample, 64);
    options.spin_for = microseconds(std::chrono::seconds(20));
    uring_engine engine(options);
    record op;
    std::thread other(
        [&]
        {
            while (engine.counters().spins == 0)
                std::this_thread::yield();
            engine.wake();
            while (engine.counters().spins == 1)
                std::this_thread::yield();
            engine.start(op); // a nop
        });
    BOOST_TEST(engine.turn(forever, nullptr) == 0u);
    while (op.completions == 0)
        engine.turn(forever, nullptr);
    other.join();
    BOOST_TEST(engine.counters().wakes == 0u); // nobody slept: no write was needed
    engine.shutdown(nullptr);
}

BOOST_AUTO_TEST_CASE(a_turn_spins_no_longer_than_its_timeout)
{
    auto options = options_of(mode::one_runner, 64);
    options.spin_for = std::chrono::seconds(20);
    uring_engine engine(options);
    engine.turn(0us, nullptr);
    BOOST_TEST(engine.counters().spins == 0u);
    const auto begin = steady_clock::now();
    engine.turn(1ms, nullptr);
    const auto taken = steady_clock::now() - begin;
    BOOST_TEST((taken >= 1ms && taken < 10s));
    BOOST_TEST(engine.counters().spins == 1u);
    BOOST_TEST(engine.counters().spin_hits == 0u);
    BOOST_TEST(engine.counters().ring_waits == 0u);
    engine.shutdown(nullptr);
}

BOOST_AUTO_TEST_CASE(a_turn_that_has_spun_in_vain_sleeps_for_the_rest_of_its_timeout)
{
    auto options = options_of(mode::one_runner, 64);
    options.spin_for = 100us;
    uring_engine engine(options);
    const auto begin = steady_clock::now();
    engine.turn(100ms, nullptr);
    BOOST_TEST((steady_clock::now() - begin >= 100ms));
    BOOST_TEST(engine.counters().spins == 1u);
    BOOST_TEST(engine.counters().spin_hits == 0u);
    BOOST_TEST(engine.counters().ring_waits == 1u);
    engine.shutdown(nullptr);
}

BOOST_AUTO_TEST_SUITE_END()
