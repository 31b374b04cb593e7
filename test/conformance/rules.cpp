// SPDX-License-Identifier: BSL-1.0

// The rules of the façade, as cases that run unchanged on every model and engine. What differs between models is what
// R2 lets differ: whether a function that was started has run already.
#include "cells.hpp"
#include "tasks.hpp"

#include <zsync/core/deadline_scope.hpp>
#include <zsync/fiber/this_fiber.hpp>
#include <zsync/sync/event.hpp>

#include <boost/asio/error.hpp>

#include <algorithm>
#include <chrono>
#include <concepts>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <vector>

using boost::asio::error::operation_aborted;
using boost::system::error_code;
using test::error_of;
using test::for_ever;
using test::request_cancel;
using zsync::model;
using namespace std::chrono_literals;

namespace
{

zsync::pipe_ends make_pipe(const zsync::io& io)
{
    return zsync::make_pipe(io.get_executor());
}

/// Reads what is there, and does not wait for more.
std::string drain(const zsync::io& io, zsync::pipe& from)
{
    std::string all;
    std::vector<char> part(65536);
    for (;;)
    {
        error_code ec;
        const std::size_t bytes = io.with_deadline(0s).read(from, part).await(ec);
        if (ec || bytes == 0)
            return all;
        all.append(part.data(), bytes);
    }
}

const error_code timed_out = zsync::error::timed_out;
const error_code concurrency_unavailable = zsync::error::concurrency_unavailable;

} // namespace

BOOST_AUTO_TEST_SUITE(conformance)

// R1: the handle is explicit and cheap; deadline and token are inherited.

static_assert(std::copyable<zsync::io> && std::is_nothrow_move_constructible_v<zsync::io>);

ZSYNC_RULE_CASE(R1, a_deadline_holds_for_operations_of_its_io_only)
{
    auto ends = make_pipe(io);
    char byte;
    error_code ec;
    io.with_deadline(1ms).read(ends.read_end, std::span(&byte, 1)).await(ec);
    BOOST_TEST(ec == timed_out);
    io.write(ends.write_end, "x").await();
    BOOST_TEST(io.read(ends.read_end, std::span(&byte, 1)).await() == 1u);
    BOOST_TEST((io.deadline() == zsync::io::clock::time_point::max()));
}

ZSYNC_RULE_CASE(R1, children_inherit_the_deadline)
{
    const auto limited = io.with_deadline(1ms);
    auto child = limited.async([](zsync::io inherited) { inherited.sleep(for_ever).await(); });
    BOOST_TEST(error_of([&] { child.await(); }) == timed_out);
}

ZSYNC_RULE_CASE(R1, children_inherit_the_token)
{
    zsync::cancellation_source source;
    source.request_cancel();
    auto child =
        io.with_cancellation(source.token()).async([](zsync::io inherited) { inherited.sleep(for_ever).await(); });
    BOOST_TEST(error_of([&] { child.await(); }) == operation_aborted);
}

ZSYNC_RULE_CASE(R1, the_earlier_deadline_counts)
{
    const auto soon = io.with_deadline(1h).with_deadline(1ms);
    BOOST_TEST(error_of([&] { soon.with_deadline(2h).sleep(for_ever).await(); }) == timed_out);
}

ZSYNC_RULE_CASE(R1, a_deadline_scope_holds_for_operations_and_children_of_the_task)
{
    auto ends = make_pipe(io);
    char byte;
    zsync::event event;
    {
        const zsync::deadline_scope scope(1ms);
        error_code ec;
        io.read(ends.read_end, std::span(&byte, 1)).await(ec);
        BOOST_TEST(ec == timed_out);
        auto child = io.async([](zsync::io inner) { inner.sleep(for_ever).await(); });
        BOOST_TEST(error_of([&] { child.await(); }) == timed_out);
        BOOST_TEST(error_of([&] { io.with_deadline(1h).sleep(for_ever).await(); }) == timed_out);
        BOOST_TEST(error_of([&] { event.wait(); }) == timed_out);
        const zsync::deadline_scope later(1h);
        BOOST_TEST(error_of([] { zsync::check_cancel(); }) == timed_out);
    }
    io.write(ends.write_end, "x").await();
    BOOST_TEST(io.read(ends.read_end, std::span(&byte, 1)).await() == 1u);
}

// R2: async never fails and may run inline; concurrent makes progress by itself or fails.

