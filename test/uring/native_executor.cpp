// SPDX-License-Identifier: BSL-1.0
// Sockets that are native by their executor's type, in a program that does not know <zsync/drop_in.hpp>.
#include <zsync/uring/uring_context.hpp>

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>

#include <string>
#include <type_traits>

namespace
{

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

using native_executor = zsync::uring_context::native_executor_type;
using native_socket = tcp::socket::rebind_executor<native_executor>::other;
using native_acceptor = tcp::acceptor::rebind_executor<native_executor>::other;

static_assert(std::is_same_v<native_socket, asio::basic_stream_socket<tcp, native_executor>>);
static_assert(!std::is_same_v<native_executor, asio::io_context::executor_type>);
static_assert(std::is_nothrow_move_constructible_v<native_socket>);

// A native socket does not become a stock one: `tcp::socket s(std::move(native))` fails to compile, and must, since the
// stock one's service would know nothing of the ring. No constraint says so, because Asio declares that constructor for
// any executor that converts, and this one does: what fails is its definition, at socket_service's deleted operator&.
// That error is for a test of the build, which compiles the line and expects it to fail. This is as much as can be said
// here:
static_assert(std::is_convertible_v<native_executor, asio::any_io_executor>);
static_assert(std::is_constructible_v<tcp::socket, native_socket>);

constexpr std::chrono::seconds watchdog{10};

tcp::endpoint any_port()
{
    return {asio::ip::address_v4::loopback(), 0};
}

/// A context, and how many native operations it has started since last asked.
struct native_context : zsync::uring_context
{
    using zsync::uring_context::uring_context;

    bool has_ring()
    {
        if (engine() == zsync::engine_kind::uring)
            return true;
        BOOST_TEST_MESSAGE("skipped: native operations, since there is no ring: " << why());
        return false;
    }

    std::uint64_t native()
    {
        const std::uint64_t now = counters().operations_started;
        return now - std::exchange(seen_, now);
    }

    void run_all()
    {
        restart();
        run_for(watchdog);
        BOOST_TEST_REQUIRE(stopped(), "the context still has work after the watchdog's time");
    }

private:
    std::uint64_t seen_ = 0;
};

/// Talks over three operations of each side: accept and connect, write and read, and the end of stream.
template <class Socket, class Acceptor, class Executor>
void talk(native_context& ctx, const Executor& executor)
{
    Acceptor acceptor(executor, any_port());
    Socket client(executor);
    Socket server(executor);
    std::string received(5, ' ');
    int done = 0;
    acceptor.async_accept(
        [&](error_code error, Socket accepted)
        {
            BOOST_TEST(error == error_code());
            ++done;
            server = std::move(accepted);
            asio::async_read(server, asio::buffer(received),
                             [&](error_code read_error, std::size_t count)
                             {
                                 BOOST_TEST(read_error == error_code());
                                 BOOST_TEST(count == 5u);
                                 ++done;
                             });
        });
    client.async_connect(acceptor.local_endpoint(),
                         [&](error_code error)
                         {
                             BOOST_TEST(error == error_code());
                             ++done;
                             asio::async_write(client, asio::buffer("hello", 5),
                                               [&](error_code, std::size_t count) { done += count == 5; });
                         });
    ctx.run_all();
    BOOST_TEST(done == 4);
    BOOST_TEST(received == "hello");

    // Cancelled in flight, and closed by the peer.
    error_code ended;
    server.async_read_some(asio::buffer(received), [&](error_code error, std::size_t) { ended = error; });
    ctx.restart();
    ctx.poll();
    server.cancel();
    ctx.run_all();
    BOOST_TEST(ended == asio::error::operation_aborted);
    server.async_read_some(asio::buffer(received), [&](error_code error, std::size_t) { ended = error; });
    client.close();
    ctx.run_all();
    BOOST_TEST(ended == asio::error::eof);
}

} // namespace

BOOST_AUTO_TEST_SUITE(native_executor_suite)

BOOST_AUTO_TEST_CASE(its_sockets_and_acceptors_are_native)
{
    native_context ctx;
    talk<native_socket, native_acceptor>(ctx, ctx.native_executor());
    if (ctx.has_ring())
        BOOST_TEST(ctx.native() >= 6u);
}

BOOST_AUTO_TEST_CASE(local_sockets_are_native_too)
{
    using local_stream = asio::local::stream_protocol;
    using local_socket = asio::basic_stream_socket<local_stream, native_executor>;
    native_context ctx;
    local_socket a(ctx.native_executor());
    local_socket b(ctx.native_executor());
    asio::local::connect_pair(a, b);
    std::string received(5, ' ');
    std::size_t count = 0;
    b.async_read_some(asio::buffer(received), [&](error_code, std::size_t bytes) { count = bytes; });
    ctx.poll();
    a.write_some(asio::buffer("hello", 5));
    ctx.run_all();
    BOOST_TEST(count == 5u);
    if (ctx.has_ring())
        BOOST_TEST(ctx.native() == 1u);
}

