// SPDX-License-Identifier: BSL-1.0
#pragma once

// What drop-in cases share: a handler that records, connected pairs, and what a peer does to them.

#include <zsync/drop_in.hpp>

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>

#include <chrono>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

namespace test
{

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

/// What a handler was told.
struct outcome
{
    int calls = 0;
    error_code error;
    std::size_t bytes = 0;
    bool connected = false; ///< an accept's handler was given an open socket
    tcp::endpoint remote;   ///< its remote endpoint
};

/// A handler for every signature: it records what it was told. Keeps alive whatever it is given.
class recorder
{
public:
    explicit recorder(std::shared_ptr<outcome> told, std::shared_ptr<void> keep = {})
        : told_(std::move(told)), keep_(std::move(keep))
    {
    }

    void operator()(error_code error) { record(error, 0); }
    void operator()(error_code error, std::size_t bytes) { record(error, bytes); }

    template <class Executor>
    void operator()(error_code error, asio::basic_stream_socket<tcp, Executor> peer)
    {
        told_->connected = peer.is_open();
        if (peer.is_open())
            told_->remote = peer.remote_endpoint();
        record(error, 0);
    }

private:
    void record(error_code error, std::size_t bytes)
    {
        ++told_->calls;
        told_->error = error;
        told_->bytes = bytes;
    }

    std::shared_ptr<outcome> told_;
    std::shared_ptr<void> keep_;
};

/// One handler type for all: with a cancellation slot, which may be that of no signal.
using handler = asio::cancellation_slot_binder<recorder, asio::cancellation_slot>;

inline handler record_in(std::shared_ptr<outcome> told, asio::cancellation_slot slot = {},
                         std::shared_ptr<void> keep = {})
{
    return handler(slot, recorder(std::move(told), std::move(keep)));
}

/// An endpoint of the loopback network whose port the kernel chooses.
inline tcp::endpoint any_port()
{
    return {asio::ip::address_v4::loopback(), 0};
}

/// Waits in poll(2) until a descriptor shows one of the events, with a deadline.
inline bool wait_for_event(int descriptor, short events)
{
    pollfd ready{descriptor, events, 0};
    return ::poll(&ready, 1, 10'000) == 1;
}

/// Connects `a` to `b`, whichever contexts they belong to. Blocks only for the handshake on the loopback network.
template <class Executor1, class Executor2>
void connect_pair(asio::basic_stream_socket<tcp, Executor1>& a, asio::basic_stream_socket<tcp, Executor2>& b)
{
    asio::io_context own;
    tcp::acceptor listener(own, any_port());
    a.connect(listener.local_endpoint());
    listener.accept(b);
    b.set_option(tcp::no_delay(true));
    a.set_option(tcp::no_delay(true));
}

/// Sends from a descriptor until no more fits on the way to its peer. The kernel may move some on in the background:
/// done when it has not made room for a moment.
inline void fill(int descriptor)
{
    const std::string much(64 * 1024, 'f');
    pollfd room{descriptor, POLLOUT, 0};
    do
        while (::send(descriptor, much.data(), much.size(), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
        {
        }
    while (::poll(&room, 1, 5) != 0 && (room.revents & (POLLERR | POLLHUP)) == 0);
}

/// Reads what is there. Returns how many bytes that were.
inline std::size_t drain(int descriptor, std::string* into = nullptr)
{
    std::size_t total = 0;
    char bytes[64 * 1024];
    for (;;)
    {
        const ssize_t count = ::recv(descriptor, bytes, sizeof bytes, MSG_DONTWAIT);
        if (count <= 0)
            return total;
        if (into)
            into->append(bytes, static_cast<std::size_t>(count));
        total += static_cast<std::size_t>(count);
    }
}

/// Closes so that the other side sees a reset.
template <class Socket>
void reset_peer(Socket& socket)
{
    socket.set_option(asio::socket_base::linger(true, 0));
    socket.close();
}

/// A listener whose queue is full: a connect to it neither succeeds nor fails while nobody accepts.
class full_listener
{
public:
    full_listener() : listener_(own_, tcp::v4()), blocker_(own_)
    {
        listener_.bind(any_port());
        listener_.listen(0);
        blocker_.connect(listener_.local_endpoint());
    }

    tcp::endpoint endpoint() const { return listener_.local_endpoint(); }

    /// Takes the blocker out: there is room for the next try, which the kernel makes after a second.
    void make_room()
    {
        if (!accepted_)
            accepted_ = listener_.accept();
    }

private:
    asio::io_context own_;
    tcp::acceptor listener_;
    tcp::socket blocker_;
    std::optional<tcp::socket> accepted_;
};

/// An endpoint where nobody listens.
inline tcp::endpoint refusing_endpoint()
{
    asio::io_context own;
    return tcp::acceptor(own, any_port()).local_endpoint();
}

} // namespace test
