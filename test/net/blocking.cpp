// SPDX-License-Identifier: BSL-1.0
// Handles on a context whose operations are the system calls themselves: what is performed, and what is made to block.
#include <zsync/net.hpp>

#include <zsync/blocking/blocking_context.hpp>
#include <zsync/file.hpp>

#include "support/contexts.hpp"

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>

#include <array>
#include <string>

#include <fcntl.h>

namespace asio = boost::asio;
using boost::system::error_code;
using test::reply;

namespace
{

bool blocks(const zsync::handle& which)
{
    return (::fcntl(which.native_handle(), F_GETFL) & O_NONBLOCK) == 0;
}

using blocking = test::context_under_test<zsync::blocking_context>;

} // namespace

BOOST_AUTO_TEST_SUITE(net_blocking)

BOOST_AUTO_TEST_CASE(what_is_opened_here_blocks)
{
    blocking context;
    zsync::acceptor listener(context.ctx, zsync::endpoint("127.0.0.1", 0));
    zsync::stream client(context.ctx);
    reply connected;
    test::reply_with<zsync::stream> accepted;
    client.async_connect(listener.local_endpoint(), connected.handler());
    listener.async_accept(accepted.handler());
    BOOST_TEST(connected.calls == 0);
    BOOST_TEST(context.run());
    BOOST_TEST(connected.succeeded(), connected);
    BOOST_TEST(accepted.told.succeeded(), accepted.told);
    BOOST_TEST(blocks(listener));
    BOOST_TEST(blocks(client));
    BOOST_TEST(blocks(*accepted.value));
    const zsync::pipe_ends ends = zsync::make_pipe(context.executor());
    BOOST_TEST(blocks(ends.read_end));
}

BOOST_AUTO_TEST_CASE(a_transfer_is_performed_while_it_is_initiated)
{
    blocking context;
    auto [a, b] = zsync::make_stream_pair(context.executor());
    BOOST_TEST(blocks(a));
    std::array<char, 8> data{};
    reply wrote, read;
    a.async_write_some(asio::buffer("hello", 5), wrote.handler());
    b.async_read_some(asio::buffer(data), read.handler());
    BOOST_TEST(std::string(data.data(), 5) == "hello");
    BOOST_TEST(wrote.calls + read.calls == 0);
    BOOST_TEST(context.run());
    BOOST_TEST(wrote.bytes == 5u);
    BOOST_TEST(read.bytes == 5u);
}

BOOST_AUTO_TEST_CASE(the_end_of_the_stream_is_eof)
{
    blocking context;
    auto [a, b] = zsync::make_stream_pair(context.executor());
    a.close();
    char data = 0;
    reply read, wrote;
    b.async_read_some(asio::buffer(&data, 1), read.handler());
    b.async_write_some(asio::buffer(&data, 1), wrote.handler());
    BOOST_TEST(context.run());
    BOOST_TEST(read.failed_with(asio::error::eof), read);
    BOOST_TEST(wrote.failed_with(asio::error::broken_pipe), wrote);
}

BOOST_AUTO_TEST_CASE(files_and_closed_handles)
{
    blocking context;
    reply missing, closed;
    zsync::async_open(context.executor(), "/nowhere/at/all", zsync::open_flags::read_only,
                      [&](error_code ec, zsync::file) { missing.handler()(ec); });
    zsync::stream never(context.executor());
    char data = 0;
    never.async_read_some(asio::buffer(&data, 1), closed.handler());
    BOOST_TEST(context.run());
    BOOST_TEST(missing.failed_with(boost::system::errc::no_such_file_or_directory), missing);
    BOOST_TEST(closed.failed_with(asio::error::bad_descriptor), closed);
}

BOOST_AUTO_TEST_CASE(a_destroyed_context_destroys_the_handler)
{
    int alive = 0;
    {
        blocking context;
        auto [a, b] = zsync::make_stream_pair(context.executor());
        a.async_write_some(asio::buffer("x", 1),
                           [count = test::live_count(alive)](error_code, std::size_t) { BOOST_ERROR("called"); });
        BOOST_TEST(alive == 1);
    }
    BOOST_TEST(alive == 0);
}

BOOST_AUTO_TEST_SUITE_END()