BOOST_AUTO_TEST_CASE(stock_sockets_on_the_same_context_are_hosted)
{
    native_context ctx;
    talk<tcp::socket, tcp::acceptor>(ctx, asio::any_io_executor(ctx.get_executor()));
    talk<asio::basic_stream_socket<tcp, asio::io_context::executor_type>,
         asio::basic_socket_acceptor<tcp, asio::io_context::executor_type>>(ctx, ctx.get_executor());
    BOOST_TEST(ctx.native() == 0u);
    if (ctx.has_ring())
        BOOST_TEST(ctx.counters().reactor_runs > 0u);
}

BOOST_AUTO_TEST_CASE(both_kinds_accept_into_each_other)
{
    native_context ctx;
    native_acceptor from_native(ctx.native_executor(), any_port());
    tcp::acceptor from_stock(ctx, any_port());
    tcp::socket stock(ctx), stock_client(ctx);
    native_socket native(ctx.native_executor()), native_client(ctx.native_executor());
    int done = 0;
    const auto count = [&](error_code error) { done += !error; };
    from_native.async_accept(stock, count);
    from_stock.async_accept(native, count);
    stock_client.async_connect(from_native.local_endpoint(), count);
    native_client.async_connect(from_stock.local_endpoint(), count);
    ctx.run_all();
    BOOST_TEST(done == 4);
    if (ctx.has_ring())
        BOOST_TEST(ctx.native() == 2u);

    // A native one and a stock one, each reading on the same thread.
    char bytes[2] = {};
    std::string order;
    native.async_read_some(asio::buffer(bytes, 1), [&](error_code error, std::size_t) { done += !error; });
    stock.async_read_some(asio::buffer(bytes + 1, 1), [&](error_code error, std::size_t) { done += !error; });
    native_client.write_some(asio::buffer("n", 1));
    stock_client.write_some(asio::buffer("s", 1));
    ctx.run_all();
    BOOST_TEST(done == 6);
    BOOST_TEST(std::string(bytes, 2) == "ns");
    if (ctx.has_ring())
        BOOST_TEST(ctx.native() == 1u);
}

BOOST_AUTO_TEST_CASE(a_moved_native_socket_stays_native)
{
    native_context ctx;
    native_acceptor acceptor(ctx.native_executor(), any_port());
    native_socket client(ctx.native_executor());
    client.connect(acceptor.local_endpoint());
    native_socket server = acceptor.accept();
    char byte = 0;
    error_code ended = asio::error::fault;
    server.async_read_some(asio::buffer(&byte, 1), [&](error_code error, std::size_t) { ended = error; });
    ctx.poll();
    native_socket moved(std::move(server));
    client.write_some(asio::buffer("x", 1));
    ctx.run_all();
    BOOST_TEST(ended == error_code());
    BOOST_TEST(byte == 'x');

    // To another protocol, with the same executor.
    asio::generic::stream_protocol::socket::rebind_executor<native_executor>::other generic(std::move(moved));
    generic.async_receive(asio::buffer(&byte, 1), [&](error_code error, std::size_t) { ended = error; });
    client.write_some(asio::buffer("y", 1));
    ctx.run_all();
    BOOST_TEST(ended == error_code());
    BOOST_TEST(byte == 'y');
    if (ctx.has_ring())
        BOOST_TEST(ctx.native() == 2u);
}

BOOST_AUTO_TEST_CASE(the_native_executor_works_like_the_contexts_own)
{
    native_context ctx;
    const native_executor ex = ctx.native_executor();
    BOOST_TEST((ex == ctx.native_executor()));
    BOOST_TEST((&asio::query(ex, asio::execution::context) == &ctx));
    BOOST_TEST(!ex.running_in_this_thread());
    int runs = 0;
    asio::post(ex,
               [&]
               {
                   BOOST_TEST(ex.running_in_this_thread());
                   asio::dispatch(ex, [&] { ++runs; });
                   BOOST_TEST(runs == 1); // inside the context's thread, at once
                   asio::defer(ex, [&] { ++runs; });
                   BOOST_TEST(runs == 1);
               });
    ctx.run_all();
    BOOST_TEST(runs == 2);
    asio::steady_timer::rebind_executor<native_executor>::other timer(ex, std::chrono::milliseconds(1));
    timer.async_wait([&](error_code error) { runs += !error; });
    ctx.run_all();
    BOOST_TEST(runs == 3);
}

BOOST_AUTO_TEST_CASE(a_native_socket_may_die_in_the_contexts_destructor)
{
    auto ctx = std::make_unique<native_context>();
    asio::io_context others;
    tcp::socket peer(others);
    auto socket = std::make_shared<native_socket>(ctx->native_executor());
    {
        tcp::acceptor acceptor(others, any_port());
        socket->connect(acceptor.local_endpoint());
        acceptor.accept(peer);
    }
    const std::weak_ptr<native_socket> alive = socket;
    bool called = false;
    auto byte = std::make_shared<char>();
    auto& reading = *socket;
    reading.async_read_some(asio::buffer(byte.get(), 1),
                            [s = std::move(socket), byte, &called](error_code, std::size_t) { called = true; });
    ctx->poll();
    BOOST_TEST(!alive.expired());
    ctx.reset();
    BOOST_TEST(alive.expired());
    BOOST_TEST(!called);
}

BOOST_AUTO_TEST_SUITE_END()
