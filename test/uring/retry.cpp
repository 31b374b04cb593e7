// SPDX-License-Identifier: BSL-1.0
#include "uring/retry.hpp"

#include "support/descriptors.hpp"

#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <cerrno>
#include <ostream>
#include <vector>

#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

using zsync::opcode;
using zsync::operation;
using zsync::detail::is_final;

namespace
{

// The form in which a record is handed to the kernel.
struct form
{
    opcode code;
    std::uint32_t flags = 0;
    std::uint32_t awaited = 0;
    bool connecting = false;
    bool cancel_requested = false;

    operation record(int descriptor = -1) const
    {
        operation op;
        op.code = code;
        op.flags = flags;
        op.descriptor = descriptor;
        op.awaited = awaited;
        op.connecting = connecting;
        op.cancel_requested = cancel_requested;
        return op;
    }

    friend std::ostream& operator<<(std::ostream& out, const form& f)
    {
        return out << "opcode " << int(f.code) << ", flags " << f.flags << ", awaited " << f.awaited
                   << (f.connecting ? ", connecting" : "") << (f.cancel_requested ? ", cancel requested" : "");
    }
};

struct final_answer
{
    form asked;
    int answer;
    int result;

    friend std::ostream& operator<<(std::ostream& out, const final_answer& row)
    {
        return out << row.asked << ", answered " << row.answer;
    }
};

struct passing_answer
{
    form asked;
    int answer;
    std::uint32_t awaits = 0; // next
    bool connecting = false;  // next

