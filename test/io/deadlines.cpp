// SPDX-License-Identifier: BSL-1.0
#include <zsync/io/operation.hpp>

#include "models.hpp"

#include <zsync/core/error.hpp>

#include <span>
#include <string>
#include <thread>

#include <sys/socket.h>
#include <unistd.h>

namespace
{

using namespace test;
using boost::asio::error::operation_aborted;

/// Runs a function on another thread, and joins it at the end of the scope.
class beside
{
public:
    template <class F>
    explicit beside(F function) : thread_(std::move(function))
    {
    }
    ~beside() { thread_.join(); }

private:
    std::thread thread_;
};

} // namespace

BOOST_AUTO_TEST_SUITE(io_deadlines)

BOOST_DATA_TEST_CASE(a_deadline_ends_what_waits, each_cell)
{
    run_in(sample,
           [](const scene& at)
           {
               auto [near, far] = stream_pair(at.io);
               zsync::acceptor listener = at.io.listen({"127.0.0.1", 0});
               zsync::pipe_ends ends = zsync::make_pipe(at.io.get_executor());
               std::array<char, 4> data;
               const auto soon = [&] { return at.io.with_deadline(5ms); };
               const auto late = [](const auto& result) { return result.error() == zsync::error::timed_out; };
               const auto start = zsync::io::clock::now();
               BOOST_TEST(late(soon().read(near, data).try_await()));
               BOOST_TEST((zsync::io::clock::now() - start >= 5ms));
               BOOST_TEST(late(soon().read(ends.read_end, data).try_await()));
               BOOST_TEST(late(soon().accept(listener).try_await()));
               BOOST_TEST(late(soon().sleep(1h).try_await()));
               BOOST_TEST(soon().sleep(0ms).try_await().has_value());
               BOOST_TEST(at.io.with_deadline(1h).sleep(2ms).try_await().has_value());

               // The handle is as usable as before.
               at.io.write(far, "x").await();
               BOOST_TEST(at.io.read(near, data).await() == 1u);
           });
}

// Both are over when the loop looks again: what the operation has brought is not given up.
BOOST_DATA_TEST_CASE(what_is_over_has_not_run_out_of_time, each_green)
{
    run_in(sample,
           [](const scene& at)
           {
               bool in_time = false;
               for (auto margin = 1ms; !in_time; margin *= 2) // a slow machine takes some tries
               {
                   auto [near, far] = stream_pair(at.io);
                   std::array<char, 4> data;
                   error_code ec;
                   std::size_t moved = 0;
                   bool told = false;
                   const auto due = zsync::io::clock::now() + margin;
                   at.io.with_deadline(due).read(near, data)(
                       [&](error_code failure, std::size_t bytes)
                       {
                           ec = failure;
                           moved = bytes;
                           told = true;
                       });
                   at.run_others(); // it is in flight
                   BOOST_TEST(::write(far.native_handle(), "abc", 3) == 3);
                   in_time = zsync::io::clock::now() < due;
                   while (zsync::io::clock::now() < due)
                       ;
                   BOOST_TEST(at.until([&] { return told; }));
                   BOOST_TEST((!in_time || !ec));
                   BOOST_TEST((!in_time || moved == 3));
               }
           });
}

BOOST_DATA_TEST_CASE(a_deadline_that_has_passed_lets_one_attempt_be_made, each_cell)
{
    run_in(sample,
           [](const scene& at)
           {
               auto [near, far] = stream_pair(at.io);
               const zsync::io late = at.io.with_deadline(-1s);
               std::array<char, 4> data;
               error_code ec;
               late.read(near, data).await(ec);
               BOOST_TEST((ec == zsync::error::timed_out));
               at.io.write(far, "abc").await();
               BOOST_TEST(late.read(near, data).await(ec) == 3u);
               BOOST_TEST(!ec);
               late.sleep(1ms).await(ec);
               BOOST_TEST((ec == zsync::error::timed_out));
               late.connect("no such host", 80).await(ec);
               BOOST_TEST((ec == zsync::error::timed_out));
           });
}

