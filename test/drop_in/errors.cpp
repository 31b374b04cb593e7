// SPDX-License-Identifier: BSL-1.0
// Bad input: for each, a stock socket reports on every context what it reports on io_context. The expected values are
// not written down: they come from running Asio's own.
#include <zsync/drop_in.hpp>

#include "contexts.hpp"
#include "report.hpp"
#include "sockets.hpp"

#include <support/process_state.hpp>

#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>

#include <boost/asio/generic/stream_protocol.hpp>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <map>

namespace
{

using namespace test;
using local_stream = asio::local::stream_protocol;

/// Where a row runs: its context, what else it needs, and where it reports to.
struct scene
{
    explicit scene(context& c) : under_test(c), a(c.ctx()), acceptor(c.ctx()), b(others) {}

    context& under_test;
    asio::io_context others;
    tcp::socket a;
    tcp::acceptor acceptor;
    tcp::socket b; // the other side
    std::vector<char> bytes = std::vector<char>(256 * 1024, 'x');
    report result;

    void connect() { connect_pair(a, b); }

    /// Runs one operation, whose initiation is `start(handler)`, to its end, and reports how it ended. `meanwhile` is
    /// called when it is in flight.
    template <class Start>
    void perform(Start start, const std::function<void()>& meanwhile = {})
    {
        const auto told = std::make_shared<outcome>();
        start(record_in(told));
        if (meanwhile)
        {
            under_test.settle();
            result.add(told->calls ? "at once" : "waited");
            meanwhile();
        }
        if (!under_test.run_until([&] { return told->calls != 0; }))
        {
            result.add("did not end");
            a.close();
            acceptor.close();
            under_test.run();
            return;
        }
        result.add(told->error);
        result.add(told->bytes);
    }

    void read(std::size_t most = 64)
    {
        perform([&](handler h) { a.async_read_some(asio::buffer(bytes, most), std::move(h)); });
    }

    void write(std::size_t count = 5)
    {
        perform([&](handler h) { a.async_write_some(asio::buffer(bytes, count), std::move(h)); });
    }

    void connect_to(const tcp::endpoint& peer)
    {
        perform([&](handler h) { a.async_connect(peer, std::move(h)); });
    }

    void wait(tcp::socket::wait_type what)
    {
        perform([&](handler h) { a.async_wait(what, std::move(h)); });
    }

    void accept()
    {
        perform([&](handler h) { acceptor.async_accept(std::move(h)); });
    }

    void listen()
    {
        acceptor.open(tcp::v4());
        acceptor.bind(any_port());
        acceptor.listen();
    }

    /// Reports an error of `f(error)`, and a count if it returns one.
    template <class Function>
    void try_sync(Function f)
    {
        error_code error;
        if constexpr (std::is_same_v<decltype(f(error)), std::size_t>)
            result.add(f(error));
        else
            f(error);
        result.add(error);
    }
};

struct row
{
    const char* name;
    void (*run)(scene&);
    const char* native = nullptr; ///< where a ring is to report something else: what. The row says why.

    friend std::ostream& operator<<(std::ostream& out, const row& r) { return out << r.name; }
};

/// The soft limit of open descriptors, lowered so that `left` more can be opened; all else as it was at the end.
class few_descriptors
{
public:
    explicit few_descriptors(int left)
    {
        ::getrlimit(RLIMIT_NOFILE, &before_);
        rlimit fewer = before_;
        // Beyond the highest that is open now, so that what is open stays usable.
        int highest = 0;
        for (int fd = 0; fd < 1024; ++fd)
            if (::fcntl(fd, F_GETFD) >= 0)
                highest = fd;
        // One more than `left`, so that there is one to take and to free even where no number below is unused.
        fewer.rlim_cur = static_cast<rlim_t>(highest + 1 + left + 1);
        ::setrlimit(RLIMIT_NOFILE, &fewer);
        for (int fd = open_one(); fd >= 0; fd = open_one())
            taken_.push_back(fd);
        for (; left > 0 && !taken_.empty(); --left)
            free_one();
    }

    ~few_descriptors()
    {
        while (!taken_.empty())
            free_one();
        ::setrlimit(RLIMIT_NOFILE, &before_);
    }

    void take_one() { taken_.push_back(open_one()); }

    void free_one()
    {
        BOOST_REQUIRE(!taken_.empty());
        ::close(taken_.back());
        taken_.pop_back();
    }

    /// Not a copy of standard input: that may be closed.
    static int open_one() { return ::open("/dev/null", O_RDONLY | O_CLOEXEC); }

private:
    rlimit before_{};
    std::vector<int> taken_;
};

volatile std::sig_atomic_t sigpipes = 0;

/// Counts SIGPIPE instead of dying of it.
class counted_sigpipe
{
public:
    counted_sigpipe()
    {
        sigpipes = 0;
        struct sigaction action = {};
        action.sa_handler = [](int) { sigpipes = sigpipes + 1; };
        ::sigaction(SIGPIPE, &action, &before_);
    }
    ~counted_sigpipe() { ::sigaction(SIGPIPE, &before_, nullptr); }

