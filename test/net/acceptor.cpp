// SPDX-License-Identifier: BSL-1.0
#include <zsync/net/acceptor.hpp>

#include "net/connect_to.hpp"
#include "support/contexts.hpp"
#include "support/descriptors.hpp"
#include "support/no_descriptors_left.hpp"

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using test::connect_to;
using test::reply;
using zsync::endpoint;
using accepted = test::reply_with<zsync::stream>;

namespace
{

const endpoint any_port("127.0.0.1", 0);

} // namespace

BOOST_AUTO_TEST_SUITE(net_acceptor)

BOOST_AUTO_TEST_CASE_TEMPLATE(accepts_a_connection_as_a_stream, Context, test::contexts)
{
    Context context;
    zsync::acceptor listener(context.ctx, any_port);
    BOOST_TEST(listener.local_endpoint().port() != 0);
    accepted got;
    listener.async_accept(got.handler());
    context.settle();
    BOOST_TEST(got.told.calls == 0);
    const test::descriptor peer = connect_to(listener.local_endpoint());
    BOOST_TEST(context.run());
    BOOST_TEST(got.told.succeeded(), got.told);
    BOOST_TEST((got.value->get_executor() == context.executor()));
    BOOST_TEST((::fcntl(got.value->native_handle(), F_GETFD) & FD_CLOEXEC) != 0);
    BOOST_TEST((::fcntl(got.value->native_handle(), F_GETFL) & O_NONBLOCK) != 0);
    reply wrote;
    got.value->async_write_some(asio::buffer("x", 1), wrote.handler());
    BOOST_TEST(context.run());
    char byte = 0;
    BOOST_TEST(::recv(peer.get(), &byte, 1, 0) == 1);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(accepts_local_connections, Context, test::contexts)
{
    Context context;
    std::string name(1, '\0'); // an abstract one. In steps: g++ 12 warns of the sum, falsely (GCC bug 105651)
    name += "zsync.test.acceptor.";
    name += std::to_string(::getpid());
    zsync::acceptor listener(context.executor(), endpoint::local(name));
    accepted got;
    listener.async_accept(got.handler());
    const test::descriptor peer = connect_to(endpoint::local(name));
    BOOST_TEST(context.run());
    BOOST_TEST(got.told.succeeded(), got.told);
    BOOST_TEST((got.value->core()->kind() == zsync::descriptor_kind::local_socket));
}

BOOST_AUTO_TEST_CASE_TEMPLATE(the_stream_may_have_another_executor, Context, test::contexts)
{
    Context context;
    asio::io_context other;
    zsync::acceptor listener(context.executor(), any_port);
    accepted got;
    listener.async_accept(other.get_executor(), got.handler());
    const test::descriptor peer = connect_to(listener.local_endpoint());
    BOOST_TEST(context.run());
    BOOST_TEST(got.told.succeeded(), got.told);
    BOOST_TEST((&got.value->core()->context() == &other));
    got.value.reset();
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_port_in_use_is_an_error, Context, test::contexts)
{
    Context context;
    zsync::acceptor listener(context.executor(), any_port);
    zsync::acceptor second(context.executor());
    error_code ec;
    second.listen_on(listener.local_endpoint(), 5, ec);
    BOOST_TEST(ec == asio::error::address_in_use);
    BOOST_TEST(!second.is_open());
    BOOST_CHECK_THROW(zsync::acceptor(context.executor(), listener.local_endpoint()), boost::system::system_error);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(without_descriptors_left_the_connection_waits, Context, test::contexts)
{
    Context context;
    zsync::acceptor listener(context.executor(), any_port);
    const test::descriptor peer = connect_to(listener.local_endpoint());
    accepted first, second;
    // The engine has what it needs before the descriptors run out.
    reply readable;
    listener.async_wait(zsync::acceptor::wait_read, readable.handler());
    BOOST_TEST(context.run());
    BOOST_TEST(readable.succeeded(), readable);
    std::optional<test::no_descriptors_left> none(std::in_place);
    listener.async_accept(first.handler());
    const bool ended = context.run();
    none.reset();
    BOOST_TEST(ended);
    BOOST_TEST(first.told.failed_with(asio::error::no_descriptors), first.told);
    BOOST_TEST(!first.value->is_open());
    listener.async_accept(second.handler());
    BOOST_TEST(context.run());
    BOOST_TEST(second.told.succeeded(), second.told);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(each_type_of_cancellation_ends_an_accept, Context, test::contexts)
{
    for (const auto type :
         {asio::cancellation_type::terminal, asio::cancellation_type::partial, asio::cancellation_type::total})
    {
        Context context;
        zsync::acceptor listener(context.executor(), any_port);
        accepted before, got;
        asio::cancellation_signal early, signal;
        listener.async_accept(asio::bind_cancellation_slot(early.slot(), before.handler()));
        early.emit(type);
        BOOST_TEST(context.run());
        BOOST_TEST(before.told.failed_with(asio::error::operation_aborted), before.told);
        listener.async_accept(asio::bind_cancellation_slot(signal.slot(), got.handler()));
        context.settle();
        signal.emit(type);
        BOOST_TEST(context.run());
        BOOST_TEST(got.told.failed_with(asio::error::operation_aborted), got.told);
        BOOST_TEST(!got.value->is_open());
    }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(closing_aborts_every_accept, Context, test::contexts)
{
    Context context;
    zsync::acceptor listener(context.executor(), any_port);
    accepted one, two, late;
    listener.async_accept(one.handler());
    listener.async_accept(two.handler());
    context.settle();
    listener.close();
    listener.async_accept(late.handler());
    BOOST_TEST(context.run());
    BOOST_TEST(one.told.failed_with(asio::error::operation_aborted), one.told);
    BOOST_TEST(two.told.failed_with(asio::error::operation_aborted), two.told);
    BOOST_TEST(late.told.failed_with(asio::error::bad_descriptor), late.told);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_destroyed_context_closes_what_was_accepted, Context, test::contexts)
{
    int alive = 0;
    std::optional<test::descriptor> peer;
    {
        auto context = std::make_unique<Context>();
        auto listener = std::make_shared<zsync::acceptor>(context->executor(), any_port);
        listener->async_accept([listener, count = test::live_count(alive)](error_code, zsync::stream)
                               { BOOST_ERROR("called"); });
        context->settle();
        peer = connect_to(listener->local_endpoint());
        listener.reset();
        BOOST_TEST(alive == 1);
    }
    BOOST_TEST(alive == 0);
    char byte = 0;
    BOOST_TEST(::recv(peer->get(), &byte, 1, 0) <= 0); // ended, or reset: not left open
}

BOOST_AUTO_TEST_SUITE_END()
