// SPDX-License-Identifier: BSL-1.0
// What a program may rely on with stock datagram and seqpacket sockets beyond single operations: messages keep their
// bounds, their order, and come before what follows them.
#include <zsync/drop_in.hpp>

#include "contexts.hpp"
#include "sockets.hpp"

#include <support/descriptors.hpp>

#include <boost/asio/generic/datagram_protocol.hpp>
#include <boost/asio/generic/raw_protocol.hpp>
#include <boost/asio/generic/seq_packet_protocol.hpp>

#include <array>

namespace
{

using namespace test;
using asio::ip::udp;
using local_datagram = asio::local::datagram_protocol;
using local_stream = asio::local::stream_protocol;
using seq_packet = asio::generic::seq_packet_protocol;

udp::endpoint any_udp_port()
{
    return {asio::ip::address_v4::loopback(), 0};
}

/// Two UDP sockets: `a` is of the context under test, `b` of another that nobody runs.
struct pair
{
    explicit pair(context& under_test) : a(under_test.ctx(), any_udp_port()), b(others, any_udp_port()) {}

    asio::io_context others;
    udp::socket a;
    udp::socket b;
    char bytes[64] = {};

    void connect()
    {
        a.connect(b.local_endpoint());
        b.connect(a.local_endpoint());
    }

    /// What has come at `b`, message by message; waits for the first.
    std::vector<std::string> arrived()
    {
        std::vector<std::string> messages;
        wait_for_event(b.native_handle(), POLLIN);
        char message[256];
        for (ssize_t size; (size = ::recv(b.native_handle(), message, sizeof message, MSG_DONTWAIT)) >= 0;)
            messages.emplace_back(message, static_cast<std::size_t>(size));
        return messages;
    }
};

using messages = std::vector<std::string>;

} // namespace

BOOST_AUTO_TEST_SUITE(drop_in_datagram)

ON_ALL_CONTEXTS(a_message_without_content_is_a_message, under_test)
{
    pair p(under_test);
    p.connect();
    for (const bool late : {false, true})
    {
        const auto received = std::make_shared<outcome>();
        const auto from = std::make_shared<outcome>();
        udp::endpoint sender;
        p.a.async_receive(asio::buffer(p.bytes), record_in(received));
        p.a.async_receive_from(asio::buffer(p.bytes), sender, record_in(from));
        if (late)
            under_test.settle();
        p.b.send(asio::const_buffer());
        p.b.send(asio::const_buffer());
        under_test.run();
        for (const auto& told : {received, from})
        {
            BOOST_TEST(told->error == error_code());
            BOOST_TEST(told->bytes == 0u);
        }
        BOOST_TEST(sender == p.b.local_endpoint());
    }
    const auto sent = std::make_shared<outcome>();
    p.a.async_send(asio::const_buffer(), record_in(sent));
    p.a.async_send_to(std::array<asio::const_buffer, 2>(), p.b.local_endpoint(), record_in(sent));
    under_test.run();
    BOOST_TEST(sent->calls == 2);
    BOOST_TEST((p.arrived() == messages{"", ""}));
    under_test.check_native(6);
}

ON_ALL_CONTEXTS(what_does_not_fit_is_cut_off, under_test)
{
    pair p(under_test);
    const auto cut = std::make_shared<outcome>();
    const auto whole = std::make_shared<outcome>();
    const auto next = std::make_shared<outcome>();
    udp::endpoint sender;
    p.a.async_receive_from(asio::buffer(p.bytes, 2), sender, record_in(cut));
    p.a.async_receive_from(asio::buffer(p.bytes + 2, 2), sender, MSG_TRUNC, record_in(whole));
    p.a.async_receive_from(asio::buffer(p.bytes + 4, 9), sender, record_in(next));
    for (const char* message : {"abcde", "fghij", "klmno"})
        p.b.send_to(asio::buffer(message, 5), p.a.local_endpoint());
    under_test.run();
    BOOST_TEST(cut->bytes == 2u);
    BOOST_TEST(whole->bytes == 5u); // the kernel's answer to MSG_TRUNC: how long it was
    BOOST_TEST(next->bytes == 5u);
    BOOST_TEST(std::string(p.bytes, 9) == "abfgklmno");
    under_test.check_native(3);
}