    const char* text() const { return sigpipes ? "SIGPIPE" : "no SIGPIPE"; }

private:
    struct sigaction before_ = {};
};

/// `pieces` buffers of `size` bytes each, over the scene's bytes.
template <class Buffer>
std::vector<Buffer> split(std::vector<char>& bytes, std::size_t pieces, std::size_t size)
{
    std::vector<Buffer> result;
    for (std::size_t i = 0; i < pieces; ++i)
        result.push_back(Buffer(bytes.data() + i * size, size));
    return result;
}

template <std::size_t Pieces, std::size_t Size>
void write_pieces(scene& s)
{
    s.connect();
    s.perform([&](handler h) { s.a.async_write_some(split<asio::const_buffer>(s.bytes, Pieces, Size), std::move(h)); });
    s.try_sync([&](error_code& e) { return s.a.write_some(split<asio::const_buffer>(s.bytes, Pieces, Size), e); });
    asio::write(s.a, asio::buffer("end", 3));
    std::string received;
    while (received.find("end") == received.npos && wait_for_event(s.b.native_handle(), POLLIN))
        drain(s.b.native_handle(), &received);
    s.result.add(received.size());
}

template <std::size_t Pieces, std::size_t Size>
void read_pieces(scene& s)
{
    s.connect();
    const std::string sent(6'000, 's');
    asio::write(s.b, asio::buffer(sent));
    while (s.a.available() < sent.size())
        wait_for_event(s.a.native_handle(), POLLIN);
    s.perform([&](handler h)
              { s.a.async_read_some(split<asio::mutable_buffer>(s.bytes, Pieces, Size), std::move(h)); });
    s.try_sync([&](error_code& e) { return s.a.read_some(split<asio::mutable_buffer>(s.bytes, Pieces, Size), e); });
    s.result.add(s.a.available());
}

template <int OpenFlags>
void assign_file(scene& s)
{
    const std::string directory = std::filesystem::temp_directory_path().string();
    const int fd = ::open(directory.c_str(), OpenFlags, 0600);
    s.result.add(fd >= 0 ? "opened" : "not opened");
    s.try_sync([&](error_code& e) { s.a.assign(tcp::v4(), fd, e); });
    if (!s.a.is_open())
    {
        ::close(fd);
        return;
    }
    s.read();
    s.write();
    s.wait(tcp::socket::wait_read);
    s.wait(tcp::socket::wait_write);
    s.connect_to(any_port());
    s.perform([&](handler h) { s.a.async_read_some(asio::null_buffers(), std::move(h)); });
    s.try_sync([&](error_code& e) { s.a.cancel(e); });
    s.try_sync([&](error_code& e) { s.a.close(e); });
}

// clang-format off
const row rows[] = {
    // Addresses.
    {"bind: address in use", [](scene& s)
     {
         s.listen();
         tcp::acceptor second(s.under_test.ctx(), tcp::v4());
         s.try_sync([&](error_code& e) { second.bind(s.acceptor.local_endpoint(), e); });
         s.try_sync([&](error_code& e) { s.acceptor.bind(s.acceptor.local_endpoint(), e); });
     }},
    {"listen: address in use", [](scene& s)
     {
         tcp::acceptor second(s.under_test.ctx(), tcp::v4());
         s.acceptor.open(tcp::v4());
         for (auto* a : {&s.acceptor, &second})
             a->set_option(tcp::acceptor::reuse_address(true));
         s.acceptor.bind(any_port());
         s.try_sync([&](error_code& e) { second.bind(s.acceptor.local_endpoint(), e); });
         s.try_sync([&](error_code& e) { s.acceptor.listen(128, e); });
         s.try_sync([&](error_code& e) { second.listen(128, e); });
     }},
    {"acceptor's constructor: address in use", [](scene& s)
     {
         s.listen();
         try { tcp::acceptor(s.under_test.ctx(), s.acceptor.local_endpoint(), false); }
         catch (const boost::system::system_error& e) { s.result.add(e.code()); }
     }},
    {"bind: not an address of this host", [](scene& s)
     {
         s.a.open(tcp::v4());
         s.try_sync([&](error_code& e) { s.a.bind({asio::ip::make_address("192.0.2.1"), 0}, e); });
     }},
    {"open: a protocol that does not exist", [](scene& s)
     {
         asio::generic::stream_protocol::socket g(s.under_test.ctx());
         s.try_sync([&](error_code& e) { g.open({AF_INET, 12345}, e); });
         s.try_sync([&](error_code& e) { g.open({12345, 0}, e); });
         s.result.add(g.is_open() ? "open" : "closed");
     }},
    {"connect: refused", [](scene& s)
     {
         s.connect_to(refusing_endpoint());
         s.result.add(s.a.is_open() ? "open" : "closed");
         s.try_sync([&](error_code& e) { s.a.connect(refusing_endpoint(), e); });
         s.connect_to(refusing_endpoint());
     }},
    {"connect: refused, then accepted", [](scene& s)
     {
         s.connect_to(refusing_endpoint());
         s.listen();
         s.connect_to(s.acceptor.local_endpoint());
         s.write();
     },
     // The kernel reports ECONNABORTED once for a socket whose refusal it has told by SO_ERROR, which is how Asio asks;
     // to a ring it tells the refusal itself, and the socket can connect again.
     "system:111, 0 bytes, system:0, 0 bytes, system:0, 5 bytes"},
    {"connect: refused, local", [](scene& s)
     {
         local_stream::socket l(s.under_test.ctx());
         s.perform([&](handler h) { l.async_connect(local_stream::endpoint("/nonexistent/socket"), std::move(h)); });
         std::string name("\0zsync-nobody-listens-here", 25);
         s.perform([&](handler h) { l.async_connect(local_stream::endpoint(name), std::move(h)); });
     }},
    {"connect: broadcast address", [](scene& s) { s.connect_to({asio::ip::address_v4::broadcast(), 9}); }},
    {"connect: multicast address", [](scene& s) { s.connect_to({asio::ip::make_address("224.0.0.1"), 9}); }},
    {"connect: port 0", [](scene& s) { s.connect_to(any_port()); }},
    {"connect: any address, port 0", [](scene& s) { s.connect_to({asio::ip::address_v4::any(), 0}); }},
    {"connect: other family", [](scene& s)
     {
         s.a.open(tcp::v4());
         s.connect_to({asio::ip::address_v6::loopback(), 9});
     }},
    {"connect: IPv6 loopback, refused", [](scene& s) { s.connect_to({asio::ip::address_v6::loopback(), 9}); }},
    {"connect: from an address of the loopback network to one outside", [](scene& s)
     {
         s.a.open(tcp::v4());
         s.a.bind(any_port());
         s.connect_to({asio::ip::address_v4::broadcast(), 9});
     }},
    {"connect: connected already", [](scene& s)
     {
         s.connect();
         s.listen();
         s.connect_to(s.acceptor.local_endpoint());
         s.write();
     }},
    {"connect: listening", [](scene& s)
     {
         s.listen();
         tcp::socket l(s.under_test.ctx(), tcp::v4(), ::dup(s.acceptor.native_handle()));
         s.perform([&](handler h) { l.async_connect(refusing_endpoint(), std::move(h)); });
     }},
    {"connect: another one in flight", [](scene& s)
     {
         full_listener full;
         s.a.open(tcp::v4());
         const auto first = std::make_shared<outcome>();
         s.a.async_connect(full.endpoint(), record_in(first));
         s.under_test.settle();
         s.connect_to(full.endpoint());
         s.result.add(first->calls ? "first ended" : "first waits");
         s.a.close();
         s.under_test.run();
         s.result.add(first->error);
     }},
    {"connect: cancelled, then read and closed", [](scene& s)
     {
         full_listener full;
         s.a.open(tcp::v4());
         s.perform([&](handler h) { s.a.async_connect(full.endpoint(), std::move(h)); }, [&] { s.a.cancel(); });
         s.try_sync([&](error_code& e) { s.a.remote_endpoint(e); });
         s.perform([&](handler h) { s.a.async_read_some(asio::buffer(s.bytes), std::move(h)); },
                   [&] { s.a.shutdown(tcp::socket::shutdown_both); });
     }},
    {"connect: local, queue full", [](scene& s)
     {
         std::string directory = (std::filesystem::temp_directory_path() / "zsync-XXXXXX").string();
         s.result.add(::mkdtemp(directory.data()) ? "directory" : "no directory");
         const local_stream::endpoint file(directory + "/s");
         {
             local_stream::acceptor full(s.others, file.protocol());
             full.bind(file);
             full.listen(0);
             local_stream::socket blocker(s.others), l(s.under_test.ctx());
             blocker.connect(file);
             s.perform([&](handler h) { l.async_connect(file, std::move(h)); });
             s.try_sync([&](error_code& e) { l.remote_endpoint(e); });
         }
         std::filesystem::remove_all(directory);
     },
     // Asio takes EAGAIN for a connect that goes on, finds the socket writable, and reports a success that is none.
     "directory, system:11, 0 bytes, system:107"},

    // Peers. No row reads again after an end or a reset that was waited for: Asio's reactor, which hears of either but
    // once, would wait for ever.
    {"read: reset", [](scene& s)
     {
         s.connect();
         s.write();
         reset_peer(s.b);
         s.read();
         s.read();
         s.write();
     }},
    {"write: reset", [](scene& s)
     {
         counted_sigpipe pipe;
         s.connect();
         reset_peer(s.b);
         wait_for_event(s.a.native_handle(), POLLHUP);
         s.write();
         s.write();
         s.read();
         s.try_sync([&](error_code& e) { return s.a.write_some(asio::buffer("x", 1), e); });
         s.result.add(pipe.text());
     }},
    {"read: reset while in flight", [](scene& s)
     {
         s.connect();
         s.perform([&](handler h) { s.a.async_read_some(asio::buffer(s.bytes), std::move(h)); },
                   [&] { reset_peer(s.b); });
         s.try_sync([&](error_code& e) { s.a.remote_endpoint(e); });
     }},
    {"read: reset with bytes unread", [](scene& s)
     {
         s.connect();
         s.b.send(asio::buffer("hello", 5));
         reset_peer(s.b);
         wait_for_event(s.a.native_handle(), POLLHUP);
         s.read();
         s.read();
     }},
    {"write: reset while in flight", [](scene& s)
     {
         counted_sigpipe pipe;
         s.connect();
         fill(s.a.native_handle());
         s.perform([&](handler h) { s.a.async_write_some(asio::buffer(s.bytes), std::move(h)); },
                   [&] { reset_peer(s.b); });
         s.try_sync([&](error_code& e) { return s.a.write_some(asio::buffer("x", 1), e); });
         s.result.add(pipe.text());
     }},
    {"wait: reset", [](scene& s)
     {
         s.connect();
         reset_peer(s.b);
         wait_for_event(s.a.native_handle(), POLLHUP);
         for (auto what : {tcp::socket::wait_read, tcp::socket::wait_write, tcp::socket::wait_error})
             s.wait(what);
         s.perform([&](handler h)
                   { s.a.async_receive(asio::buffer(s.bytes), tcp::socket::message_out_of_band, std::move(h)); });
         s.read();
     }},
    {"wait: reset while in flight", [](scene& s)
     {
         for (auto what : {tcp::socket::wait_read, tcp::socket::wait_error})
         {
             s.a.close();
             s.b.close();
             s.connect();
             s.perform([&](handler h) { s.a.async_wait(what, std::move(h)); }, [&] { reset_peer(s.b); });
         }
     }},
    {"read: out of band, none there, reset while in flight", [](scene& s)
     {
         s.connect();
         s.perform([&](handler h)
                   { s.a.async_receive(asio::buffer(s.bytes), tcp::socket::message_out_of_band, std::move(h)); },
                   [&] { reset_peer(s.b); });
     }},
    {"read: half closed", [](scene& s)
     {
         s.connect();
         s.b.send(asio::buffer("hello", 5));
         s.b.shutdown(tcp::socket::shutdown_send);
         s.read();
         s.read();
         s.read();
         s.read(0);
         s.write();
     }},
    {"read: half closed while in flight", [](scene& s)
     {
         s.connect();
         s.perform([&](handler h) { s.a.async_read_some(asio::buffer(s.bytes), std::move(h)); },
                   [&] { s.b.shutdown(tcp::socket::shutdown_send); });
         s.try_sync([&](error_code& e) { return s.a.read_some(asio::buffer(s.bytes), e); });
     }},
    {"read: fewer bytes than asked before the end", [](scene& s)
     {
         s.connect();
         s.b.send(asio::buffer("hello", 5));
         s.b.shutdown(tcp::socket::shutdown_send);
         s.perform([&](handler h) { asio::async_read(s.a, asio::buffer(s.bytes, 10), std::move(h)); });
     }},
    {"read: own side shut down while in flight", [](scene& s)
     {
         s.connect();
         s.perform([&](handler h) { s.a.async_read_some(asio::buffer(s.bytes), std::move(h)); },
                   [&] { s.a.shutdown(tcp::socket::shutdown_receive); });
     }},
    {"write: shut down", [](scene& s)
     {
         counted_sigpipe pipe;
         s.connect();
         s.a.shutdown(tcp::socket::shutdown_send);
         s.write();
         s.perform([&](handler h)
                   { s.a.async_write_some(split<asio::const_buffer>(s.bytes, 3, 5), std::move(h)); });
         s.write(0);
         s.try_sync([&](error_code& e) { return s.a.write_some(asio::buffer("x", 1), e); });
         s.result.add(pipe.text());
     }},
    {"write: shut down while in flight", [](scene& s)
     {
         counted_sigpipe pipe;
         s.connect();
         fill(s.a.native_handle());
         s.perform([&](handler h) { s.a.async_write_some(asio::buffer(s.bytes), std::move(h)); },
                   [&] { s.a.shutdown(tcp::socket::shutdown_send); });
         s.result.add(pipe.text());
     }},
    {"write: peer closed, local", [](scene& s)
     {
         counted_sigpipe pipe;
         local_stream::socket l(s.under_test.ctx()), r(s.others);
         asio::local::connect_pair(l, r);
         l.send(asio::buffer("unread", 6));
         r.close();
         s.perform([&](handler h) { l.async_read_some(asio::buffer(s.bytes), std::move(h)); });
         s.perform([&](handler h) { l.async_read_some(asio::buffer(s.bytes), std::move(h)); });
         s.perform([&](handler h) { l.async_write_some(asio::buffer(s.bytes, 3), std::move(h)); });
         s.result.add(pipe.text());
     }},
    {"write: to oneself, with unsupported flags", [](scene& s)
     {
         s.connect();
         s.perform([&](handler h) { s.a.async_send(asio::buffer(s.bytes, 3), 0x40000000, std::move(h)); });
         s.perform([&](handler h) { s.a.async_send(asio::buffer(s.bytes, 3), MSG_FASTOPEN, std::move(h)); });
         s.perform([&](handler h) { s.a.async_send(asio::buffer(s.bytes, 3), MSG_ZEROCOPY, std::move(h)); });
         s.perform([&](handler h) { s.a.async_send(asio::buffer(s.bytes, 3), MSG_MORE, std::move(h)); });
     }},
    {"read: with unusual flags", [](scene& s)
     {
         s.connect();
         s.b.send(asio::buffer("0123456789", 10));
         s.perform([&](handler h) { s.a.async_receive(asio::buffer(s.bytes, 2), MSG_TRUNC, std::move(h)); });
         s.perform([&](handler h)
                   { s.a.async_receive(asio::buffer(s.bytes, 2), MSG_PEEK | MSG_WAITALL, std::move(h)); });
         s.perform([&](handler h) { s.a.async_receive(asio::buffer(s.bytes, 20), MSG_WAITALL, std::move(h)); });
         s.perform([&](handler h) { s.a.async_receive(asio::buffer(s.bytes, 2), MSG_ERRQUEUE, std::move(h)); },
                   [&] { s.a.cancel(); });
     }},
    {"read: a bad address", [](scene& s)
     {
         s.connect();
         s.b.send(asio::buffer("hello", 5));
         void* const nowhere = reinterpret_cast<void*>(8);
         s.perform([&](handler h) { s.a.async_read_some(asio::mutable_buffer(nowhere, 5), std::move(h)); });
         s.perform([&](handler h) { s.a.async_write_some(asio::const_buffer(nowhere, 5), std::move(h)); });
         s.perform([&](handler h)
                   {
                       s.a.async_write_some(std::array<asio::const_buffer, 2>{asio::buffer("ok", 2),
                                                                              asio::const_buffer(nowhere, 5)},
                                            std::move(h));
                   });
     }},

    // Accept.
    {"accept: out of descriptors, then not", [](scene& s)
     {
         s.listen();
         tcp::socket first(s.others), second(s.others);
         first.connect(s.acceptor.local_endpoint());
         second.connect(s.acceptor.local_endpoint());
         {
             few_descriptors few(0);
             s.accept();
             s.accept();
             s.perform([&](handler h) { s.acceptor.async_accept(s.a, std::move(h)); });
             s.result.add(s.a.is_open() ? "open" : "closed");
             s.try_sync([&](error_code& e) { s.acceptor.accept(e); });
             few.free_one();
             s.perform([&](handler h) { s.acceptor.async_accept(s.a, std::move(h)); });
         }
         s.accept();
         s.result.add(s.a.remote_endpoint() == first.local_endpoint() ? "the first" : "not the first");
     }},
    {"accept: out of descriptors, nobody there yet", [](scene& s)
     {
         s.listen();
         s.b.open(tcp::v4());
         std::optional<few_descriptors> few(0);
         s.perform([&](handler h) { s.acceptor.async_accept(std::move(h)); },
                   [&]
                   {
                       few->free_one();
                       s.b.connect(s.acceptor.local_endpoint());
                   });
     }},
    {"accept: out of descriptors while in flight", [](scene& s)
     {
         s.listen();
         s.b.open(tcp::v4());
         std::optional<few_descriptors> few(1);
         s.perform([&](handler h) { s.acceptor.async_accept(std::move(h)); },
                   [&]
                   {
                       few->take_one();
                       s.b.connect(s.acceptor.local_endpoint());
                   });
         few.reset();
         s.accept();
     }},
    {"accept: more descriptors than when it was started", [](scene& s)
     {
         s.listen();
         s.b.open(tcp::v4());
         std::optional<few_descriptors> few(1);
         s.perform([&](handler h) { s.acceptor.async_accept(std::move(h)); },
                   [&]
                   {
                       few.reset();
                       std::vector<int> taken; // so that the number is beyond the limit that was
                       for (int i = 0; i < 8; ++i)
                           taken.push_back(few_descriptors::open_one());
                       s.b.connect(s.acceptor.local_endpoint());
                       s.under_test.settle();
                       for (int fd : taken)
                           ::close(fd);
                   });
     }},
    {"open: out of descriptors", [](scene& s)
     {
         few_descriptors few(0);
         s.try_sync([&](error_code& e) { s.a.open(tcp::v4(), e); });
         s.connect_to(any_port());
         s.result.add(s.a.is_open() ? "open" : "closed");
         few.free_one();
         s.try_sync([&](error_code& e) { s.a.open(tcp::v4(), e); });
     }},
    {"accept: into an open peer", [](scene& s)
     {
         s.listen();
         s.b.connect(s.acceptor.local_endpoint());
         s.a.open(tcp::v4());
         s.perform([&](handler h) { s.acceptor.async_accept(s.a, std::move(h)); });
         s.try_sync([&](error_code& e) { s.acceptor.accept(s.a, e); });
         s.a.close();
         s.perform([&](handler h) { s.acceptor.async_accept(s.a, std::move(h)); });
     }},
    {"accept: into a peer opened while in flight", [](scene& s)
     {
         s.listen();
         s.perform([&](handler h) { s.acceptor.async_accept(s.a, std::move(h)); },
                   [&]
                   {
                       s.a.open(tcp::v4());
                       s.b.connect(s.acceptor.local_endpoint());
                   });
     }},
    {"accept: a connection reset meanwhile", [](scene& s)
     {
         s.listen();
         s.b.connect(s.acceptor.local_endpoint());
         reset_peer(s.b);
         tcp::endpoint from;
         s.perform([&](handler h) { s.acceptor.async_accept(s.a, from, std::move(h)); });
         s.read();
         s.write();
     }},
    {"accept: not listening", [](scene& s)
     {
         s.acceptor.open(tcp::v4());
         s.accept();
         s.try_sync([&](error_code& e) { s.acceptor.accept(e); });
         s.perform([&](handler h) { s.acceptor.async_wait(tcp::acceptor::wait_read, std::move(h)); });
     }},
    {"accept: would block", [](scene& s)
     {
         s.listen();
         s.acceptor.non_blocking(true);
         s.try_sync([&](error_code& e) { s.acceptor.accept(e); });
     }},
    {"accept: shut down while in flight", [](scene& s)
     {
         s.listen();
         s.perform([&](handler h) { s.acceptor.async_accept(std::move(h)); },
                   [&] { ::shutdown(s.acceptor.native_handle(), SHUT_RD); });
     }},

    // Buffers.
    {"write: no buffers", write_pieces<0, 0>},
    {"write: 1 buffer", write_pieces<1, 3>},
    {"write: 1 empty buffer", write_pieces<1, 0>},
    {"write: 2 buffers", write_pieces<2, 3>},
    {"write: 16 buffers", write_pieces<16, 3>},
    {"write: 17 buffers", write_pieces<17, 3>},
    {"write: 64 buffers", write_pieces<64, 3>},
    {"write: 65 buffers", write_pieces<65, 3>},
    {"write: 2,000 buffers", write_pieces<2'000, 3>},
    {"write: 2,000 empty buffers", write_pieces<2'000, 0>},
    {"read: no buffers", read_pieces<0, 0>},
    {"read: 1 buffer", read_pieces<1, 3>},
    {"read: 1 empty buffer", read_pieces<1, 0>},
    {"read: 2 buffers", read_pieces<2, 3>},
    {"read: 16 buffers", read_pieces<16, 3>},
    {"read: 17 buffers", read_pieces<17, 3>},
    {"read: 64 buffers", read_pieces<64, 3>},
    {"read: 65 buffers", read_pieces<65, 3>},
    {"read: 2,000 buffers", read_pieces<2'000, 3>},
    {"read: 2,000 empty buffers", read_pieces<2'000, 0>},
    {"null buffers of no length", [](scene& s)
     {
         s.connect();
         s.b.send(asio::buffer("hello", 5));
         s.perform([&](handler h) { s.a.async_read_some(asio::mutable_buffer(nullptr, 0), std::move(h)); });
         s.perform([&](handler h) { s.a.async_write_some(asio::const_buffer(nullptr, 0), std::move(h)); });
         s.perform([&](handler h)
                   {
                       s.a.async_read_some(std::array<asio::mutable_buffer, 3>{
                                               asio::mutable_buffer(nullptr, 0), asio::buffer(s.bytes.data(), 5),
                                               asio::mutable_buffer(nullptr, 0)}, std::move(h));
                   });
     }},
    {"bytes beyond 64 empty buffers", [](scene& s)
     {
         s.connect();
         s.b.send(asio::buffer("hello", 5));
         std::vector<asio::mutable_buffer> many(64);
         many.push_back(asio::buffer(s.bytes, 5));
         s.perform([&](handler h) { s.a.async_read_some(many, std::move(h)); });
         s.perform([&](handler h) { s.a.async_write_some(std::vector<asio::const_buffer>(many.begin(), many.end()),
                                                         std::move(h)); });
         many.erase(many.begin());
         s.perform([&](handler h) { s.a.async_read_some(many, std::move(h)); });
     }},
    {"composed: 2,000 buffers there and back", [](scene& s)
     {
         s.connect();
         std::string received;
         s.perform([&](handler h)
                   { asio::async_write(s.a, split<asio::const_buffer>(s.bytes, 2'000, 3), std::move(h)); });
         while (received.size() < 6'000 && wait_for_event(s.b.native_handle(), POLLIN))
             drain(s.b.native_handle(), &received);
         s.result.add(received.size());
         asio::write(s.b, asio::buffer(received));
         s.perform([&](handler h)
                   { asio::async_read(s.a, split<asio::mutable_buffer>(s.bytes, 2'000, 3), std::move(h)); });
     }},

    // Descriptors that Asio refuses, or takes against all expectation.
    {"assign: -1", [](scene& s)
     {
         s.try_sync([&](error_code& e) { s.a.assign(tcp::v4(), -1, e); });
         s.try_sync([&](error_code& e) { s.acceptor.assign(tcp::v4(), -1, e); });
         s.result.add(s.a.is_open() ? "open" : "closed");
     }},
    {"assign: a closed descriptor", [](scene& s)
     {
         const int fd = ::dup(0);
         ::close(fd);
         s.try_sync([&](error_code& e) { s.a.assign(tcp::v4(), fd, e); });
         s.try_sync([&](error_code& e) { s.a.assign(tcp::v4(), 1'000'000, e); });
     }},
    {"assign: a regular file", assign_file<O_TMPFILE | O_RDWR | O_CLOEXEC>},
    {"assign: a directory", assign_file<O_DIRECTORY | O_RDONLY | O_CLOEXEC>},
    {"assign: a descriptor without a file", assign_file<O_PATH | O_CLOEXEC>},
    {"assign: a pipe", [](scene& s)
     {
         int ends[2];
         if (::pipe2(ends, O_CLOEXEC) != 0)
             return;
         s.try_sync([&](error_code& e) { s.a.assign(tcp::v4(), ends[0], e); });
         s.read();
         s.write();
         s.connect_to(any_port());
         s.a.close();
         ::close(ends[1]);
     }},
    {"assign: a socket of another type", [](scene& s)
     {
         asio::ip::udp::socket udp(s.others, asio::ip::udp::endpoint(asio::ip::address_v4::loopback(), 0));
         udp.connect(udp.local_endpoint());
         s.try_sync([&](error_code& e) { s.a.assign(tcp::v4(), udp.release(), e); });
         s.write();
         s.read();
     }},
    {"assign: registered already", [](scene& s)
     {
         s.connect();
         tcp::socket second(s.under_test.ctx());
         s.try_sync([&](error_code& e) { second.assign(tcp::v4(), s.a.native_handle(), e); });
         s.result.add(second.is_open() ? "open" : "closed");
         local_stream::socket third(s.under_test.ctx());
         s.try_sync([&](error_code& e) { third.assign(local_stream(), s.a.native_handle(), e); });
         s.write();
     }},
    {"assign: registered already, by another kind of object", [](scene& s)
     {
         s.connect();
         asio::posix::stream_descriptor second(s.under_test.ctx());
         s.try_sync([&](error_code& e) { second.assign(s.a.native_handle(), e); });
         if (second.is_open())
             second.release();
         asio::ip::udp::socket third(s.under_test.ctx());
         s.try_sync([&](error_code& e) { third.assign(asio::ip::udp::v4(), s.a.native_handle(), e); });
         if (third.is_open())
             third.release();
     }},
    {"assign: open already", [](scene& s)
     {
         s.connect();
         const int fd = ::dup(s.a.native_handle());
         s.try_sync([&](error_code& e) { s.a.assign(tcp::v4(), fd, e); });
         s.result.add(::fcntl(fd, F_GETFD) >= 0 ? "left open" : "closed");
         ::close(fd);
         s.try_sync([&](error_code& e) { s.a.open(tcp::v4(), e); });
         s.write();
     }},

    // Objects that are not open, or not any more.
    {"never opened", [](scene& s)
     {
         s.read();
         s.write();
         s.read(0);
         s.write(0);
         for (auto what : {tcp::socket::wait_read, tcp::socket::wait_write, tcp::socket::wait_error})
             s.wait(what);
         s.wait(static_cast<tcp::socket::wait_type>(3));
         s.accept();
         s.try_sync([&](error_code& e) { s.a.cancel(e); });
         s.try_sync([&](error_code& e) { s.acceptor.cancel(e); });
         s.try_sync([&](error_code& e) { s.a.shutdown(tcp::socket::shutdown_both, e); });
         s.try_sync([&](error_code& e) { return s.a.available(e); });
         s.try_sync([&](error_code& e) { s.a.local_endpoint(e); });
         s.try_sync([&](error_code& e) { s.a.remote_endpoint(e); });
         s.try_sync([&](error_code& e) { s.a.non_blocking(true, e); });
         s.try_sync([&](error_code& e) { s.a.set_option(tcp::no_delay(true), e); });
         s.try_sync([&](error_code& e) { return s.a.read_some(asio::buffer(s.bytes), e); });
         s.try_sync([&](error_code& e) { return s.a.write_some(asio::buffer(s.bytes), e); });
         s.try_sync([&](error_code& e) { s.a.release(e); });
         s.try_sync([&](error_code& e) { s.acceptor.listen(1, e); });
         s.try_sync([&](error_code& e) { s.a.close(e); });
     }},
    {"never connected", [](scene& s)
     {
         counted_sigpipe pipe;
         s.a.open(tcp::v4());
         s.read();
         s.write();
         s.perform([&](handler h) { s.a.async_read_some(split<asio::mutable_buffer>(s.bytes, 3, 3), std::move(h)); });
         s.perform([&](handler h) { s.a.async_write_some(split<asio::const_buffer>(s.bytes, 3, 3), std::move(h)); });
         for (auto what : {tcp::socket::wait_read, tcp::socket::wait_write, tcp::socket::wait_error})
             s.wait(what);
         s.wait(static_cast<tcp::socket::wait_type>(3));
         s.try_sync([&](error_code& e) { s.a.shutdown(tcp::socket::shutdown_both, e); });
         s.try_sync([&](error_code& e) { return s.a.available(e); });
         s.result.add(pipe.text());
     }},
    {"closed twice", [](scene& s)
     {
         s.connect();
         s.try_sync([&](error_code& e) { s.a.close(e); });
         s.try_sync([&](error_code& e) { s.a.close(e); });
         s.try_sync([&](error_code& e) { s.a.cancel(e); });
         s.try_sync([&](error_code& e) { s.a.release(e); });
         s.read();
     }},
    {"closed behind its back", [](scene& s)
     {
         s.connect();
         ::close(s.a.native_handle());
         s.read();
         s.write();
         s.try_sync([&](error_code& e) { s.a.cancel(e); });
         s.try_sync([&](error_code& e) { s.a.close(e); });
     }},
    {"would block", [](scene& s)
     {
         s.connect();
         s.a.non_blocking(true);
         s.try_sync([&](error_code& e) { return s.a.read_some(asio::buffer(s.bytes), e); });
         fill(s.a.native_handle());
         s.try_sync([&](error_code& e) { return s.a.write_some(asio::buffer(s.bytes), e); });
     }},
};
// clang-format on

template <class Context>
std::string run_row(const row& tested)
{
    const std::size_t before = open_descriptors();
    std::string text;
    {
        Context under_test;
        scene s(under_test);
        tested.run(s);
        text = s.result.text();
    }
    const std::size_t after = open_descriptors();
    if (after != before)
        text += " LEAKED " + std::to_string(static_cast<long>(after) - static_cast<long>(before));
    return text;
}

} // namespace

BOOST_AUTO_TEST_SUITE(drop_in_errors)

BOOST_DATA_TEST_CASE(is_the_same_as_on_io_context, boost::unit_test::data::make(rows), tested)
{
    const std::string expected = run_row<plain_io_context>(tested);
    BOOST_TEST_MESSAGE(tested.name << ": " << expected);
    BOOST_TEST(expected.find("did not end") == expected.npos);
    if (tested.native)
        BOOST_TEST_MESSAGE(tested.name << ", with a ring: " << tested.native);
    const std::string native = tested.native && default_uring_context().is_native() ? tested.native : expected;
    BOOST_TEST(run_row<default_uring_context>(tested) == native);
    BOOST_TEST(run_row<hint_1_uring_context>(tested) == native);
    BOOST_TEST(run_row<one_thread_uring_context>(tested) == native);
}

// The rows above would all agree if nothing here were native.
BOOST_AUTO_TEST_CASE_TEMPLATE(the_table_is_about_native_operations, Context, contexts)
{
    Context under_test;
    scene s(under_test);
    s.connect();
    s.write();
    s.connect_to(any_port());
    s.listen();
    s.b.close();
    s.b.connect(s.acceptor.local_endpoint());
    s.accept();
    under_test.check_native(3);
}

BOOST_AUTO_TEST_SUITE_END()