ZSYNC_RULE_CASE(R2, async_always_delivers_its_function_s_result)
{
    auto one = io.async([] { return 42; });
    auto two = io.async([](zsync::io inner) { return inner.model(); });
    BOOST_TEST(one.await() == 42);
    BOOST_TEST((two.await() == io.model()));
}

ZSYNC_RULE_CASE(R2, concurrent_makes_progress_by_itself_or_says_that_it_cannot)
{
    auto ends = make_pipe(io);
    char byte = 0;
    try
    {
        auto child = io.concurrent([&](zsync::io inner) { inner.write(ends.write_end, "x").await(); });
        BOOST_TEST(io.read(ends.read_end, std::span(&byte, 1)).await() == 1u); // without awaiting the child
        BOOST_TEST(byte == 'x');
        BOOST_TEST((io.model() != model::blocking));
        child.await();
    }
    catch (const boost::system::system_error& e)
    {
        BOOST_TEST((io.model() == model::blocking));
        BOOST_TEST(e.code() == concurrency_unavailable);
    }
}

ZSYNC_RULE_CASE(R2, a_function_s_exception_is_its_future_s)
{
    auto child = io.async([]() -> int { throw std::out_of_range("mine"); });
    BOOST_CHECK_THROW(child.await(), std::out_of_range);
    BOOST_CHECK_THROW(child.await(), std::out_of_range);
}

// R3: futures.

static_assert(std::movable<zsync::future<int>> && !std::copyable<zsync::future<int>>);

ZSYNC_RULE_CASE(R3, await_and_cancel_give_the_result_as_often_as_asked)
{
    auto child = io.async([] { return std::string("result"); });
    BOOST_TEST(child.await() == "result");
    BOOST_TEST(child.cancel() == "result");
    BOOST_TEST(child.await() == "result");
    auto moved = std::move(child);
    BOOST_TEST(moved.await() == "result");
}

ZSYNC_RULE_CASE(R3, the_destructor_cancels_and_joins)
{
    bool ended = false;
    zsync::event begun;
    {
        // The deadline is for the model that runs it inline.
        auto child = io.with_deadline(io.model() == model::blocking ? 1ms : 1h)
                         .async(
                             [&](zsync::io inner)
                             {
                                 begun.set();
                                 error_code ec;
                                 inner.sleep(for_ever).await(ec);
                                 BOOST_TEST((ec == operation_aborted || inner.model() == model::blocking));
                                 ended = true;
                             });
        begun.wait();
    }
    BOOST_TEST(ended);
}

// R4: a request is delivered once, at the next point.

ZSYNC_RULE_CASE(R4, a_request_is_delivered_once_at_the_next_point)
{
    request_cancel();
    BOOST_TEST(error_of([&] { io.sleep(for_ever).await(); }) == operation_aborted);
    io.sleep(1us).await();
    BOOST_TEST(!error_of([] { zsync::check_cancel(); }));
}

ZSYNC_RULE_CASE(R4, recancel_arms_it_again)
{
    request_cancel();
    BOOST_TEST(error_of([] { zsync::check_cancel(); }) == operation_aborted);
    zsync::recancel();
    BOOST_TEST(error_of([&] { io.sleep(for_ever).await(); }) == operation_aborted);
}

ZSYNC_RULE_CASE(R4, protection_defers_it)
{
    request_cancel();
    {
        const zsync::cancel_protection deferred;
        io.sleep(1us).await();
        {
            const zsync::cancel_protection nested;
        }
        zsync::check_cancel();
    }
    BOOST_TEST(error_of([] { zsync::check_cancel(); }) == operation_aborted);
}

ZSYNC_RULE_CASE(R4, destructors_of_futures_run_protected)
{
    request_cancel();
    bool ended = false;
    zsync::event begun;
    {
        auto child = io.async(
            [&](zsync::io inner)
            {
                const zsync::cancel_protection last_words;
                begun.set();
                inner.sleep(1ms).await();
                ended = true;
            });
        {
            const zsync::cancel_protection deferred;
            begun.wait();
        }
    }
    BOOST_TEST(ended);
    BOOST_TEST(error_of([] { zsync::check_cancel(); }) == operation_aborted); // not spent by the wait
}

// R5: cancellation points; those of the sync layer are in sync_rules.cpp.