    friend std::ostream& operator<<(std::ostream& out, const passing_answer& row)
    {
        return out << row.asked << ", answered " << row.answer;
    }
};

const std::vector<opcode> every_code = {opcode::nop,          opcode::read,    opcode::write,   opcode::readv,
                                        opcode::writev,       opcode::receive, opcode::send,    opcode::receive_message,
                                        opcode::send_message, opcode::accept,  opcode::connect, opcode::poll};

// Results, and failures that are the operation's own.
std::vector<final_answer> final_answers()
{
    std::vector<final_answer> rows;
    for (const opcode code : every_code)
    {
        for (const int result : {0, 1, 4096})
            rows.push_back({{code}, result, result});
        for (const int error : {EBADF, EPIPE, ECONNRESET, EFAULT, EINVAL, ENOMEM, EMFILE, ECONNREFUSED})
            rows.push_back({{code}, -error, -error});

        // Who asked for the end gets it, or what came first.
        const form cancelled{.code = code, .cancel_requested = true};
        for (const int answer : {ECANCELED, EINTR, EAGAIN})
            rows.push_back({cancelled, -answer, -ECANCELED});
        rows.push_back({cancelled, -ECONNRESET, -ECONNRESET});
        rows.push_back({cancelled, 0, 0});
        rows.push_back({cancelled, 5, 5});

        // A wait that came first fails for the operation, and what it succeeds with is not the operation's.
        rows.push_back({{.code = code, .awaited = POLLIN}, -EBADF, -EBADF});
        rows.push_back({{.code = code, .awaited = POLLIN, .cancel_requested = true}, POLLIN, -ECANCELED});
        rows.push_back({{.code = code, .awaited = POLLIN, .cancel_requested = true}, -ECANCELED, -ECANCELED});
        rows.push_back({{.code = code, .awaited = POLLIN, .cancel_requested = true}, -EBADF, -EBADF});
    }
    rows.push_back({{.code = opcode::connect, .awaited = POLLOUT, .connecting = true, .cancel_requested = true},
                    POLLOUT,
                    -ECANCELED});

    // Not ready, and nothing to wait for.
    rows.push_back({{opcode::nop}, -EAGAIN, -EAGAIN});
    rows.push_back({{opcode::poll, POLLIN}, -EAGAIN, -EAGAIN});
    rows.push_back({{opcode::connect}, -EAGAIN, -EAGAIN}); // a local listener without room
    for (const opcode code : {opcode::read, opcode::write, opcode::readv, opcode::writev})
        rows.push_back({{code, RWF_NOWAIT}, -EAGAIN, -EAGAIN});
    return rows;
}

std::vector<passing_answer> passing_answers()
{
    std::vector<passing_answer> rows;
    for (const opcode code : every_code)
    {
        for (const int given_up : {ECANCELED, EINTR})
        {
            if (code != opcode::connect)
                rows.push_back({{code}, -given_up});
            rows.push_back({{.code = code, .awaited = POLLIN}, -given_up, POLLIN});
        }
        // Ready: now for the operation proper.
        rows.push_back({{.code = code, .awaited = POLLIN}, POLLIN});
        rows.push_back({{.code = code, .awaited = POLLOUT}, POLLOUT | POLLHUP});
    }

    // Not ready: first for the wait.
    for (const opcode code : {opcode::read, opcode::readv, opcode::receive, opcode::receive_message, opcode::accept})
        rows.push_back({{code}, -EAGAIN, POLLIN});
    for (const opcode code : {opcode::write, opcode::writev, opcode::send, opcode::send_message})
        rows.push_back({{code}, -EAGAIN, POLLOUT});
    for (const opcode code : {opcode::receive, opcode::receive_message})
        rows.push_back({{code, MSG_OOB}, -EAGAIN, POLLPRI});

    // Issued once, a connect is not issued again.
    for (const int answer : {ECANCELED, EINTR, EINPROGRESS})
        rows.push_back({{opcode::connect}, -answer, POLLOUT, true});
    for (const int answer : {ECANCELED, EINTR})
        rows.push_back({{.code = opcode::connect, .awaited = POLLOUT, .connecting = true}, -answer, POLLOUT, true});
    return rows;
}

const auto each_final = boost::unit_test::data::make(final_answers());
const auto each_passing = boost::unit_test::data::make(passing_answers());

// A connect in the form that it has after the kernel gave it up.
operation given_up_connect(int descriptor)
{
    operation op = form{opcode::connect}.record(descriptor);
    BOOST_TEST(!is_final(op, -ECANCELED));
    BOOST_TEST(op.connecting);
    BOOST_TEST(op.awaited == static_cast<std::uint32_t>(POLLOUT));
    return op;
}

int wait_for(int descriptor, short events)
{
    pollfd one{descriptor, events, 0};
    BOOST_REQUIRE_EQUAL(::poll(&one, 1, 20'000), 1);
    return one.revents;
}

} // namespace

BOOST_AUTO_TEST_SUITE(uring_retry)

BOOST_DATA_TEST_CASE(these_answers_are_final, each_final)
{
    operation op = sample.asked.record();
    BOOST_TEST(is_final(op, sample.answer));
    BOOST_TEST(op.result == sample.result);
}

BOOST_DATA_TEST_CASE(after_these_answers_it_goes_again, each_passing)
{
    operation op = sample.asked.record();
    BOOST_TEST(!is_final(op, sample.answer));
    BOOST_TEST(op.awaited == sample.awaits);
    BOOST_TEST(op.connecting == sample.connecting);
    BOOST_TEST((op.code == sample.asked.code));
    BOOST_TEST(op.flags == sample.asked.flags);
}

BOOST_AUTO_TEST_CASE(a_receive_goes_through_all_of_its_forms)
{
    operation op = form{opcode::receive}.record();
    BOOST_TEST(!is_final(op, -EAGAIN));
    BOOST_TEST(!is_final(op, -ECANCELED)); // while it waits
    BOOST_TEST(op.awaited == static_cast<std::uint32_t>(POLLIN));
    BOOST_TEST(!is_final(op, POLLIN));
    BOOST_TEST(op.awaited == 0u);
    BOOST_TEST(!is_final(op, -EAGAIN)); // somebody else was faster
    BOOST_TEST(op.awaited == static_cast<std::uint32_t>(POLLIN));
    BOOST_TEST(!is_final(op, POLLIN));
    BOOST_TEST(is_final(op, 5));
    BOOST_TEST(op.result == 5);
}

BOOST_AUTO_TEST_CASE(a_connect_given_up_and_established_since_succeeds)
{
    test::loopback_listener listener;
    const auto socket = listener.connect(SOCK_NONBLOCK);
    operation op = given_up_connect(socket.get());
    BOOST_TEST(is_final(op, wait_for(socket.get(), POLLOUT)));
    BOOST_TEST(op.result == 0);
    BOOST_TEST(!op.connecting);
}

BOOST_AUTO_TEST_CASE(a_connect_given_up_and_refused_since_fails_as_it_would_have)
{
    test::descriptor socket;
    {
        test::loopback_listener listener;
        socket = test::make_tcp_socket(SOCK_NONBLOCK);
        const auto address = listener.address;
        listener.socket.reset();
        BOOST_REQUIRE_EQUAL(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), -1);
        BOOST_REQUIRE_EQUAL(errno, EINPROGRESS);
    }
    operation op = given_up_connect(socket.get());
    BOOST_TEST(is_final(op, wait_for(socket.get(), POLLOUT)));
    BOOST_TEST(op.result == -ECONNREFUSED);
}

BOOST_AUTO_TEST_CASE(a_connect_given_up_before_it_had_begun_is_issued)
{
    const auto socket = test::make_tcp_socket(SOCK_NONBLOCK);
    operation op = given_up_connect(socket.get());
    BOOST_TEST(!is_final(op, wait_for(socket.get(), POLLOUT))); // writable, and neither failed nor connected
    BOOST_TEST(op.awaited == 0u);
    BOOST_TEST(!op.connecting);
    BOOST_TEST(is_final(op, 0));
    BOOST_TEST(op.result == 0);
}

BOOST_AUTO_TEST_CASE(a_connect_given_up_whose_descriptor_is_gone_says_so)
{
    operation op = given_up_connect(-1);
    BOOST_TEST(is_final(op, POLLNVAL));
    BOOST_TEST(op.result == -EBADF);
}

BOOST_AUTO_TEST_CASE(a_wake_up_for_urgent_data_is_believed_only_if_there_is_some)
{
    test::loopback_listener listener;
    const auto client = listener.connect();
    const test::descriptor server(::accept4(listener.socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
    BOOST_REQUIRE_EQUAL(::send(client.get(), "x", 1, 0), 1);
    wait_for(server.get(), POLLIN);

    operation poll = form{opcode::poll, POLLPRI}.record(server.get());
    BOOST_TEST(!is_final(poll, POLLPRI | POLLRDBAND));
    operation receive = form{.code = opcode::receive, .flags = MSG_OOB, .awaited = POLLPRI}.record(server.get());
    BOOST_TEST(!is_final(receive, POLLPRI));
    BOOST_TEST(receive.awaited == static_cast<std::uint32_t>(POLLPRI));
    operation either = form{opcode::poll, POLLPRI | POLLIN}.record(server.get());
    BOOST_TEST(is_final(either, POLLPRI | POLLRDBAND | POLLIN));
    BOOST_TEST(either.result == POLLIN);
    operation told_once = form{opcode::poll, POLLPRI}.record(server.get());
    BOOST_TEST(is_final(told_once, POLLPRI)); // no wake-up's word, but the file's own

    BOOST_REQUIRE_EQUAL(::send(client.get(), "!", 1, MSG_OOB), 1);
    wait_for(server.get(), POLLPRI);
    BOOST_TEST(is_final(poll, POLLPRI | POLLRDBAND));
    BOOST_TEST(poll.result == POLLPRI);
    BOOST_TEST(!is_final(receive, POLLPRI));
    BOOST_TEST(receive.awaited == 0u); // now for the operation proper
}

BOOST_AUTO_TEST_SUITE_END()
