// SPDX-License-Identifier: BSL-1.0
// Descriptors of every kind, and pipes, do on a ring what they do on io_context.
#include <zsync/drop_in.hpp>

#include "twin.hpp"

#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>

#include <array>
#include <csignal>

#include <pty.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

namespace
{

using namespace test;
using stream_descriptor = asio::posix::stream_descriptor;

/// An object that reads or writes, and the other side of what it has.
template <class Object>
struct descriptor_stage : basic_stage<Object>
{
    using basic_stage<Object>::basic_stage;

    void take(descriptor fd) { this->object.assign(fd.release()); }

    void read_pipe(int flags = 0)
    {
        auto ends = make_pipe(flags);
        take(std::move(ends.first));
        this->other = std::move(ends.second);
    }

    void full_pipe(int flags = 0)
    {
        auto ends = make_pipe(flags);
        const int mode = ::fcntl(ends.second.get(), F_GETFL);
        ::fcntl(ends.second.get(), F_SETFL, mode | O_NONBLOCK);
        while (::write(ends.second.get(), this->much.data(), 4096) > 0)
        {
        }
        ::fcntl(ends.second.get(), F_SETFL, mode);
        take(std::move(ends.second));
        this->other = std::move(ends.first);
    }

    void write_once(const void* data = "hello", std::size_t size = 5)
    {
        if (this->first_time())
            BOOST_TEST(::write(this->other.get(), data, size) == static_cast<ssize_t>(size));
    }

    void read_all()
    {
        char chunk[4096];
        pollfd ready{this->other.get(), POLLIN, 0};
        while (::poll(&ready, 1, 0) > 0 && ::read(this->other.get(), chunk, sizeof chunk) > 0)
        {
        }
    }
};

using stage = descriptor_stage<stream_descriptor>;

/// Asio's has a destructor that only those derived from it may call.
struct waiting_descriptor : asio::posix::descriptor
{
    using basic_descriptor::basic_descriptor;
};

template <class S>
void reads(S& s, handler h)
{
    s.object.async_read_some(asio::buffer(s.bytes), std::move(h));
}

template <class S>
void writes(S& s, handler h)
{
    s.object.async_write_some(asio::buffer(s.bytes), std::move(h));
}

template <class S>
void hangs_up(S& s)
{
    s.other.reset();
}

/// What whatever reads has.
template <class S>
std::vector<member<S>> reader_members()
{
    return {
        {"async_read_some", [](S& s) { s.read_pipe(); }, reads<S>, [](S& s) { s.write_once(); }, hangs_up<S>},
        {"async_read_some of a pipe that does not block", [](S& s) { s.read_pipe(O_NONBLOCK); }, reads<S>,
         [](S& s) { s.write_once(); }, hangs_up<S>},
        {"async_read_some into three buffers", [](S& s) { s.read_pipe(); },
         [](S& s, handler h)
         {
             char* const bytes = s.bytes.data();
             s.object.async_read_some(std::array<asio::mutable_buffer, 3>{asio::buffer(bytes, 1),
                                                                          asio::mutable_buffer(),
                                                                          asio::buffer(bytes + 1, 20)},
                                      std::move(h));
         },
         [](S& s) { s.write_once(); }, hangs_up<S>},
        {.name = "async_read_some into nothing",
         .prepare = [](S& s) { s.read_pipe(); },
         .start = [](S& s, handler h) { s.object.async_read_some(asio::mutable_buffer(), std::move(h)); },
         .native = 0,
         .waits = false},
        {"async_read_some of null_buffers", [](S& s) { s.read_pipe(); },
         [](S& s, handler h) { s.object.async_read_some(asio::null_buffers(), std::move(h)); },
         [](S& s) { s.write_once(); }, hangs_up<S>},
    };
}

/// What whatever writes has. The end of a pipe without a reader is an error; SIGPIPE is ignored here.
template <class S>
std::vector<member<S>> writer_members()
{
    return {
        {"async_write_some", [](S& s) { s.full_pipe(); }, writes<S>, [](S& s) { s.read_all(); }, hangs_up<S>},
        {"async_write_some of a pipe that does not block", [](S& s) { s.full_pipe(O_NONBLOCK); }, writes<S>,
         [](S& s) { s.read_all(); }, hangs_up<S>},
        {"async_write_some of three buffers", [](S& s) { s.full_pipe(); },
         [](S& s, handler h)
         {
             const char* const bytes = s.bytes.data();
             s.object.async_write_some(std::array<asio::const_buffer, 3>{asio::buffer(bytes, 1), asio::const_buffer(),
                                                                         asio::buffer(bytes, 20)},
                                       std::move(h));
         },
         [](S& s) { s.read_all(); }, hangs_up<S>},
        {.name = "async_write_some with room",
         .prepare =
             [](S& s)
         {
             auto ends = make_pipe();
             s.take(std::move(ends.second));
             s.other = std::move(ends.first);
         },
         .start = writes<S>,
         .seen =
             [](S& s)
         {
             std::string there(100, ' ');
             there.resize(static_cast<std::size_t>(::read(s.other.get(), there.data(), there.size())));
             return there;
         },
         .waits = false},
        {"async_write_some of null_buffers", [](S& s) { s.full_pipe(); },
         [](S& s, handler h) { s.object.async_write_some(asio::null_buffers(), std::move(h)); },
         [](S& s) { s.read_all(); }, hangs_up<S>},
    };
}

/// What every descriptor has.
template <class S>
std::vector<member<S>> wait_members()
{
    using base = asio::posix::descriptor_base;
    return {
        {"async_wait for reading", [](S& s) { s.read_pipe(); },
         [](S& s, handler h) { s.object.async_wait(base::wait_read, std::move(h)); }, [](S& s) { s.write_once(); },
         hangs_up<S>},
        {"async_wait for writing", [](S& s) { s.full_pipe(); },
         [](S& s, handler h) { s.object.async_wait(base::wait_write, std::move(h)); }, [](S& s) { s.read_all(); },
         hangs_up<S>},
        {.name = "async_wait for an error",
         .prepare = [](S& s) { s.read_pipe(); },
         .start = [](S& s, handler h) { s.object.async_wait(base::wait_error, std::move(h)); },
         .spoil = hangs_up<S>,
         .can_succeed = false},
    };
}

std::string first_number(stage& s)
{
    std::uint64_t number;
    std::memcpy(&number, s.bytes.data(), sizeof number);
    return std::to_string(number);
}

void open_terminal(stage& s)
{
    int master = -1;
    int slave = -1;
    BOOST_TEST_REQUIRE(::openpty(&master, &slave, nullptr, nullptr, nullptr) == 0);
    s.take(descriptor(slave));
    s.other = descriptor(master);
}

void open_timer(stage& s)
{
    s.take(descriptor(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC)));
}