ZSYNC_RULE_CASE(R5, input_and_output_are_points)
{
    auto ends = make_pipe(io);
    io.write(ends.write_end, "abc").await();
    std::array<char, 3> data;
    request_cancel();
    BOOST_TEST(error_of([&] { io.read(ends.read_end, data).await(); }) == operation_aborted);
    BOOST_TEST(io.read(ends.read_end, data).await() == 3u); // nothing was lost
    zsync::recancel();
    BOOST_TEST(error_of([&] { io.write(ends.write_end, "def").await(); }) == operation_aborted);
    BOOST_TEST(drain(io, ends.read_end) == "");
}

ZSYNC_RULE_CASE(R5, sleep_is_a_point)
{
    request_cancel();
    BOOST_TEST(error_of([&] { io.sleep(for_ever).await(); }) == operation_aborted);
}

ZSYNC_RULE_CASE(R5, awaiting_a_child_that_has_not_ended_is_a_point)
{
    request_cancel();
    // Inline, the child is what meets the request first.
    auto child = io.async([](zsync::io inner) { inner.sleep(for_ever).await(); });
    BOOST_TEST(error_of([&] { child.await(); }) == operation_aborted);
    io.sleep(1us).await(); // delivered, once
}

// R6: awaiting forwards a request to the child, and waits for it.

ZSYNC_RULE_CASE(R6, a_request_goes_on_to_the_child_which_is_waited_for)
{
    bool child_ended = false;
    zsync::event begun;
    auto parent_of = [&](zsync::io inner)
    {
        if (inner.model() == model::blocking)
            request_cancel();
        auto child = inner.async(
            [&](zsync::io innermost)
            {
                begun.set();
                error_code ec;
                innermost.sleep(for_ever).await(ec);
                BOOST_TEST(ec == operation_aborted);
                const zsync::cancel_protection tidying_up;
                innermost.sleep(1ms).await();
                child_ended = true;
                throw boost::system::system_error(ec);
            });
        const auto error = error_of([&] { child.await(); });
        BOOST_TEST(error == operation_aborted);
        BOOST_TEST(child_ended);
    };
    auto parent = io.async(parent_of);
    begun.wait();
    parent.cancel();
    BOOST_TEST(child_ended);
}

// R7: completed work is never lost.

ZSYNC_RULE_CASE(R7, bytes_that_have_moved_are_reported)
{
    auto ends = make_pipe(io);
    const std::string more_than_fits(1 << 20, 'm');
    error_code ec;
    const std::size_t moved = io.with_deadline(20ms).write(ends.write_end, std::string_view(more_than_fits)).await(ec);
    BOOST_TEST(ec == timed_out);
    BOOST_TEST(moved > 0u);
    BOOST_TEST(drain(io, ends.read_end).size() == moved);
}

ZSYNC_RULE_CASE(R7, a_result_counts_and_the_request_stays_pending)
{
    auto child = io.async(
        [](zsync::io inner)
        {
            const zsync::cancel_protection to_the_end;
            inner.sleep(1ms).await();
            return 7;
        });
    request_cancel();
    BOOST_TEST(child.await() == 7);
    BOOST_TEST(error_of([] { zsync::check_cancel(); }) == operation_aborted);
}

// R8: buffers are the kernel's until it is done.

ZSYNC_RULE_CASE(R8, a_read_that_was_ended_takes_nothing_afterwards)
{
    auto ends = make_pipe(io);
    {
        const auto buffer = std::make_unique<std::array<char, 64>>();
        buffer->fill('-');
        error_code ec;
        io.with_deadline(5ms).read(ends.read_end, *buffer).await(ec);
        BOOST_TEST(ec == timed_out);
        io.write(ends.write_end, "for the next").await();
        BOOST_TEST(std::ranges::all_of(*buffer, [](char each) { return each == '-'; }));
    }
    BOOST_TEST(drain(io, ends.read_end) == "for the next");
}

ZSYNC_RULE_CASE(R8, close_ends_what_is_in_flight_before_the_number_is_used_again)
{
    auto ends = make_pipe(io);
    std::array<char, 16> data{};
    auto reader = io.with_deadline(io.model() == model::blocking ? 5ms : 1h)
                      .async(
                          [&](zsync::io inner)
                          {
                              error_code ec;
                              inner.read(ends.read_end, data).await(ec);
                              return ec;
                          });
    if (io.model() != model::blocking)
        io.sleep(1ms).await();
    const int number = ends.read_end.native_handle();
    ends.read_end.close();
    BOOST_TEST((reader.await() == operation_aborted || reader.await() == timed_out));
    auto other = make_pipe(io);
    BOOST_TEST(other.read_end.native_handle() == number); // the lowest that is free
    io.write(other.write_end, "other").await();
    BOOST_TEST(drain(io, other.read_end) == "other");
    BOOST_TEST(data[0] == '\0');
}