ON_ALL_CONTEXTS(messages_keep_the_order_of_their_initiation, under_test)
{
    pair p(under_test);
    const auto told = std::make_shared<outcome>();
    const std::string letters = "abcdefgh";
    for (const char& letter : letters)
        p.a.async_send_to(asio::buffer(&letter, 1), p.b.local_endpoint(), record_in(told));
    under_test.run();
    BOOST_TEST(told->calls == 8);
    BOOST_TEST((p.arrived() == messages{"a", "b", "c", "d", "e", "f", "g", "h"}));

    std::string received(8, ' ');
    udp::endpoint sender;
    for (char& letter : received)
        p.a.async_receive_from(asio::buffer(&letter, 1), sender, record_in(told));
    under_test.settle();
    for (const char& letter : letters)
        p.b.send_to(asio::buffer(&letter, 1), p.a.local_endpoint());
    under_test.run();
    BOOST_TEST(told->calls == 16);
    BOOST_TEST(received == letters);
    under_test.check_native(16);
}

// As with Asio, which tries to send in the initiating function.
ON_ALL_CONTEXTS(a_message_goes_before_whatever_follows_it, under_test)
{
    const auto told = std::make_shared<outcome>();
    {
        pair p(under_test);
        const auto send = [&](const char* letter)
        { p.a.async_send_to(asio::buffer(letter, 1), p.b.local_endpoint(), record_in(told)); };
        send("1");
        p.a.send_to(asio::buffer("2", 1), p.b.local_endpoint());
        send("3");
        p.a.set_option(asio::ip::unicast::hops(3));
        send("4");
        p.a.connect(p.b.local_endpoint());
        send("5");
        p.a.send(asio::buffer("6", 1));
        send("7");
        p.a.async_connect(p.a.local_endpoint(), record_in(told));
        send("8");
        p.a.cancel();
        send("9");
        p.a.close();
        BOOST_TEST((p.arrived() == messages{"1", "2", "3", "4", "5", "6", "7", "8", "9"}));
        under_test.run();
    }
    BOOST_TEST(told->calls == 8);
    BOOST_TEST(told->error == error_code());
    under_test.check_native(7);
}

ON_ALL_CONTEXTS(a_connected_socket_is_told_that_nobody_is_there, under_test)
{
    pair p(under_test);
    p.connect();
    const auto received = std::make_shared<outcome>();
    p.a.async_receive(asio::buffer(p.bytes), record_in(received));
    under_test.settle();
    p.b.close();
    const auto sent = std::make_shared<outcome>();
    p.a.async_send(asio::buffer("?", 1), record_in(sent));
    under_test.run();
    BOOST_TEST(sent->error == error_code());
    BOOST_TEST(received->error == asio::error::connection_refused);

    p.a.send(asio::buffer("?", 1));
    BOOST_TEST(wait_for_event(p.a.native_handle(), POLLERR));
    p.a.async_send(asio::buffer("?", 1), record_in(sent));
    under_test.run();
    BOOST_TEST(sent->error == asio::error::connection_refused);
    under_test.check_native(3);
}

ON_ALL_CONTEXTS(a_server_answers_whoever_asks, under_test)
{
    // Many clients, one socket that receives from all and answers each.
    udp::socket server(under_test.ctx(), any_udp_port());
    asio::io_context others;
    std::vector<udp::socket> clients;
    for (int i = 0; i < 50; ++i)
    {
        clients.emplace_back(others, any_udp_port());
        clients.back().connect(server.local_endpoint());
        clients.back().send(asio::buffer(&i, sizeof i));
    }
    asio::co_spawn(
        under_test.ctx(),
        [&]() -> asio::awaitable<void>
        {
            for (int left = 50; left > 0; --left)
            {
                int number = 0;
                udp::endpoint client;
                co_await server.async_receive_from(asio::buffer(&number, sizeof number), client, asio::use_awaitable);
                number += 1000;
                co_await server.async_send_to(asio::buffer(&number, sizeof number), client, asio::use_awaitable);
            }
        },
        asio::detached);
    under_test.run();
    for (int i = 0; i < 50; ++i)
    {
        int answer = 0;
        clients[static_cast<std::size_t>(i)].receive(asio::buffer(&answer, sizeof answer));
        BOOST_TEST(answer == 1000 + i);
    }
    under_test.check_native(100);
}