void fire_timer(stage& s)
{
    if (!s.first_time())
        return;
    itimerspec left{{0, 0}, {0, 1}};
    ::timerfd_settime(s.object.native_handle(), 0, &left, nullptr);
    while (left.it_value.tv_nsec != 0)
        ::timerfd_gettime(s.object.native_handle(), &left);
}

void open_event(stage& s)
{
    s.other = descriptor(::eventfd(0, EFD_CLOEXEC));
    s.take(descriptor(::fcntl(s.other.get(), F_DUPFD_CLOEXEC, 0)));
}

void open_file(stage& s)
{
    s.take(make_file("content"));
}

void open_device(stage& s, const char* name)
{
    s.take(descriptor(::open(name, O_RDWR | O_CLOEXEC)));
}

const member<stage> kinds[] = {
    {"async_read_some of a terminal", open_terminal, reads<stage>, [](stage& s) { s.write_once("hello\n", 6); },
     hangs_up<stage>},
    {.name = "async_write_some to a terminal",
     .prepare = open_terminal,
     .start = writes<stage>,
     .spoil = hangs_up<stage>,
     .waits = false},
    {"async_wait for a terminal", open_terminal,
     [](stage& s, handler h) { s.object.async_wait(stream_descriptor::wait_read, std::move(h)); },
     [](stage& s) { s.write_once("hello\n", 6); }, hangs_up<stage>},
    {"async_read_some of an event counter", open_event, reads<stage>,
     [](stage& s)
     {
         const std::uint64_t seven = 7;
         s.write_once(&seven, sizeof seven);
     },
     nullptr, first_number},
    {.name = "async_read_some of an event counter into too little",
     .prepare = open_event,
     .start = [](stage& s, handler h) { s.object.async_read_some(asio::buffer(s.bytes, 2), std::move(h)); },
     .waits = false,
     .tried_at_once = true},
    {"async_wait for an event counter", open_event,
     [](stage& s, handler h) { s.object.async_wait(stream_descriptor::wait_read, std::move(h)); },
     [](stage& s)
     {
         const std::uint64_t seven = 7;
         s.write_once(&seven, sizeof seven);
     }},
    {"async_read_some of a timer", open_timer, reads<stage>, fire_timer, nullptr, first_number},
    {"async_wait for a timer", open_timer,
     [](stage& s, handler h) { s.object.async_wait(stream_descriptor::wait_read, std::move(h)); }, fire_timer},
    {.name = "async_read_some of a file",
     .prepare = open_file,
     .start = reads<stage>,
     .waits = false,
     .tried_at_once = true},
    {.name = "async_read_some at the end of a file",
     .prepare =
         [](stage& s)
     {
         open_file(s);
         ::lseek(s.object.native_handle(), 0, SEEK_END);
     },
     .start = reads<stage>,
     .waits = false,
     .tried_at_once = true},
    {.name = "async_write_some to a file",
     .prepare = open_file,
     .start = writes<stage>,
     .seen =
         [](stage& s)
     {
         std::string content(200, ' ');
         const ssize_t size = ::pread(s.object.native_handle(), content.data(), content.size(), 0);
         content.resize(size < 0 ? 0 : static_cast<std::size_t>(size)); // closed by now, in some situations
         return content;
     },
     .waits = false},
    {.name = "async_wait for a file",
     .prepare = open_file,
     .start = [](stage& s, handler h) { s.object.async_wait(stream_descriptor::wait_read, std::move(h)); },
     .waits = false},
    {.name = "async_read_some of null_buffers of a file",
     .prepare = open_file,
     .start = [](stage& s, handler h) { s.object.async_read_some(asio::null_buffers(), std::move(h)); },
     .waits = false},
    {.name = "async_read_some of a directory",
     .prepare = [](stage& s) { s.take(descriptor(::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC))); },
     .start = reads<stage>,
     .waits = false,
     .tried_at_once = true},
    {.name = "async_read_some of /dev/null",
     .prepare = [](stage& s) { open_device(s, "/dev/null"); },
     .start = reads<stage>,
     .waits = false,
     .tried_at_once = true},
    {.name = "async_write_some to /dev/null",
     .prepare = [](stage& s) { open_device(s, "/dev/null"); },
     .start = writes<stage>,
     .waits = false},
    {.name = "async_wait for /dev/null",
     .prepare = [](stage& s) { open_device(s, "/dev/null"); },
     .start = [](stage& s, handler h) { s.object.async_wait(stream_descriptor::wait_read, std::move(h)); },
     .waits = false},
    {.name = "async_wait for a file of /proc that tells of changes",
     .prepare = [](stage& s) { s.take(descriptor(::open("/proc/self/mounts", O_RDONLY | O_CLOEXEC))); },
     .start = [](stage& s, handler h) { s.object.async_wait(stream_descriptor::wait_error, std::move(h)); },
     .can_succeed = false},
    {.name = "async_write_some to what is for reading",
     .prepare = [](stage& s) { s.read_pipe(); },
     .start = writes<stage>,
     .waits = false},
};

