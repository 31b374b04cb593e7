// SPDX-License-Identifier: BSL-1.0
#include <zsync/io/operation.hpp>

#include "models.hpp"

#include <zsync/core/error.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/system_executor.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <sys/ioctl.h>

namespace
{

using namespace test;
using boost::asio::error::operation_aborted;

// What may be read to and what may be written; checked at compile time.
template <class B>
concept readable_to = requires(const zsync::io& io, zsync::stream& s, B&& b)
{
    io.read(s, std::forward<B>(b));
};
template <class B>
concept writable = requires(const zsync::io& io, zsync::stream& s, B&& b)
{
    io.write(s, std::forward<B>(b));
    io.write(std::forward<B>(b));
    io.writev(s, std::forward<B>(b), "more");
};

static_assert(readable_to<std::array<char, 4>&>);
static_assert(readable_to<char (&)[4]>);
static_assert(readable_to<std::vector<std::byte>&>);
static_assert(readable_to<std::string&>);
static_assert(readable_to<std::span<unsigned char>>);
static_assert(readable_to<boost::asio::mutable_buffer>);
static_assert(!readable_to<std::array<char, 4>>);
static_assert(!readable_to<std::string>);
static_assert(!readable_to<std::vector<char>>);
static_assert(!readable_to<const std::string&>);
static_assert(!readable_to<std::span<const char>>);
static_assert(!readable_to<std::string_view>);
static_assert(!readable_to<boost::asio::const_buffer>);
static_assert(!readable_to<std::vector<int>&>);

static_assert(writable<const char (&)[6]>);
static_assert(writable<std::string_view>);
static_assert(writable<std::span<const std::byte>>);
static_assert(writable<boost::asio::const_buffer>);
static_assert(writable<boost::asio::mutable_buffer>);
static_assert(writable<const std::string&>);
static_assert(writable<std::string>);
static_assert(writable<std::vector<char>>);
static_assert(writable<std::array<char, 4>&>);
static_assert(!writable<std::array<char, 4>>);
static_assert(!writable<const std::string>);
static_assert(!writable<const char*>);
static_assert(!writable<std::vector<int>&>);

// A handle has to be there while the operation is made, and to be of the right kind.
template <class H>
concept reads_from = requires(const zsync::io& io, H&& h, char (&b)[4])
{
    io.read(std::forward<H>(h), b);
};
static_assert(reads_from<zsync::stream&> && reads_from<zsync::file&> && reads_from<zsync::pipe&>);
static_assert(!reads_from<zsync::stream> && !reads_from<zsync::acceptor&> && !reads_from<zsync::datagram&>);

using read_operation =
    decltype(std::declval<const zsync::io&>().read(std::declval<zsync::stream&>(), std::declval<char (&)[4]>()));
static_assert(std::is_nothrow_move_constructible_v<read_operation> && !std::is_copy_constructible_v<read_operation>);
static_assert(std::is_same_v<read_operation::value_type, std::size_t>);

} // namespace

BOOST_AUTO_TEST_SUITE(io_operations)

BOOST_DATA_TEST_CASE(nothing_happens_before_it_is_awaited, each_cell)
{
    run_in(sample,
           [](const scene& at)
           {
               auto [near, far] = stream_pair(at.io);
               auto write = at.io.write(near, std::string("short")); // bytes inside the string move with it
               BOOST_TEST(far.available() == 0u);
               auto moved = std::move(write);
               BOOST_TEST(moved.await() == 5u);
               std::array<char, 8> data{};
               BOOST_TEST(at.io.read(far, data).await() == 5u);
               BOOST_TEST(std::string_view(data.data(), 5) == "short");
           });
}

BOOST_DATA_TEST_CASE(each_form_delivers_the_value, each_cell)
{
    run_in(sample,
           [](const scene& at)
           {
               auto [near, far] = stream_pair(at.io);
               std::array<char, 4> data{};
               const auto put = [&, &far = far] { at.io.write(far, "abc").await(); };
               error_code ec = operation_aborted;
               put();
               BOOST_TEST(at.io.read(near, data).await(ec) == 3u);
               BOOST_TEST(!ec);
               put();
               BOOST_TEST(at.io.read(near, data).try_await().value() == 3u);
               put();
               BOOST_TEST(at.io.read(near, data)(zsync::use_await) == 3u);
               put();
               BOOST_TEST(at.io.read(near, data).start().await() == 3u);

               put();
               std::size_t got = 0;
               bool inside = true;
               at.io.read(near, data)(
                   [&](error_code failure, std::size_t bytes)
                   {
                       BOOST_TEST(!failure);
                       BOOST_TEST(!inside);
                       got = bytes;
                   });
               inside = false;
               BOOST_TEST(at.until([&] { return got == 3; }));

               put();
               auto future = at.io.read(near, data)(boost::asio::use_future);
               BOOST_TEST(at.until([&] { return future.wait_for(0s) == std::future_status::ready; }));
               BOOST_TEST(future.get() == 3u);

               put();
               bool deferred = false;
               auto packed = at.io.read(near, data)(boost::asio::deferred);
               std::move(packed)([&](error_code, std::size_t bytes) { deferred = bytes == 3; });
               BOOST_TEST(at.until([&] { return deferred; }));

               auto slept = at.io.sleep(1ms)(boost::asio::use_future);
               BOOST_TEST(at.until([&] { return slept.wait_for(0s) == std::future_status::ready; }));
               slept.get();
           });
}