ON_ALL_CONTEXTS(a_non_blocking_datagram_socket_still_waits_in_async_operations, under_test)
{
    pair p(under_test);
    p.a.non_blocking(true);
    error_code error;
    udp::endpoint sender;
    p.a.receive_from(asio::buffer(p.bytes), sender, 0, error);
    BOOST_TEST(error == asio::error::would_block);
    const auto told = std::make_shared<outcome>();
    p.a.async_receive_from(asio::buffer(p.bytes), sender, record_in(told));
    under_test.settle();
    BOOST_TEST(told->calls == 0);
    p.b.send_to(asio::buffer("abc", 3), p.a.local_endpoint());
    under_test.run();
    BOOST_TEST(told->error == error_code());
    BOOST_TEST(told->bytes == 3u);
    under_test.check_native();
}

// MSG_OOB means nothing to a datagram socket, and the kernel's answer is the handler's.
ON_ALL_CONTEXTS(an_urgent_datagram_is_refused, under_test)
{
    local_datagram::socket a(under_test.ctx());
    local_datagram::socket b(under_test.ctx());
    asio::local::connect_pair(a, b);
    char byte = 0;
    local_datagram::endpoint sender;
    const auto told = std::make_shared<outcome>();
    a.async_receive_from(asio::buffer(&byte, 1), sender, MSG_OOB, record_in(told));
    under_test.run();
    BOOST_TEST(told->error == asio::error::operation_not_supported);
    b.async_send(asio::buffer("!", 1), MSG_OOB, record_in(told));
    under_test.run();
    BOOST_TEST(told->error == asio::error::operation_not_supported);
    under_test.check_native(2);
}

ON_ALL_CONTEXTS(a_local_datagram_tells_its_sender, under_test)
{
    asio::io_context others;
    local_datagram::socket a(under_test.ctx(), local_datagram());
    local_datagram::socket named(others, local_datagram());
    local_datagram::socket nameless(others, local_datagram());
    // Names of the kernel's choice.
    const sockaddr any{AF_UNIX, {}};
    BOOST_TEST(::bind(a.native_handle(), &any, sizeof(sa_family_t)) == 0);
    BOOST_TEST(::bind(named.native_handle(), &any, sizeof(sa_family_t)) == 0);
    char bytes[8];
    for (auto* const from : {&named, &nameless})
    {
        local_datagram::endpoint sender("preset");
        const auto told = std::make_shared<outcome>();
        a.async_receive_from(asio::buffer(bytes), sender, record_in(told));
        under_test.settle();
        from->send_to(asio::buffer("hello", 5), a.local_endpoint());
        under_test.run();
        BOOST_TEST(told->bytes == 5u);
        BOOST_TEST((sender.path() == from->local_endpoint().path()));
    }
    under_test.check_native(2);
}

ON_ALL_CONTEXTS(a_datagram_socket_moves_converts_and_is_adopted, under_test)
{
    pair p(under_test);
    p.connect();
    const auto told = std::make_shared<outcome>();
    const auto expect = [&](auto& socket)
    {
        *told = {};
        socket.async_receive(asio::buffer(p.bytes), record_in(told));
        under_test.settle();
        BOOST_TEST(told->calls == 0);
        p.b.send(asio::buffer("abc", 3));
        under_test.run();
        BOOST_TEST(told->bytes == 3u);
    };
    using io_socket = udp::socket::rebind_executor<asio::io_context::executor_type>::other;
    udp::socket moved(std::move(p.a));
    BOOST_TEST(!p.a.is_open());
    expect(moved);
    udp::socket adopted(under_test.ctx(), udp::v4(), moved.release());
    expect(adopted);
    io_socket with_type(under_test.ctx(), udp::v4(), adopted.release());
    udp::socket erased(std::move(with_type)); // to any_io_executor
    expect(erased);
    asio::generic::datagram_protocol::socket generic(std::move(erased));
    expect(generic);
    under_test.check_native(4);
}

