// SPDX-License-Identifier: BSL-1.0
// Stream sockets and acceptors, tcp and local, do on a ring what they do on io_context.
#include <zsync/drop_in.hpp>

#include "twin.hpp"

#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>

#include <array>

namespace
{

using namespace test;
using local_stream = asio::local::stream_protocol;

/// A connected stream socket; `other` is its peer.
template <class Protocol>
struct stream_stage : basic_stage<typename Protocol::socket>
{
    using basic_stage<typename Protocol::socket>::basic_stage;

    void connect()
    {
        if constexpr (std::is_same_v<Protocol, tcp>)
        {
            loopback_listener listener;
            this->other = descriptor(listener.connect().release());
            const int accepted = ::accept4(listener.socket.get(), nullptr, nullptr, SOCK_CLOEXEC);
            this->object.assign(tcp::v4(), accepted);
        }
        else
        {
            auto pair = make_socket_pair();
            this->object.assign(Protocol(), pair.first.release());
            this->other = std::move(pair.second);
        }
    }

    void send_once()
    {
        if (this->first_time())
            BOOST_TEST(::send(this->other.get(), "hello", 5, 0) == 5);
    }

    /// So that the next operation of the object fails: the peer resets, or is gone.
    void lose_peer()
    {
        const linger hard{1, 0};
        ::setsockopt(this->other.get(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
        this->other.reset();
        BOOST_TEST(wait_for_event(this->object.native_handle(), POLLHUP));
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
    fill(s.object.native_handle());
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
    s.lose_peer();
}

template <class S>
std::vector<member<S>> stream_members()
{
    return {
        {"async_read_some", connected<S>,
         [](S& s, handler h) { s.object.async_read_some(asio::buffer(s.bytes), std::move(h)); }, sends<S>,
         loses_peer<S>},
        {"async_read_some into three buffers", connected<S>,
         [](S& s, handler h)
         {
             char* const bytes = s.bytes.data();
             s.object.async_read_some(std::array<asio::mutable_buffer, 3>{asio::buffer(bytes, 1),
                                                                          asio::mutable_buffer(),
                                                                          asio::buffer(bytes + 1, 20)},
                                      std::move(h));
         },
         sends<S>, loses_peer<S>},
        {.name = "async_read_some into nothing",
         .prepare = connected<S>,
         .start = [](S& s, handler h) { s.object.async_read_some(asio::mutable_buffer(), std::move(h)); },
         .native = 0,
         .waits = false},
        {"async_receive with message_peek", connected<S>,
         [](S& s, handler h)
         { s.object.async_receive(asio::buffer(s.bytes), asio::socket_base::message_peek, std::move(h)); },
         sends<S>, loses_peer<S>},
        {"async_receive of null_buffers", connected<S>,
         [](S& s, handler h) { s.object.async_receive(asio::null_buffers(), std::move(h)); }, sends<S>, loses_peer<S>},
        {"async_wait for reading", connected<S>,
         [](S& s, handler h) { s.object.async_wait(asio::socket_base::wait_read, std::move(h)); }, sends<S>,
         loses_peer<S>},
        {"async_write_some", connected_and_full<S>,
         [](S& s, handler h) { s.object.async_write_some(asio::buffer(s.bytes), std::move(h)); }, reads_all<S>,
         loses_peer<S>},
        {"async_write_some of three buffers", connected_and_full<S>,
         [](S& s, handler h)
         {
             const char* const bytes = s.bytes.data();
             s.object.async_write_some(std::array<asio::const_buffer, 3>{asio::buffer(bytes, 1), asio::const_buffer(),
                                                                         asio::buffer(bytes, 20)},
                                       std::move(h));
         },
         reads_all<S>, loses_peer<S>},
        {.name = "async_write_some with room",
         .prepare = connected<S>,
         .start = [](S& s, handler h) { s.object.async_write_some(asio::buffer(s.bytes), std::move(h)); },
         .seen =
             [](S& s)
         {
             std::string there;
             drain(s.other.get(), &there);
             return there;
         },
         .waits = false},
        {"async_send with message_do_not_route", connected_and_full<S>,
         [](S& s, handler h)
         { s.object.async_send(asio::buffer(s.bytes), asio::socket_base::message_do_not_route, std::move(h)); },
         reads_all<S>, loses_peer<S>},
        {"async_send of null_buffers", connected_and_full<S>,
         [](S& s, handler h) { s.object.async_send(asio::null_buffers(), std::move(h)); }, reads_all<S>, loses_peer<S>},
        {"async_wait for writing", connected_and_full<S>,
         [](S& s, handler h) { s.object.async_wait(asio::socket_base::wait_write, std::move(h)); }, reads_all<S>,
         loses_peer<S>},
        {"async_wait for an error", connected<S>,
         [](S& s, handler h) { s.object.async_wait(asio::socket_base::wait_error, std::move(h)); },
         // A local socket has no urgent data everywhere; the end of both directions is an event to all.
         [](S& s)
         {
             if (s.first_time())
             {
                 ::shutdown(s.other.get(), SHUT_RDWR);
                 ::shutdown(s.object.native_handle(), SHUT_RDWR);
             }
         },
         loses_peer<S>},
    };
}

/// A listener, and who connects to it.
template <class Protocol>
struct acceptor_stage : basic_stage<typename Protocol::acceptor>
{
    explicit acceptor_stage(asio::io_context& ctx)
        : basic_stage<typename Protocol::acceptor>(ctx), peer(ctx), elsewhere(others.get_executor())
    {
    }

    asio::io_context others;
    typename Protocol::socket peer;
    typename Protocol::endpoint remote;
    asio::any_io_executor elsewhere;

    void listen()
    {
        if constexpr (std::is_same_v<Protocol, tcp>)
        {
            loopback_listener listener;
            this->object.assign(tcp::v4(), listener.socket.release());
        }
        else
        {
            this->object.assign(Protocol(), local_listener());
        }
    }

    /// Local: with a name of the kernel's choice.
    static int local_listener()
    {
        const int made = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        const sockaddr name{AF_UNIX, {}};
        ::bind(made, &name, sizeof(sa_family_t));
        ::listen(made, 8);
        return made;
    }

    void connect_once()
    {
        if (!this->first_time())
            return;
        sockaddr_storage name;
        socklen_t size = sizeof name;
        ::getsockname(this->object.native_handle(), reinterpret_cast<sockaddr*>(&name), &size);
        this->other = descriptor(::socket(name.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
        BOOST_TEST(::connect(this->other.get(), reinterpret_cast<const sockaddr*>(&name), size) == 0);
    }

    void stop_listening()
    {
        this->object.close();
        if constexpr (std::is_same_v<Protocol, tcp>)
            this->object.open(tcp::v4());
        else
            this->object.open(Protocol());
    }
};

template <class S>
void listens(S& s)
{
    s.listen();
}

template <class S>
void connects(S& s)
{
    s.connect_once();
}

template <class S>
void stops_listening(S& s)
{
    s.stop_listening();
}

/// The peer that an accept filled in, and the endpoint it gave.
template <class S>
std::string accepted(S& s)
{
    std::string text = s.peer.is_open() ? "into a socket" : "";
    if (s.remote.size() > 0 && s.other.get() >= 0)
    {
        auto name = s.remote;
        auto size = static_cast<socklen_t>(name.capacity());
        ::getsockname(s.other.get(), name.data(), &size);
        name.resize(size);
        text += name == s.remote ? ", from the other side" : ", from elsewhere";
    }
    return text;
}

template <class S>
std::vector<member<S>> acceptor_members()
{
    const auto row = [](const char* name, void (*start)(S&, handler))
    { return member<S>{name, listens<S>, start, connects<S>, nullptr, accepted<S>}; };
    std::vector<member<S>> rows{
        row("async_accept into a socket", [](S& s, handler h) { s.object.async_accept(s.peer, std::move(h)); }),
        row("async_accept into a socket, with endpoint",
            [](S& s, handler h) { s.object.async_accept(s.peer, s.remote, std::move(h)); }),
        row("async_wait for reading",
            [](S& s, handler h) { s.object.async_wait(asio::socket_base::wait_read, std::move(h)); }),
    };
    if constexpr (std::is_same_v<S, acceptor_stage<tcp>>) // the recorder's handler is one of tcp
    {
        rows.push_back(row("async_accept", [](S& s, handler h) { s.object.async_accept(std::move(h)); }));
        rows.push_back(
            row("async_accept with endpoint", [](S& s, handler h) { s.object.async_accept(s.remote, std::move(h)); }));
        rows.push_back(row("async_accept onto another context",
                           [](S& s, handler h) { s.object.async_accept(s.others, std::move(h)); }));
        rows.push_back(row("async_accept with another executor, and endpoint",
                           [](S& s, handler h) { s.object.async_accept(s.elsewhere, s.remote, std::move(h)); }));
    }
    // Not listening: an error at once. In flight, a listener does not stop listening.
    rows.push_back({.name = "async_accept on no listener",
                    .prepare = [](S& s) { s.stop_listening(); },
                    .start = [](S& s, handler h) { s.object.async_accept(s.peer, std::move(h)); },
                    .waits = false,
                    .tried_at_once = true});
    return rows;
}

/// A socket that connects to `listener`.
template <class Protocol>
struct connect_stage : basic_stage<typename Protocol::socket>
{
    using basic_stage<typename Protocol::socket>::basic_stage;

    typename Protocol::endpoint target;

    void open()
    {
        if constexpr (std::is_same_v<Protocol, tcp>)
        {
            loopback_listener listener;
            this->other = std::move(listener.socket);
            this->object.open(tcp::v4());
        }
        else
        {
            this->other = descriptor(acceptor_stage<Protocol>::local_listener());
            this->object.open(Protocol());
        }
        auto size = static_cast<socklen_t>(target.capacity());
        ::getsockname(this->other.get(), target.data(), &size);
        target.resize(size);
    }
};

template <class S>
std::vector<member<S>> connect_members(std::uint64_t native)
{
    return {
        {.name = "async_connect",
         .prepare = [](S& s) { s.open(); },
         .start = [](S& s, handler h) { s.object.async_connect(s.target, std::move(h)); },
         .spoil = [](S& s) { s.other.reset(); },
         .seen =
             [](S& s)
         {
             error_code error; // closed by now, in some situations
             return std::string(s.object.remote_endpoint(error) == s.target ? "connected" : "not connected");
         },
         .native = native,
         .waits = false,
         .opens = true},
    };
}

/// A connect that would take its time: a second at least, which no case here waits for.
struct slow_connect_stage : basic_stage<tcp::socket>
{
    using basic_stage<tcp::socket>::basic_stage;
    full_listener full;
};

const member<slow_connect_stage> slow_connects[] = {
    {.name = "async_connect to a full listener",
     .prepare = [](slow_connect_stage& s) { s.object.open(tcp::v4()); },
     .start = [](slow_connect_stage& s, handler h) { s.object.async_connect(s.full.endpoint(), std::move(h)); },
     .can_succeed = false,
     .opens = true}};

} // namespace

namespace data = boost::unit_test::data;

BOOST_AUTO_TEST_SUITE(drop_in_twin_stream)

BOOST_DATA_TEST_CASE(a_tcp_socket, data::make(stream_members<stream_stage<tcp>>()), tested)
{
    check_twins(tested);
}

BOOST_DATA_TEST_CASE(a_local_socket, data::make(stream_members<stream_stage<local_stream>>()), tested)
{
    check_twins(tested);
}

BOOST_DATA_TEST_CASE(a_tcp_acceptor, data::make(acceptor_members<acceptor_stage<tcp>>()), tested)
{
    check_twins(tested);
}

BOOST_DATA_TEST_CASE(a_local_acceptor, data::make(acceptor_members<acceptor_stage<local_stream>>()), tested)
{
    check_twins(tested);
}

BOOST_DATA_TEST_CASE(a_tcp_connect, data::make(connect_members<connect_stage<tcp>>(1)), tested)
{
    check_twins(tested);
}

BOOST_DATA_TEST_CASE(a_local_connect, data::make(connect_members<connect_stage<local_stream>>(0)), tested)
{
    check_twins(tested);
}

BOOST_DATA_TEST_CASE(a_slow_connect, data::make(slow_connects), tested)
{
    check_twins(tested);
}

BOOST_AUTO_TEST_SUITE_END()