BOOST_DATA_TEST_CASE(coroutines_await_it, each_cell)
{
    run_in(sample,
           [](const scene& at)
           {
               zsync::acceptor listener = at.io.listen({"127.0.0.1", 0});
               std::string said;
               bool over = false;
               boost::asio::co_spawn(
                   at.io.get_executor(),
                   [&]() -> boost::asio::awaitable<void>
                   {
                       zsync::stream near = co_await at.io.connect(listener.local_endpoint());
                       zsync::stream far = co_await at.io.accept(listener);
                       co_await at.io.write(near, std::string("hello"));
                       std::array<char, 8> data{};
                       const std::size_t first = co_await at.io.read(far, data);
                       said.assign(data.data(), first);
                       co_await at.io.sleep(1ms);
                       co_await at.io.write(near, "!")(boost::asio::use_awaitable);
                       const auto [ec, second] =
                           co_await at.io.read(far, data)(boost::asio::as_tuple(boost::asio::use_awaitable));
                       said.append(data.data(), second);
                       co_await at.io.close(near);
                   },
                   [&](std::exception_ptr failure)
                   {
                       BOOST_TEST(!failure);
                       over = true;
                   });
               BOOST_TEST(at.until([&] { return over; }));
               BOOST_TEST(said == "hello!");
           });
}

BOOST_DATA_TEST_CASE(errors_arrive_in_every_form, each_cell)
{
    run_in(sample,
           [](const scene& at)
           {
               zsync::stream closed(at.io.get_executor());
               char byte = 0;
               const std::span<char> data(&byte, 1);
               constexpr auto bad = boost::asio::error::bad_descriptor;
               error_code ec;
               at.io.read(closed, data).await(ec);
               BOOST_TEST(ec == bad);
               BOOST_TEST((at.io.read(closed, data).try_await().error() == bad));
               BOOST_CHECK_THROW(at.io.read(closed, data).await(), boost::system::system_error);
               at.io.read(closed, data)(zsync::use_await[ec]);
               BOOST_TEST(ec == bad);
               BOOST_CHECK_THROW(at.io.read(closed, data).start().await(), boost::system::system_error);
               auto future = at.io.read(closed, data)(boost::asio::use_future);
               BOOST_TEST(at.until([&] { return future.wait_for(0s) == std::future_status::ready; }));
               BOOST_CHECK_THROW(future.get(), boost::system::system_error);
               bool told = false;
               at.io.with_deadline(1h).connect("no such host", 1)(
                   [&](error_code failure, zsync::stream none)
                   {
                       told = true;
                       BOOST_TEST(failure.failed());
                       BOOST_TEST(!none.is_open());
                   });
               BOOST_TEST(at.until([&] { return told; }));
           });
}

BOOST_DATA_TEST_CASE(a_handler_is_told_of_time_outs_and_tokens, each_cell)
{
    run_in(sample,
           [](const scene& at)
           {
               auto [near, far] = stream_pair(at.io);
               char byte = 0;
               error_code ec;
               int told = 0;
               const auto tell = [&](error_code failure, std::size_t)
               {
                   ec = failure;
                   ++told;
               };
               at.io.with_deadline(2ms).read(near, std::span(&byte, 1))(tell);
               BOOST_TEST(at.until([&] { return told == 1; }));
               BOOST_TEST((ec == zsync::error::timed_out));

               const zsync::cancellation_source source;
               std::thread canceller([&] { source.request_cancel(); });
               at.io.with_cancellation(source.token()).read(near, std::span(&byte, 1))(tell);
               BOOST_TEST(at.until([&] { return told == 2; }));
               canceller.join();
               BOOST_TEST(ec == operation_aborted);
           });
}

BOOST_DATA_TEST_CASE(a_slot_cancels, each_green)
{
    run_in(sample,
           [](const scene& at)
           {
               auto [near, far] = stream_pair(at.io);
               char byte = 0;
               for (const bool sleeping : {false, true})
               {
                   boost::asio::cancellation_signal signal;
                   error_code ec;
                   bool told = false;
                   if (sleeping)
                       at.io.sleep(1h)(boost::asio::bind_cancellation_slot(signal.slot(),
                                                                           [&](error_code failure)
                                                                           {
                                                                               ec = failure;
                                                                               told = true;
                                                                           }));
                   else
                       at.io.read(near, std::span(&byte, 1))(
                           boost::asio::bind_cancellation_slot(signal.slot(),
                                                               [&](error_code failure, std::size_t)
                                                               {
                                                                   ec = failure;
                                                                   told = true;
                                                               }));
                   at.run_others();
                   BOOST_TEST(!told);
                   signal.emit(boost::asio::cancellation_type::terminal);
                   BOOST_TEST(at.until([&] { return told; }));
                   BOOST_TEST(ec == operation_aborted);
               }
           });
}

