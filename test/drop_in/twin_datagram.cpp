// SPDX-License-Identifier: BSL-1.0
// Datagram, seqpacket and raw sockets do on a ring what they do on io_context.
#include <zsync/drop_in.hpp>

#include "twin.hpp"

#include <boost/asio/generic/datagram_protocol.hpp>
#include <boost/asio/generic/raw_protocol.hpp>
#include <boost/asio/generic/seq_packet_protocol.hpp>

#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>

#include <array>

#include <netinet/ip_icmp.h>

namespace
{

using namespace test;
using asio::ip::udp;
using local_datagram = asio::local::datagram_protocol;
using seq_packet = asio::generic::seq_packet_protocol;

/// Two UDP sockets, each bound to a port; connected to each other if asked.
struct udp_stage : basic_stage<udp::socket>
{
    explicit udp_stage(asio::io_context& ctx) : basic_stage(ctx), peer(others, loopback()) {}

    static udp::endpoint loopback() { return {asio::ip::address_v4::loopback(), 0}; }

    asio::io_context others;
    udp::socket peer;
    udp::endpoint local;
    udp::endpoint sender;
    udp::endpoint receiver = peer.local_endpoint();
    std::size_t size = 5; // of what is sent

    void open()
    {
        object.open(udp::v4());
        object.bind(loopback());
        local = object.local_endpoint();
    }

    void connect()
    {
        open();
        object.connect(peer.local_endpoint());
        peer.connect(object.local_endpoint());
    }

    void send_once()
    {
        if (first_time())
            peer.send_to(asio::buffer("hello", 5), object.local_endpoint());
    }

    /// So that the next operation is told that nobody is there.
    void lose_peer()
    {
        const auto nobody = peer.local_endpoint();
        peer.close();
        object.connect(nobody);
        object.send(asio::buffer("?", 1)); // what is in flight may have taken the error when this returns
    }

    asio::const_buffer payload() const { return asio::buffer(much.data(), size); }