// R11: deadlines.

ZSYNC_RULE_CASE(R11, what_is_there_wins_over_a_deadline_that_has_passed)
{
    auto ends = make_pipe(io);
    io.write(ends.write_end, "abc").await();
    std::array<char, 16> data;
    const auto late = io.with_deadline(-1s);
    BOOST_TEST(late.read(ends.read_end, data).await() == 3u);
    BOOST_TEST(error_of([&] { late.read(ends.read_end, data).await(); }) == timed_out);
}

ZSYNC_RULE_CASE(R11, a_deadline_ends_a_wait_and_not_before_its_time)
{
    auto ends = make_pipe(io);
    std::array<char, 16> data;
    const auto begin = zsync::io::clock::now();
    BOOST_TEST(error_of([&] { io.with_deadline(20ms).read(ends.read_end, data).await(); }) == timed_out);
    BOOST_TEST((zsync::io::clock::now() - begin >= 20ms));
}

ZSYNC_RULE_CASE(R11, what_is_there_wins_over_a_deadline_scope_that_has_passed)
{
    auto ends = make_pipe(io);
    char byte;
    io.write(ends.write_end, "x").await();
    const zsync::deadline_scope scope(-1s);
    BOOST_TEST(io.read(ends.read_end, std::span(&byte, 1)).await() == 1u);
    BOOST_TEST(error_of([&] { io.read(ends.read_end, std::span(&byte, 1)).await(); }) == timed_out);
    request_cancel();
    BOOST_TEST(error_of([&] { io.sleep(for_ever).await(); }) == operation_aborted);
    BOOST_TEST(error_of([&] { io.sleep(for_ever).await(); }) == timed_out); // the request was delivered once
}

ZSYNC_RULE_CASE(R11, a_request_from_outside_stays_cancelled)
{
    request_cancel();
    BOOST_TEST(error_of([&] { io.with_deadline(-1s).sleep(for_ever).await(); }) == operation_aborted);
    zsync::cancellation_source source;
    source.request_cancel();
    const auto both = io.with_deadline(1h).with_cancellation(source.token());
    BOOST_TEST(error_of([&] { both.sleep(for_ever).await(); }) == operation_aborted);
}

ZSYNC_RULE_CASE(R11, partial_bytes_are_reported_with_the_timeout)
{
    auto ends = make_pipe(io);
    io.write(ends.write_end, "abc").await();
    std::array<char, 16> data;
    error_code ec;
    BOOST_TEST(io.with_deadline(5ms).read_exactly(ends.read_end, data).await(ec) == 3u);
    BOOST_TEST(ec == timed_out);
    BOOST_TEST(std::string_view(data.data(), 3) == "abc");
}

// R14: tokens, of the standard too, are requests, from any thread. Slots, of which Asio wants that they are used on one
// thread, are for fibers alone: in the blocking model an operation has that thread for itself. See test/io.

ZSYNC_RULE_CASE(R14, a_stop_token_cancels_from_any_thread)
{
    std::stop_source stop;
    std::jthread other([&] { stop.request_stop(); });
    const auto stoppable = io.with_cancellation(stop.get_token());
    BOOST_TEST(error_of([&] { stoppable.sleep(for_ever).await(); }) == operation_aborted);
    auto child = stoppable.async([](zsync::io inner) { inner.sleep(for_ever).await(); });
    BOOST_TEST(error_of([&] { child.await(); }) == operation_aborted);
    io.sleep(1ms).await();
}

ZSYNC_RULE_CASE(R14, a_task_hands_out_a_token_of_its_own)
{
    const std::stop_token stop = zsync::this_fiber::get_stop_token();
    BOOST_TEST(!stop.stop_requested());
    zsync::agent::current().cancellation().request(zsync::error::channel_closed);
    BOOST_TEST(stop.stop_requested());
    BOOST_TEST((zsync::this_fiber::cancellation().reason == zsync::error::channel_closed));
    BOOST_TEST(error_of([&] { io.sleep(for_ever).await(); }) == operation_aborted);
}

BOOST_AUTO_TEST_SUITE_END()
