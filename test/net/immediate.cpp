// SPDX-License-Identifier: BSL-1.0
// Handlers with an immediate executor: called within the initiating function if the operation completes there.
#include <zsync/net/stream.hpp>

#include <zsync/blocking/blocking_context.hpp>
#include <zsync/core/inline_executor.hpp>
#include <zsync/net/acceptor.hpp>

#include "support/contexts.hpp"
#include "support/descriptors.hpp"

#include <boost/test/unit_test.hpp>

#if __has_include(<boost/asio/bind_immediate_executor.hpp>) // Boost 1.82
#    include "support/at_once.hpp"

#    include <boost/asio.hpp>

#    include <array>
#    include <stdexcept>
#    include <utility>

namespace asio = boost::asio;
using boost::system::error_code;
using test::at_once;
using test::reply;

namespace
{

struct scene
{
    std::pair<zsync::stream, zsync::stream> ends;
    std::array<char, 64> bytes{};
    reply told;

    explicit scene(const asio::any_io_executor& executor) : ends(zsync::make_stream_pair(executor)) {}

    void send(std::string_view text)
    {
        BOOST_REQUIRE_EQUAL(::send(ends.second.native_handle(), text.data(), text.size(), MSG_NOSIGNAL),
                            static_cast<ssize_t>(text.size()));
    }
};

} // namespace

BOOST_AUTO_TEST_SUITE(net_immediate)

BOOST_AUTO_TEST_CASE_TEMPLATE(a_transfer_that_need_not_wait_completes_inside_its_initiating_function, Context,
                              test::contexts)
{
    Context on;
    scene s(on.executor());
    s.ends.first.async_write_some(asio::buffer("hello", 5), at_once(s.told));
    BOOST_TEST(s.told.succeeded(), s.told);
    reply read;
    s.ends.second.async_read_some(asio::buffer(s.bytes), at_once(read));
    BOOST_TEST(read.succeeded(), read);
    BOOST_TEST(read.bytes == 5u);
    BOOST_TEST(on.run());
    BOOST_TEST(read.calls == 1);

    // The place of the reader is free again.
    s.ends.first.async_write_some(asio::buffer("more", 4), at_once(s.told));
    read = {};
    s.ends.second.async_read_some(asio::buffer(s.bytes), at_once(read));
    BOOST_TEST(read.bytes == 4u);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(one_that_has_to_wait_is_queued_as_ever, Context, test::contexts)
{
    Context on;
    scene s(on.executor());
    s.ends.first.async_read_some(asio::buffer(s.bytes), at_once(s.told));
    BOOST_TEST(s.told.calls == 0);
    on.settle();
    s.send("hello");
    BOOST_TEST(s.told.calls == 0);
    BOOST_TEST(on.run());
    BOOST_TEST(s.told.succeeded(), s.told);
    BOOST_TEST(s.told.bytes == 5u);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(failures_and_empty_transfers_are_told_at_once, Context, test::contexts)
{
    Context on;
    scene s(on.executor());
    s.ends.first.async_write_some(asio::const_buffer(), at_once(s.told));
    BOOST_TEST(s.told.succeeded(), s.told);

    reply first;
    s.ends.first.async_read_some(asio::buffer(s.bytes), first.handler());
    reply second;
    s.ends.first.async_read_some(asio::buffer(s.bytes), at_once(second));
    BOOST_TEST(second.failed_with(asio::error::already_started), second);

    s.ends.first.close();
    reply closed;
    s.ends.first.async_read_some(asio::buffer(s.bytes), at_once(closed));
    BOOST_TEST(closed.failed_with(asio::error::bad_descriptor), closed);
    BOOST_TEST(on.run());
    BOOST_TEST(first.failed_with(asio::error::operation_aborted), first);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_handler_with_an_executor_of_its_own_goes_on_there, Context, test::contexts)
{
    Context on;
    scene s(on.executor());
    asio::io_context own;
    s.ends.first.async_write_some(asio::buffer("hello", 5), asio::bind_executor(own, at_once(s.told)));
    BOOST_TEST(s.told.calls == 0);
    own.poll();
    BOOST_TEST(s.told.succeeded(), s.told);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(what_the_handler_throws_comes_out_of_the_initiating_function, Context, test::contexts)
{
    Context on;
    scene s(on.executor());
    const auto start = [&]
    {
        s.ends.first.async_write_some(asio::buffer("hello", 5),
                                      asio::bind_immediate_executor(zsync::inline_executor(),
                                                                    [](error_code, std::size_t)
                                                                    { throw std::runtime_error("the handler's"); }));
    };
    BOOST_CHECK_THROW(start(), std::runtime_error);
    s.ends.first.async_write_some(asio::buffer("more", 4), at_once(s.told));
    BOOST_TEST(s.told.succeeded(), s.told);
    BOOST_TEST(on.run());
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_context_that_ends_destroys_the_handler_of_what_waits, Context, test::contexts)
{
    int alive = 0;
    int calls = 0;
    {
        Context on;
        scene s(on.executor());
        s.ends.first.async_read_some(
            asio::buffer(s.bytes),
            asio::bind_immediate_executor(zsync::inline_executor(), [&calls, count = test::live_count(alive)](
                                                                        error_code, std::size_t) { ++calls; }));
        BOOST_TEST(alive == 1);
    }
    BOOST_TEST(alive == 0);
    BOOST_TEST(calls == 0);
}

BOOST_AUTO_TEST_CASE(on_a_blocking_context_everything_completes_inside)
{
    zsync::blocking_context ctx;
    zsync::acceptor listener(ctx, zsync::endpoint("127.0.0.1", 0));
    zsync::stream client(ctx);
    reply connected;
    client.async_connect(listener.local_endpoint(), at_once(connected));
    BOOST_TEST(connected.succeeded(), connected);
    int accepted = 0;
    listener.async_accept(asio::bind_immediate_executor(zsync::inline_executor(), [&](error_code ec, zsync::stream peer)
                                                        { accepted += !ec && peer.is_open(); }));
    BOOST_TEST(accepted == 1);
}

BOOST_AUTO_TEST_SUITE_END()

#else

BOOST_AUTO_TEST_CASE(net_immediate)
{
    BOOST_TEST_MESSAGE("skipped: immediate executors, which Boost has since 1.82");
}

#endif