    /// What the other side has got, and from whom.
    std::string received_by_peer()
    {
        if (!peer.is_open())
            return "";
        BOOST_TEST(wait_for_event(peer.native_handle(), POLLIN));
        std::string text(100, ' ');
        udp::endpoint from;
        text.resize(peer.receive_from(asio::buffer(text), from));
        return text + (from == local ? " from the object" : " from elsewhere");
    }
};

std::string with_sender(udp_stage& s)
{
    return s.text() + (s.sender == s.receiver        ? " from the other side"
                       : s.sender == udp::endpoint() ? " from nobody"
                                                     : " from elsewhere");
}

const member<udp_stage> udp_receives[] = {
    {"async_receive", [](udp_stage& s) { s.connect(); },
     [](udp_stage& s, handler h) { s.object.async_receive(asio::buffer(s.bytes), std::move(h)); },
     [](udp_stage& s) { s.send_once(); }, [](udp_stage& s) { s.lose_peer(); }},
    {"async_receive with message_peek", [](udp_stage& s) { s.connect(); },
     [](udp_stage& s, handler h)
     { s.object.async_receive(asio::buffer(s.bytes), asio::socket_base::message_peek, std::move(h)); },
     [](udp_stage& s) { s.send_once(); }, [](udp_stage& s) { s.lose_peer(); }},
    {"async_receive into nothing", [](udp_stage& s) { s.connect(); },
     [](udp_stage& s, handler h) { s.object.async_receive(asio::mutable_buffer(), std::move(h)); },
     [](udp_stage& s) { s.send_once(); }, [](udp_stage& s) { s.lose_peer(); }},
    {"async_receive of null_buffers", [](udp_stage& s) { s.connect(); },
     [](udp_stage& s, handler h) { s.object.async_receive(asio::null_buffers(), std::move(h)); },
     [](udp_stage& s) { s.send_once(); }, [](udp_stage& s) { s.lose_peer(); }},
    {"async_receive_from", [](udp_stage& s) { s.open(); },
     [](udp_stage& s, handler h) { s.object.async_receive_from(asio::buffer(s.bytes), s.sender, std::move(h)); },
     [](udp_stage& s) { s.send_once(); }, [](udp_stage& s) { s.lose_peer(); }, with_sender},
    {"async_receive_from into three buffers", [](udp_stage& s) { s.open(); },
     [](udp_stage& s, handler h)
     {
         char* const bytes = s.bytes.data();
         const std::array<asio::mutable_buffer, 3> buffers{asio::buffer(bytes, 1), asio::mutable_buffer(),
                                                           asio::buffer(bytes + 1, 20)};
         s.object.async_receive_from(buffers, s.sender, std::move(h));
     },
     [](udp_stage& s) { s.send_once(); }, [](udp_stage& s) { s.lose_peer(); }, with_sender},
    {"async_receive_from into a small buffer", [](udp_stage& s) { s.open(); },
     [](udp_stage& s, handler h) { s.object.async_receive_from(asio::buffer(s.bytes, 2), s.sender, std::move(h)); },
     [](udp_stage& s) { s.send_once(); }, nullptr, with_sender},
    {"async_receive_from of null_buffers", [](udp_stage& s) { s.open(); },
     [](udp_stage& s, handler h)
     {
         s.sender = s.receiver; // to be reset
         s.object.async_receive_from(asio::null_buffers(), s.sender, std::move(h));
     },
     [](udp_stage& s) { s.send_once(); }, [](udp_stage& s) { s.lose_peer(); }, with_sender},
    {"async_wait for reading", [](udp_stage& s) { s.open(); },
     [](udp_stage& s, handler h) { s.object.async_wait(asio::socket_base::wait_read, std::move(h)); },
     [](udp_stage& s) { s.send_once(); }, [](udp_stage& s) { s.lose_peer(); }},
    {.name = "async_wait for an error",
     .prepare = [](udp_stage& s) { s.open(); },
     .start = [](udp_stage& s, handler h) { s.object.async_wait(asio::socket_base::wait_error, std::move(h)); },
     .spoil = [](udp_stage& s) { s.lose_peer(); },
     .can_succeed = false},
};

/// There is always room on the way to a UDP socket.
member<udp_stage> udp_send(const char* name, void (*prepare)(udp_stage&), void (*start)(udp_stage&, handler),
                           void (*spoil)(udp_stage&))
{
    return {.name = name,
            .prepare = prepare,
            .start = start,
            .spoil = spoil,
            .seen = [](udp_stage& s) { return s.received_by_peer(); },
            .waits = false};
}

const member<udp_stage> udp_sends[] = {
    udp_send(
        "async_send", [](udp_stage& s) { s.connect(); },
        [](udp_stage& s, handler h) { s.object.async_send(s.payload(), std::move(h)); },
        [](udp_stage& s) { s.lose_peer(); }),
    udp_send(
        "async_send of nothing", [](udp_stage& s) { s.connect(); },
        [](udp_stage& s, handler h) { s.object.async_send(asio::const_buffer(), std::move(h)); },
        [](udp_stage& s) { s.lose_peer(); }),
    udp_send(
        "async_send_to", [](udp_stage& s) { s.open(); },
        [](udp_stage& s, handler h) { s.object.async_send_to(s.payload(), s.receiver, std::move(h)); },
        [](udp_stage& s) { s.size = 70'000; }), // more than a datagram carries
    udp_send(
        "async_send_to of three buffers", [](udp_stage& s) { s.open(); },
        [](udp_stage& s, handler h)
        {
            const std::array<asio::const_buffer, 3> buffers{asio::buffer("ab", 2), asio::const_buffer(),
                                                            asio::buffer("c", 1)};
            s.object.async_send_to(buffers, s.receiver, std::move(h));
        },
        [](udp_stage& s) {
            s.receiver = {asio::ip::address_v6::loopback(), 1};
        }), // not of this family
};

const member<udp_stage> udp_others[] = {
    {.name = "async_send of null_buffers",
     .prepare = [](udp_stage& s) { s.connect(); },
     .start = [](udp_stage& s, handler h) { s.object.async_send(asio::null_buffers(), std::move(h)); },
     .waits = false},
    {.name = "async_send_to of null_buffers",
     .prepare = [](udp_stage& s) { s.open(); },
     .start = [](udp_stage& s, handler h) { s.object.async_send_to(asio::null_buffers(), s.receiver, std::move(h)); },
     .waits = false},
    {.name = "async_wait for writing",
     .prepare = [](udp_stage& s) { s.open(); },
     .start = [](udp_stage& s, handler h) { s.object.async_wait(asio::socket_base::wait_write, std::move(h)); },
     .waits = false},
    {.name = "async_connect",
     .prepare = [](udp_stage& s) { s.open(); },
     .start = [](udp_stage& s, handler h) { s.object.async_connect(s.receiver, std::move(h)); },
     .spoil =
         [](udp_stage& s) {
             s.receiver = {asio::ip::address_v6::loopback(), 1};
         },
     .seen =
         [](udp_stage& s)
     {
         error_code error; // closed by now, in some situations
         return std::string(s.object.remote_endpoint(error) == s.receiver ? "connected" : "not connected");
     },
     .native = 0,
     .waits = false,
     .opens = true},
};

/// A connected pair of local sockets with messages.
template <class Protocol>
struct packet_stage : basic_stage<typename Protocol::socket>
{
    using basic_stage<typename Protocol::socket>::basic_stage;

    static constexpr bool is_seq_packet = std::is_same_v<Protocol, seq_packet>;
    int out_flags = -1;

    void connect()
    {
        auto pair = make_socket_pair(0, is_seq_packet ? SOCK_SEQPACKET : SOCK_DGRAM);
        if constexpr (is_seq_packet)
            this->object.assign(seq_packet(AF_UNIX, 0), pair.first.release());
        else
            this->object.assign(Protocol(), pair.first.release());
        this->other = std::move(pair.second);
    }

    void send_once()
    {
        if (this->first_time())
            BOOST_TEST(::send(this->other.get(), "hello", 5, 0) == 5);
    }
};

template <class S>
void connected(S& s)
{
    s.connect();
}

template <class S>
void connected_and_full(S& s)
{
    s.connect();
    s.object.set_option(asio::socket_base::send_buffer_size(8 * 1024));
    const std::string message(1024, 'f');
    while (::send(s.object.native_handle(), message.data(), message.size(), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
    {
    }
}

template <class S>
void sends(S& s)
{
    s.send_once();
}

template <class S>
void reads_all(S& s)
{
    drain(s.other.get());
}

template <class S>
void loses_peer(S& s)
{
    s.other.reset();
}

template <class S>
std::string with_flags(S& s)
{
    return s.text() + " flags " + std::to_string(s.out_flags);
}

/// What all sockets with messages have.
template <class S>
std::vector<member<S>> packet_members()
{
    using base = asio::socket_base;
    std::vector<member<S>> rows{
        {"async_send", connected_and_full<S>,
         [](S& s, handler h) { s.object.async_send(asio::buffer(s.bytes), 0, std::move(h)); }, reads_all<S>,
         loses_peer<S>},
        {"async_send of three buffers", connected_and_full<S>,
         [](S& s, handler h)
         {
             const char* const bytes = s.bytes.data();
             s.object.async_send(std::array<asio::const_buffer, 3>{asio::buffer(bytes, 1), asio::const_buffer(),
                                                                   asio::buffer(bytes, 20)},
                                 0, std::move(h));
         },
         reads_all<S>, loses_peer<S>},
        {"async_send of null_buffers", connected_and_full<S>,
         [](S& s, handler h) { s.object.async_send(asio::null_buffers(), 0, std::move(h)); }, reads_all<S>,
         loses_peer<S>},
        {"async_wait for writing", connected_and_full<S>,
         [](S& s, handler h) { s.object.async_wait(base::wait_write, std::move(h)); }, reads_all<S>, loses_peer<S>},
        {"async_wait for reading", connected<S>,
         [](S& s, handler h) { s.object.async_wait(base::wait_read, std::move(h)); }, sends<S>},
    };
    if constexpr (S::is_seq_packet)
    {
        rows.push_back({"async_receive", connected<S>,
                        [](S& s, handler h)
                        { s.object.async_receive(asio::buffer(s.bytes), s.out_flags, std::move(h)); },
                        sends<S>, loses_peer<S>, with_flags<S>});
        rows.push_back({"async_receive into a small buffer", connected<S>,
                        [](S& s, handler h)
                        { s.object.async_receive(asio::buffer(s.bytes, 2), 0, s.out_flags, std::move(h)); },
                        sends<S>, loses_peer<S>, with_flags<S>});
        rows.push_back({"async_receive into two buffers, with message_peek", connected<S>,
                        [](S& s, handler h)
                        {
                            char* const bytes = s.bytes.data();
                            s.object.async_receive(std::array<asio::mutable_buffer, 2>{asio::buffer(bytes, 2),
                                                                                       asio::buffer(bytes + 2, 20)},
                                                   base::message_peek, s.out_flags, std::move(h));
                        },
                        sends<S>, loses_peer<S>, with_flags<S>});
        rows.push_back({"async_receive of null_buffers", connected<S>,
                        [](S& s, handler h)
                        { s.object.async_receive(asio::null_buffers(), s.out_flags, std::move(h)); },
                        sends<S>, loses_peer<S>, with_flags<S>});
    }
    else
    {
        rows.push_back({"async_receive", connected<S>,
                        [](S& s, handler h) { s.object.async_receive(asio::buffer(s.bytes), std::move(h)); },
                        sends<S>});
        rows.push_back({"async_receive of null_buffers", connected<S>,
                        [](S& s, handler h) { s.object.async_receive(asio::null_buffers(), std::move(h)); }, sends<S>});
    }
    return rows;
}

/// A seqpacket listener with a name of the kernel's choice.
struct packet_acceptor_stage : basic_stage<asio::basic_socket_acceptor<seq_packet>>
{
    explicit packet_acceptor_stage(asio::io_context& ctx) : basic_stage(ctx), peer(ctx) {}

    seq_packet::socket peer;
    sockaddr_storage name{};
    socklen_t size = sizeof name;

    void listen()
    {
        const int made = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        const sockaddr any{AF_UNIX, {}};
        ::bind(made, &any, sizeof(sa_family_t));
        ::listen(made, 8);
        ::getsockname(made, reinterpret_cast<sockaddr*>(&name), &size);
        object.assign(seq_packet(AF_UNIX, 0), made);
    }

    void connect_once()
    {
        if (!first_time())
            return;
        other = descriptor(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
        BOOST_TEST(::connect(other.get(), reinterpret_cast<const sockaddr*>(&name), size) == 0);
    }
};

const member<packet_acceptor_stage> packet_accepts[] = {
    {"async_accept into a socket", [](packet_acceptor_stage& s) { s.listen(); },
     [](packet_acceptor_stage& s, handler h) { s.object.async_accept(s.peer, std::move(h)); },
     [](packet_acceptor_stage& s) { s.connect_once(); }, nullptr,
     [](packet_acceptor_stage& s) { return std::string(s.peer.is_open() ? "into a socket" : ""); }}};

/// A raw socket that pings itself, at an address of the loopback network that no other process uses.
struct icmp_stage : basic_stage<asio::ip::icmp::socket>
{
    using basic_stage::basic_stage;

    icmphdr ping{};
    asio::ip::icmp::endpoint sender;
    asio::ip::icmp::endpoint receiver{asio::ip::address_v4(0x7f00'0001u + (static_cast<unsigned>(::getpid()) << 4)), 0};

    static bool is_permitted()
    {
        const int made = ::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
        if (made >= 0)
            ::close(made);
        return made >= 0;
    }

    void open()
    {
        object.open(asio::ip::icmp::v4());
        object.bind(receiver);
        ping.type = ICMP_ECHO;
        ping.un.echo.id = static_cast<std::uint16_t>(::getpid());
        ping.checksum = static_cast<std::uint16_t>(~(ping.type + ping.un.echo.id));
    }
};

const member<icmp_stage> icmp_members[] = {
    {.name = "async_send_to",
     .prepare = [](icmp_stage& s) { s.open(); },
     .start = [](icmp_stage& s, handler h)
     { s.object.async_send_to(asio::buffer(&s.ping, sizeof s.ping), s.receiver, std::move(h)); },
     .spoil = [](icmp_stage& s) { s.receiver.address(asio::ip::address_v6::loopback()); },
     .waits = false},
    {.name = "async_receive_from",
     .prepare = [](icmp_stage& s) { s.open(); },
     .start = [](icmp_stage& s, handler h)
     { s.object.async_receive_from(asio::buffer(s.bytes), s.sender, std::move(h)); },
     .satisfy =
         [](icmp_stage& s)
     {
         if (s.first_time())
             s.object.send_to(asio::buffer(&s.ping, sizeof s.ping), s.receiver);
     },
     .seen = [](icmp_stage& s) { return std::string(s.sender == s.receiver ? "from itself" : "from elsewhere"); }},
};

} // namespace

namespace data = boost::unit_test::data;

BOOST_AUTO_TEST_SUITE(drop_in_twin_datagram)

BOOST_DATA_TEST_CASE(a_receiving_udp_socket, data::make(udp_receives), tested)
{
    check_twins(tested);
}

BOOST_DATA_TEST_CASE(a_sending_udp_socket, data::make(udp_sends), tested)
{
    check_twins(tested);
}

BOOST_DATA_TEST_CASE(a_udp_socket_otherwise, data::make(udp_others), tested)
{
    check_twins(tested);
}

BOOST_DATA_TEST_CASE(a_local_datagram_socket, data::make(packet_members<packet_stage<local_datagram>>()), tested)
{
    check_twins(tested);
}

BOOST_DATA_TEST_CASE(a_seq_packet_socket, data::make(packet_members<packet_stage<seq_packet>>()), tested)
{
    check_twins(tested);
}

BOOST_DATA_TEST_CASE(a_seq_packet_acceptor, data::make(packet_accepts), tested)
{
    check_twins(tested);
}

BOOST_DATA_TEST_CASE(a_raw_socket, data::make(icmp_members), tested)
{
    if (icmp_stage::is_permitted())
        check_twins(tested);
    else
        BOOST_TEST_MESSAGE("skipped: raw sockets are not permitted here");
}

BOOST_AUTO_TEST_SUITE_END()