/// While it lives, SIGPIPE kills nobody: a write to a pipe without a reader raises it, with Asio and with the ring.
struct ignored_sigpipe
{
    ignored_sigpipe() { before_ = ::signal(SIGPIPE, SIG_IGN); }
    ~ignored_sigpipe() { ::signal(SIGPIPE, before_); }

    void (*before_)(int);
};

} // namespace

namespace data = boost::unit_test::data;

BOOST_AUTO_TEST_SUITE(drop_in_twin_descriptor, *boost::unit_test::fixture<ignored_sigpipe>())

BOOST_DATA_TEST_CASE(a_stream_descriptor_reads, data::make(reader_members<stage>()), tested)
{
    check_twins(tested);
}

BOOST_DATA_TEST_CASE(a_stream_descriptor_writes, data::make(writer_members<stage>()), tested)
{
    check_twins(tested);
}

BOOST_DATA_TEST_CASE(a_stream_descriptor_waits, data::make(wait_members<stage>()), tested)
{
    check_twins(tested);
}

BOOST_DATA_TEST_CASE(a_descriptor_waits, data::make(wait_members<descriptor_stage<waiting_descriptor>>()), tested)
{
    check_twins(tested);
}

BOOST_DATA_TEST_CASE(a_readable_pipe, data::make(reader_members<descriptor_stage<asio::readable_pipe>>()), tested)
{
    check_twins(tested);
}

BOOST_DATA_TEST_CASE(a_writable_pipe, data::make(writer_members<descriptor_stage<asio::writable_pipe>>()), tested)
{
    check_twins(tested);
}

BOOST_DATA_TEST_CASE(a_descriptor_of_any_kind, data::make(kinds), tested)
{
    check_twins(tested);
}

BOOST_AUTO_TEST_SUITE_END()