ON_ALL_CONTEXTS(records_keep_their_bounds, under_test)
{
    auto ends = make_socket_pair(0, SOCK_SEQPACKET);
    seq_packet::socket a(under_test.ctx(), seq_packet(AF_UNIX, 0), ends.first.release());
    seq_packet::socket b(under_test.ctx(), seq_packet(AF_UNIX, 0), ends.second.release());
    const auto told = std::make_shared<outcome>();
    char bytes[8] = {};
    int flags = -1;
    b.async_send(asio::buffer("abcdef", 6), 0, record_in(told));
    b.async_send(asio::buffer("gh", 2), 0, record_in(told));
    under_test.run();
    a.async_receive(asio::buffer(bytes, 3), flags, record_in(told));
    under_test.run();
    BOOST_TEST(told->bytes == 3u);
    BOOST_TEST((flags & MSG_TRUNC) != 0);
    a.async_receive(asio::buffer(bytes), flags, record_in(told));
    under_test.run();
    BOOST_TEST(told->bytes == 2u);
    BOOST_TEST((flags & MSG_TRUNC) == 0);
    b.close();
    a.async_receive(asio::buffer(bytes), flags, record_in(told));
    under_test.run();
    BOOST_TEST(told->error == error_code()); // no eof: only streams have one
    BOOST_TEST(told->bytes == 0u);
    under_test.check_native(5);
}

// Descriptors travel as Asio programs send them: by system calls on native_handle(), when async_wait says so.
template <class Protocol>
void pass_a_descriptor(context& under_test)
{
    typename Protocol::socket a(under_test.ctx());
    typename Protocol::socket b(under_test.ctx());
    asio::local::connect_pair(a, b);
    auto ends = make_pipe();

    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    char byte = 'd';
    iovec piece{&byte, 1};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;

    descriptor received;
    a.async_wait(asio::socket_base::wait_read,
                 [&](error_code error)
                 {
                     BOOST_TEST(error == error_code());
                     BOOST_TEST(::recvmsg(a.native_handle(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) == 1);
                     int fd = -1;
                     std::memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
                     received = descriptor(fd);
                 });
    under_test.settle();
    b.async_wait(asio::socket_base::wait_write,
                 [&](error_code error)
                 {
                     BOOST_TEST(error == error_code());
                     msghdr sent = message;
                     cmsghdr* const header = CMSG_FIRSTHDR(&sent);
                     header->cmsg_level = SOL_SOCKET;
                     header->cmsg_type = SCM_RIGHTS;
                     header->cmsg_len = CMSG_LEN(sizeof(int));
                     const int fd = ends.second.get();
                     std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
                     BOOST_TEST(::sendmsg(b.native_handle(), &sent, MSG_DONTWAIT) == 1);
                     std::memset(control, 0, sizeof control);
                 });
    under_test.run();
    BOOST_TEST_REQUIRE(received.get() >= 0);
    ends.second.reset();
    asio::writable_pipe writer(under_test.ctx(), received.release());
    const auto told = std::make_shared<outcome>();
    writer.async_write_some(asio::buffer("hello", 5), record_in(told));
    under_test.run();
    BOOST_TEST(told->bytes == 5u);
    char bytes[8];
    BOOST_TEST(::read(ends.first.get(), bytes, sizeof bytes) == 5);
    under_test.check_native(3);
}

ON_ALL_CONTEXTS(descriptors_travel_over_a_local_stream, under_test)
{
    pass_a_descriptor<local_stream>(under_test);
}

ON_ALL_CONTEXTS(descriptors_travel_in_a_local_datagram, under_test)
{
    pass_a_descriptor<local_datagram>(under_test);
}

// A native receive asks for no ancillary data: a descriptor that comes along is closed, and nobody gets it.
ON_ALL_CONTEXTS(a_receive_drops_descriptors_that_come_along, under_test)
{
    auto ends = make_socket_pair(0, SOCK_SEQPACKET);
    seq_packet::socket a(under_test.ctx(), seq_packet(AF_UNIX, 0), ends.first.release());
    auto pipe_ends = make_pipe();
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    char byte = 'd';
    iovec piece{&byte, 1};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    const int fd = pipe_ends.second.get();
    std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
    BOOST_TEST(::sendmsg(ends.second.get(), &message, 0) == 1);
    pipe_ends.second.reset();

    int flags = 0;
    const auto told = std::make_shared<outcome>();
    a.async_receive(asio::buffer(&byte, 1), flags, record_in(told));
    under_test.run();
    BOOST_TEST(told->bytes == 1u);
    BOOST_TEST((flags & MSG_CTRUNC) != 0);
    char nothing;
    BOOST_TEST(::read(pipe_ends.first.get(), &nothing, 1) == 0); // no writer is left
    under_test.check_native();
}

BOOST_AUTO_TEST_SUITE_END()
