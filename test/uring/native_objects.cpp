// SPDX-License-Identifier: BSL-1.0
// Datagram and seqpacket sockets, descriptors and pipes that are native by their executor's type, in a program that
// does not know <zsync/drop_in.hpp>.
#include <zsync/uring/uring_context.hpp>

#include <support/descriptors.hpp>

#include <boost/asio.hpp>
#include <boost/asio/generic/seq_packet_protocol.hpp>
#include <boost/test/unit_test.hpp>

#include <string>

namespace
{

namespace asio = boost::asio;
using asio::ip::udp;
using boost::system::error_code;

using native_executor = zsync::uring_context::native_executor_type;
using udp_socket = udp::socket::rebind_executor<native_executor>::other;
using seq_packet_socket = asio::generic::seq_packet_protocol::socket::rebind_executor<native_executor>::other;
using stream_descriptor = asio::posix::stream_descriptor::rebind_executor<native_executor>::other;
using readable_pipe = asio::readable_pipe::rebind_executor<native_executor>::other;
using writable_pipe = asio::writable_pipe::rebind_executor<native_executor>::other;

constexpr std::chrono::seconds watchdog{10};

/// Runs what was started to its end, and checks how many of it were native operations.
void run(zsync::uring_context& ctx, std::uint64_t native)
{
    ctx.restart();
    ctx.run_for(watchdog);
    BOOST_TEST_REQUIRE(ctx.stopped(), "the context still has work after the watchdog's time");
    if (ctx.engine() == zsync::engine_kind::uring)
        BOOST_TEST(ctx.counters().operations_started == native);
    else
        BOOST_TEST_MESSAGE("skipped: native operations, since there is no ring: " << ctx.why());
}

/// What a handler was told.
struct answer
{
    error_code error = asio::error::fault;
    std::size_t bytes = 0;

    auto handler()
    {
        return [this](error_code ec, std::size_t count = 0)
        {
            error = ec;
            bytes = count;
        };
    }
};

} // namespace

BOOST_AUTO_TEST_SUITE(native_objects)

BOOST_AUTO_TEST_CASE(datagram_sockets_are_native)
{
    zsync::uring_context ctx;
    const udp::endpoint any(asio::ip::address_v4::loopback(), 0);
    udp_socket a(ctx.native_executor(), any);
    udp_socket b(ctx.native_executor(), any);
    std::string received(5, ' ');
    udp::endpoint sender;
    answer sent, got;
    b.async_receive_from(asio::buffer(received), sender, got.handler());
    a.async_send_to(asio::buffer("hello", 5), b.local_endpoint(), sent.handler());
    run(ctx, 2);
    BOOST_TEST(received == "hello");
    BOOST_TEST(got.bytes == 5u);
    BOOST_TEST(sent.bytes == 5u);
    BOOST_TEST(sender == a.local_endpoint());
}

BOOST_AUTO_TEST_CASE(seq_packet_sockets_are_native)
{
    zsync::uring_context ctx;
    auto ends = test::make_socket_pair(0, SOCK_SEQPACKET);
    const asio::generic::seq_packet_protocol local(AF_UNIX, 0);
    seq_packet_socket a(ctx.native_executor(), local, ends.first.release());
    seq_packet_socket b(ctx.native_executor(), local, ends.second.release());
    std::string received(3, ' ');
    int flags = 0;
    answer sent, got;
    b.async_receive(asio::buffer(received), flags, got.handler());
    a.async_send(asio::buffer("hello", 5), 0, sent.handler());
    run(ctx, 2);
    BOOST_TEST(received == "hel");
    BOOST_TEST((flags & MSG_TRUNC) != 0);
}

BOOST_AUTO_TEST_CASE(pipes_are_native)
{
    zsync::uring_context ctx;
    readable_pipe reader(ctx.native_executor());
    writable_pipe writer(ctx.native_executor());
    asio::connect_pipe(reader, writer);
    std::string received(5, ' ');
    answer wrote, got, ended;
    reader.async_read_some(asio::buffer(received), got.handler());
    writer.async_write_some(asio::buffer("hello", 5), wrote.handler());
    run(ctx, 2);
    BOOST_TEST(received == "hello");
    BOOST_TEST(wrote.bytes == 5u);
    reader.async_read_some(asio::buffer(received), ended.handler());
    writer.close();
    run(ctx, 3);
    BOOST_TEST(ended.error == asio::error::eof);
}

BOOST_AUTO_TEST_CASE(descriptors_are_native)
{
    zsync::uring_context ctx;
    auto ends = test::make_pipe();
    stream_descriptor reader(ctx.native_executor(), ends.first.release());
    std::string received(5, ' ');
    answer waited, got, ended;
    reader.async_wait(stream_descriptor::wait_read, waited.handler());
    ctx.poll();
    BOOST_TEST(::write(ends.second.get(), "hello", 5) == 5);
    run(ctx, 1);
    BOOST_TEST(waited.error == error_code());
    stream_descriptor moved(std::move(reader));
    moved.async_read_some(asio::buffer(received), got.handler());
    run(ctx, 2);
    BOOST_TEST(received == "hello");
    moved.async_read_some(asio::buffer(received), ended.handler());
    ctx.restart();
    ctx.poll();
    moved.cancel();
    run(ctx, 3);
    BOOST_TEST(ended.error == asio::error::operation_aborted);
}

BOOST_AUTO_TEST_CASE(stock_ones_on_the_same_context_are_hosted)
{
    zsync::uring_context ctx;
    asio::readable_pipe reader(ctx);
    asio::writable_pipe writer(ctx);
    asio::connect_pipe(reader, writer);
    udp::socket socket(ctx, udp::endpoint(asio::ip::address_v4::loopback(), 0));
    std::string received(5, ' ');
    answer got, from;
    reader.async_read_some(asio::buffer(received), got.handler());
    socket.async_wait(udp::socket::wait_read, from.handler());
    ctx.poll();
    writer.write_some(asio::buffer("hello", 5));
    socket.send_to(asio::buffer("?", 1), socket.local_endpoint());
    run(ctx, 0);
    BOOST_TEST(received == "hello");
    BOOST_TEST(from.error == error_code());
}

BOOST_AUTO_TEST_SUITE_END()
