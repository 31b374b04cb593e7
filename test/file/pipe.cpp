// SPDX-License-Identifier: BSL-1.0
#include <zsync/file/pipe.hpp>

#include <zsync/blocking/blocking_context.hpp>
#include <zsync/core/use_await.hpp>

#include "support/contexts.hpp"
#include "support/descriptors.hpp"
#include "support/leader.hpp"

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>

#include <array>
#include <csignal>
#include <memory>
#include <string>

#include <fcntl.h>
#include <unistd.h>

namespace asio = boost::asio;
using boost::system::error_code;
using test::reply;

BOOST_AUTO_TEST_SUITE(file_pipe)

BOOST_AUTO_TEST_CASE_TEMPLATE(what_goes_in_comes_out, Context, test::contexts)
{
    Context context;
    auto [out, in] = zsync::make_pipe(context.executor());
    BOOST_TEST((::fcntl(out.native_handle(), F_GETFL) & O_NONBLOCK) != 0);
    std::array<char, 64> data;
    reply read, wrote, end;
    out.async_read_some(asio::buffer(data), read.handler());
    context.settle();
    BOOST_TEST(read.calls == 0);
    in.async_write_some(asio::buffer("hello", 5), wrote.handler());
    BOOST_TEST(context.run());
    BOOST_TEST(wrote.bytes == 5u);
    BOOST_TEST(std::string(data.data(), read.bytes) == "hello");
    in.close();
    out.async_read_some(asio::buffer(data), end.handler());
    BOOST_TEST(context.run());
    BOOST_TEST(end.failed_with(asio::error::eof), end);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(asio_composed_operations_take_it, Context, test::contexts)
{
    Context context;
    auto [out, in] = zsync::make_pipe(context.executor());
    const std::string sent(300'000, 'x');
    std::string received(sent.size(), '-');
    reply wrote, read;
    asio::async_write(in, asio::buffer(sent), wrote.handler());
    asio::async_read(out, asio::buffer(received), read.handler());
    BOOST_TEST(context.run());
    BOOST_TEST(wrote.succeeded(), wrote);
    BOOST_TEST(read.succeeded(), read);
    BOOST_TEST((sent == received));
}

BOOST_AUTO_TEST_CASE_TEMPLATE(writing_to_nobody_is_a_broken_pipe, Context, test::contexts)
{
    const auto before = std::signal(SIGPIPE, SIG_IGN);
    Context context;
    auto [out, in] = zsync::make_pipe(context.executor());
    out.close();
    reply told;
    in.async_write_some(asio::buffer("x", 1), told.handler());
    BOOST_TEST(context.run());
    BOOST_TEST(told.failed_with(asio::error::broken_pipe), told);
    std::signal(SIGPIPE, before);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_read_is_cancelled_before_and_in_flight, Context, test::contexts)
{
    for (const auto type :
         {asio::cancellation_type::terminal, asio::cancellation_type::partial, asio::cancellation_type::total})
        for (const bool settle : {false, true})
        {
            Context context;
            auto [out, in] = zsync::make_pipe(context.executor());
            std::array<char, 64> data;
            reply told, waited;
            asio::cancellation_signal signal, wait_signal;
            out.async_read_some(asio::buffer(data), asio::bind_cancellation_slot(signal.slot(), told.handler()));
            out.async_wait_read(asio::bind_cancellation_slot(wait_signal.slot(), waited.handler()));
            if (settle)
                context.settle();
            signal.emit(type);
            wait_signal.emit(type);
            BOOST_TEST(context.run());
            BOOST_TEST(told.failed_with(asio::error::operation_aborted), told);
            BOOST_TEST(waited.failed_with(asio::error::operation_aborted), waited);
        }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_second_reader_is_refused, Context, test::contexts)
{
    Context context;
    auto [out, in] = zsync::make_pipe(context.executor());
    std::array<char, 64> data;
    reply first, second;
    out.async_read_some(asio::buffer(data), first.handler());
    out.async_read_some(asio::buffer(data), second.handler());
    context.settle();
    BOOST_TEST(second.failed_with(asio::error::already_started), second);
    out.close();
    BOOST_TEST(context.run());
    BOOST_TEST(first.failed_with(asio::error::operation_aborted), first);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_destroyed_context_destroys_the_handler, Context, test::contexts)
{
    int alive = 0;
    {
        auto context = std::make_unique<Context>();
        auto ends = std::make_shared<zsync::pipe_ends>(zsync::make_pipe(context->executor()));
        auto data = std::make_shared<std::array<char, 8>>();
        ends->read_end.async_read_some(asio::buffer(*data), [ends, data, count = test::live_count(alive)](
                                                                error_code, std::size_t) { BOOST_ERROR("called"); });
        context->settle();
        ends.reset();
        BOOST_TEST(alive == 1);
    }
    BOOST_TEST(alive == 0);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(standard_streams_are_borrowed, Context, test::contexts)
{
    const int flags = ::fcntl(STDOUT_FILENO, F_GETFL);
    {
        Context context;
        zsync::pipe one = zsync::standard_output(context.executor());
        zsync::pipe two = zsync::standard_output(context.executor());
        BOOST_TEST(one.native_handle() == STDOUT_FILENO);
        reply told;
        one.async_write_some(asio::const_buffer(), told.handler());
        BOOST_TEST(context.run());
        BOOST_TEST(told.succeeded(), told);
        one.close();
        BOOST_TEST(two.is_open());
    }
    BOOST_TEST(::fcntl(STDOUT_FILENO, F_GETFL) == flags);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_borrowed_descriptor_is_read_without_changing_it, Context, test::contexts)
{
    // Standard input for a moment: a pipe that blocks.
    const test::descriptor saved(::dup(STDIN_FILENO));
    test::two_ends ends = test::make_pipe();
    BOOST_REQUIRE_EQUAL(::dup2(ends.first.get(), STDIN_FILENO), STDIN_FILENO);
    {
        Context context;
        zsync::pipe input = zsync::standard_input(context.executor());
        std::array<char, 8> data;
        reply told;
        input.async_read_some(asio::buffer(data), told.handler());
        context.settle();
        BOOST_TEST(told.calls == 0);
        BOOST_REQUIRE_EQUAL(::write(ends.second.get(), "x", 1), 1);
        BOOST_TEST(context.run());
        BOOST_TEST(told.succeeded(), told);
        BOOST_TEST((::fcntl(STDIN_FILENO, F_GETFL) & O_NONBLOCK) == 0);
        reply aborted;
        input.async_read_some(asio::buffer(data), aborted.handler());
        context.settle();
        input.close();
        BOOST_TEST(context.run());
        BOOST_TEST(aborted.failed_with(asio::error::operation_aborted), aborted);
    }
    BOOST_TEST(::fcntl(STDIN_FILENO, F_GETFD) >= 0);
    BOOST_REQUIRE_EQUAL(::dup2(saved.get(), STDIN_FILENO), STDIN_FILENO);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_duplicate_has_a_number_of_its_own, Context, test::contexts)
{
    Context context;
    test::two_ends ends = test::make_pipe();
    zsync::pipe copy = zsync::duplicate_pipe(context.executor(), ends.first.get());
    BOOST_TEST(copy.native_handle() != ends.first.get());
    copy.close();
    BOOST_TEST(::fcntl(ends.first.get(), F_GETFD) >= 0);
    BOOST_CHECK_THROW(zsync::duplicate_pipe(context.executor(), -1), boost::system::system_error);
}

// The turn of the one completes what the other waits for.
BOOST_AUTO_TEST_CASE(one_thread_waits_while_another_runs_its_blocking_context)
{
    zsync::blocking_context ctx;
    const test::leader other(ctx);
    auto [in, out] = zsync::make_pipe(ctx.get_executor());
    std::size_t moved = 0;
    for (int i = 0; i < 500; ++i)
    {
        char byte = 'x';
        moved += out.async_write_some(asio::buffer(&byte, 1), zsync::use_await);
        moved += in.async_read_some(asio::buffer(&byte, 1), zsync::use_await);
    }
    BOOST_TEST(moved == 1'000u);
}

BOOST_AUTO_TEST_SUITE_END()