BOOST_DATA_TEST_CASE(a_slot_cancels_between_the_steps_of_an_operation, each_green)
{
    run_in(sample,
           [](const scene& at)
           {
               auto [near, far] = stream_pair(at.io);
               error_code ec;
               std::size_t moved = 0;
               bool told = false;
               const auto tell = [&](error_code failure, std::size_t bytes)
               {
                   ec = failure;
                   moved = bytes;
                   told = true;
               };
               boost::asio::cancellation_signal signal;
               std::array<char, 8> data;

               // A step has brought something, and the next is in flight.
               at.io.read_exactly(near, data)(boost::asio::bind_cancellation_slot(signal.slot(), tell));
               at.io.write(far, "abc").await();
               int waiting = 0;
               const int number = near.native_handle();
               BOOST_TEST(at.until([&] { return ::ioctl(number, FIONREAD, &waiting) == 0 && !waiting; }));
               BOOST_TEST(!told);
               signal.emit(boost::asio::cancellation_type::partial);
               BOOST_TEST(at.until([&] { return told; }));
               BOOST_TEST(ec == operation_aborted);
               BOOST_TEST(moved == 3u);

               // It may have been asked when its step was over, and the next not begun: that must not begin then.
               for (int round = 0; round != 100; ++round)
               {
                   told = false;
                   at.io.read_exactly(near, data)(boost::asio::bind_cancellation_slot(signal.slot(), tell));
                   if (round % 2)
                       at.run_others();
                   std::size_t sent = 0;
                   at.io.write(far, "abc")([&](error_code, std::size_t bytes) { sent = bytes; });
                   for (int turns = round % 4; turns != 0; --turns)
                       at.run_others();
                   signal.emit(boost::asio::cancellation_type::terminal);
                   BOOST_TEST(at.until([&] { return told && sent == 3; }));
                   BOOST_TEST(ec == operation_aborted);
                   BOOST_TEST((moved == 0 || moved == 3));
                   if (moved == 0)
                       at.io.read_exactly(near, std::span(data).first(3)).await();
               }
           });
}

BOOST_DATA_TEST_CASE(other_threads_await_it_while_its_context_runs, each_green)
{
    run_in(sample,
           [](const scene& at)
           {
               auto [near, far] = stream_pair(at.io);
               std::size_t read = 0;
               error_code refused;
               bool closed = false;
               std::atomic<bool> over{false};
               std::thread other(
                   [&, &near = near, &far = far]
                   {
                       at.io.write(far, "abc").await();
                       std::array<char, 4> data;
                       read = at.io.read(near, data).await();
                       at.io.sleep(1ms).await();
                       closed = !at.io.connect("127.0.0.1", 1).await(refused).is_open();
                       over = true;
                   });
               BOOST_TEST(at.until([&] { return over.load(); }));
               other.join();
               BOOST_TEST(read == 3u);
               BOOST_TEST(refused == boost::asio::error::connection_refused);
               BOOST_TEST(closed);
           });
}

BOOST_AUTO_TEST_CASE(handlers_run_on_their_own_executor)
{
    run_in(cell::green_epoll,
           [](const scene& at)
           {
               boost::asio::io_context mine;
               auto [near, far] = stream_pair(at.io);
               int told = 0;
               auto tell = boost::asio::bind_executor(mine, [&](error_code, std::size_t) { ++told; });
               at.io.write(near, "x")(tell);
               char byte = 0;
               at.io.with_deadline(1h).read(far, std::span(&byte, 1))(tell);
               std::atomic<bool> over{false};
               std::thread runner(
                   [&]
                   {
                       mine.run(); // has work until both are told
                       over = true;
                   });
               BOOST_TEST(at.until([&] { return over.load(); }));
               runner.join();
               BOOST_TEST(told == 2);
           });
}

BOOST_AUTO_TEST_CASE(waiting_outside_a_fiber_of_the_loop_is_refused)
{
    zsync::fiber_context ctx(zsync::fiber_options{.engine = zsync::engine_kind::reactor});
    zsync::io io(ctx);
    boost::asio::steady_timer stock(ctx, 0ms);
    error_code ec;
    // Its handler runs below Asio's scheduler, and must return first.
    stock.async_wait(
        boost::asio::bind_executor(boost::asio::system_executor(), [&](error_code) { io.sleep(1ms).await(ec); }));
    ctx.run();
    BOOST_TEST(ec == boost::system::errc::resource_deadlock_would_occur);
}

BOOST_AUTO_TEST_SUITE_END()