BOOST_DATA_TEST_CASE(what_has_moved_is_counted_beside_the_error, each_cell)
{
    run_in(sample,
           [](const scene& at)
           {
               auto [near, far] = stream_pair(at.io);
               error_code ec;
               const std::string much(10'000'000, 'x');
               const std::size_t written = at.io.with_deadline(20ms).write(near, much).await(ec);
               BOOST_TEST((ec == zsync::error::timed_out));
               BOOST_TEST(written > 0u);
               BOOST_TEST(written < much.size());
               std::size_t arrived = 0;
               std::array<char, 65536> data;
               near.shutdown(zsync::stream::shutdown_send);
               while (const std::size_t more = at.io.read(far, data).await())
                   arrived += more;
               BOOST_TEST(arrived == written);

               at.io.write(far, "abc").await();
               BOOST_TEST(at.io.with_deadline(5ms).read_exactly(near, data).await(ec) == 3u);
               BOOST_TEST((ec == zsync::error::timed_out));
           });
}

BOOST_DATA_TEST_CASE(a_file_that_nobody_takes_times_out_and_counts, each_cell)
{
    run_in(sample,
           [](const scene& at)
           {
               auto [near, far] = stream_pair(at.io);
               zsync::file from(at.io.get_executor(), make_file(std::string(10'000'000, 'x')).release());
               error_code ec;
               const std::size_t sent = at.io.with_deadline(20ms).send_file(near, from, 0, 10'000'000).await(ec);
               BOOST_TEST((ec == zsync::error::timed_out));
               BOOST_TEST(sent > 0u);
               std::size_t arrived = 0;
               std::array<char, 65536> data;
               near.close();
               while (const std::size_t more = at.io.read(far, data).await())
                   arrived += more;
               BOOST_TEST(arrived == sent);
           });
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(io_cancellation)

BOOST_DATA_TEST_CASE(a_cancelled_token_refuses_what_begins, each_cell)
{
    run_in(sample,
           [](const scene& at)
           {
               auto [near, far] = stream_pair(at.io);
               at.io.write(far, "there").await();
               const zsync::cancellation_source source;
               const zsync::io io = at.io.with_cancellation(source.token());
               std::array<char, 4> data;
               BOOST_TEST(io.read(near, std::span(data).first(1)).await() == 1u);
               source.request_cancel();
               const auto aborted = [](const auto& result) { return result.error() == operation_aborted; };
               BOOST_TEST(aborted(io.read(near, data).try_await()));
               BOOST_TEST(aborted(io.sleep(1ms).try_await()));
               BOOST_TEST(aborted(io.connect("no such host", 80).try_await()));
               BOOST_TEST(aborted(io.with_deadline(-1s).read(near, data).try_await()));
               BOOST_TEST(at.io.read(near, data).await() == 4u); // nothing was lost
           });
}

BOOST_DATA_TEST_CASE(another_thread_ends_what_waits, each_cell)
{
    run_in(sample,
           [](const scene& at)
           {
               auto [near, far] = stream_pair(at.io);
               std::array<char, 4> data;
               for (int round = 0; round < 50; ++round)
               {
                   const zsync::cancellation_source source;
                   const zsync::io io = at.io.with_cancellation(source.token());
                   const beside canceller([&] { source.request_cancel(); });
                   error_code ec;
                   round % 2 ? (void)io.read(near, data).await(ec) : io.sleep(1h).await(ec);
                   BOOST_TEST(ec == operation_aborted);
               }
           });
}

BOOST_DATA_TEST_CASE(an_outer_cancel_is_no_time_out, each_cell)
{
    run_in(sample,
           [](const scene& at)
           {
               auto [near, far] = stream_pair(at.io);
               std::array<char, 4> data;
               const zsync::cancellation_source source;
               const zsync::io io = at.io.with_cancellation(source.token()).with_deadline(1h);
               const beside canceller([&] { source.request_cancel(zsync::error::timed_out); });
               error_code ec;
               io.read(near, data).await(ec);
               BOOST_TEST(ec == operation_aborted);
           });
}

BOOST_DATA_TEST_CASE(a_request_to_the_task_is_delivered_once, each_cell)
{
    run_in(sample,
           [](const scene& at)
           {
               auto [near, far] = stream_pair(at.io);
               at.io.write(far, "ab").await();
               std::array<char, 1> data;
               auto& task = zsync::agent::current().cancellation();
               task.protect();
               task.request();
               BOOST_TEST(at.io.read(near, data).await() == 1u);
               task.unprotect();
               error_code ec;
               at.io.read(near, data).await(ec);
               BOOST_TEST(ec == operation_aborted);
               BOOST_TEST(at.io.read(near, data).await() == 1u);
           });
}

BOOST_DATA_TEST_CASE(a_request_ends_each_kind_of_wait, each_green)
{
    run_in(sample,
           [](const scene& at)
           {
               auto [near, far] = stream_pair(at.io);
               std::array<char, 1> data;
               for (const bool sleeping : {false, true})
               {
                   zsync::agent* victim = nullptr;
                   error_code ec;
                   bool over = false;
                   zsync::spawn(
                       at.io.get_executor(),
                       [&, &near = near]
                       {
                           victim = &zsync::agent::current();
                           sleeping ? at.io.sleep(1h).await(ec) : (void)at.io.read(near, data).await(ec);
                       },
                       [&](std::exception_ptr) { over = true; });
                   BOOST_REQUIRE(at.until([&] { return victim; }));
                   at.io.sleep(1ms).await(); // it waits, as nothing else is ready
                   victim->cancellation().request();
                   BOOST_TEST(at.until([&] { return over; }));
                   BOOST_TEST(ec == operation_aborted);
               }
           });
}

BOOST_DATA_TEST_CASE(a_look_up_is_abandoned, each_green)
{
    run_in(
        sample,
        [](const scene& at)
        {
            // Whichever comes first: neither may be lost, nor be seen by a fiber that has gone on.
            for (int round = 0; round < 20; ++round)
            {
                const zsync::cancellation_source source;
                const beside canceller([&] { source.request_cancel(); });
                BOOST_TEST(
                    at.io.with_cancellation(source.token()).connect("localhost", "no service").try_await().has_error());
            }
        });
}

BOOST_DATA_TEST_CASE(closing_ends_what_is_in_flight, each_green)
{
    run_in(sample,
           [](const scene& at)
           {
               auto [near, far] = stream_pair(at.io);
               std::array<char, 1> data;
               error_code ec;
               bool over = false;
               zsync::spawn(
                   at.io.get_executor(), [&, &near = near] { at.io.read(near, data).await(ec); },
                   [&](std::exception_ptr) { over = true; });
               BOOST_REQUIRE(at.until([&near = near] { return near.core()->reading(); }));
               error_code second;
               at.io.read(near, data).await(second);
               BOOST_TEST(second == boost::asio::error::already_started);
               at.io.close(near).await();
               BOOST_TEST(at.until([&] { return over; }));
               BOOST_TEST(ec == operation_aborted);
           });
}

BOOST_DATA_TEST_CASE(a_context_that_goes_unwinds_what_waits, each_green)
{
    bool unwound = false;
    {
        zsync::fiber_context ctx(zsync::fiber_options{
            .engine = sample == cell::green_uring ? zsync::engine_kind::uring : zsync::engine_kind::reactor});
        zsync::io io(ctx);
        zsync::acceptor listener = io.listen({"127.0.0.1", 0});
        zsync::spawn(
            ctx,
            [&]
            {
                struct at_exit
                {
                    bool& flag;
                    ~at_exit() { flag = true; }
                } const guard{unwound};
                io.accept(listener).await();
            },
            [](std::exception_ptr) { BOOST_ERROR("its handler must not be called"); });
        ctx.run_for(2ms);
        io.read(*std::make_unique<zsync::stream>(ctx), std::span<char>())([](error_code, std::size_t) {});
        BOOST_TEST(!unwound);
    }
    BOOST_TEST(unwound);
}

BOOST_AUTO_TEST_SUITE_END()
