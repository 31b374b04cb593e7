// SPDX-License-Identifier: BSL-1.0
#include <zsync/core/system_call.hpp>

#include "support/engines.hpp"

#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <thread>

#include <poll.h>
#include <pthread.h>
#include <sys/uio.h>

using namespace test;
using zsync::awaited_events;
using zsync::perform;
using zsync::try_perform;

BOOST_AUTO_TEST_SUITE(core_system_call)

BOOST_DATA_TEST_CASE(an_attempt_that_would_block_says_so_and_one_that_would_not_succeeds, each_kind)
{
    waiting it(sample);
    BOOST_TEST(!try_perform(it.op));
    BOOST_TEST(!try_perform(it.op));
    BOOST_TEST(it.op.completions == 0);
    it.satisfy();
    pollfd ready{it.op.descriptor, static_cast<short>(awaited_events(it.op)), 0};
    BOOST_TEST(::poll(&ready, 1, 20'000) == 1);
    BOOST_TEST(try_perform(it.op));
    BOOST_TEST(it.succeeded(), "result " << it.op.result);
    if (sample.code == opcode::accept && it.op.result >= 0)
        ::close(it.op.result);
}

BOOST_DATA_TEST_CASE(what_may_block_blocks_until_it_succeeds, each_kind)
{
    waiting it(sample);
    std::thread other([&] { it.satisfy(); });
    perform(it.op);
    other.join();
    BOOST_TEST(it.succeeded(), "result " << it.op.result);
    if (sample.code == opcode::accept && it.op.result >= 0)
        ::close(it.op.result);
}

BOOST_DATA_TEST_CASE(it_waits_for_descriptors_that_do_not_block, each_kind)
{
    waiting it(sample);
    const int flags = ::fcntl(it.op.descriptor, F_GETFL);
    ::fcntl(it.op.descriptor, F_SETFL, flags | O_NONBLOCK);
    BOOST_TEST(!try_perform(it.op));
    it.op.connecting = false;
    if (sample.code == opcode::connect)
        return; // is connecting already
    std::thread other([&] { it.satisfy(); });
    perform(it.op);
    other.join();
    BOOST_TEST(it.succeeded(), "result " << it.op.result);
    if (sample.code == opcode::accept && it.op.result >= 0)
        ::close(it.op.result);
}

BOOST_DATA_TEST_CASE(a_signal_ends_nothing, each_kind)
{
    struct sigaction action
    {
    };
    struct sigaction before
    {
    };
    action.sa_handler = [](int) {}; // without SA_RESTART
    BOOST_REQUIRE_EQUAL(::sigaction(SIGUSR1, &action, &before), 0);
    waiting it(sample);
    std::atomic<bool> done{false};
    const pthread_t self = ::pthread_self();
    std::thread other(
        [&]
        {
            for (int times = 0; times < 50; ++times)
            {
                ::pthread_kill(self, SIGUSR1);
                std::this_thread::yield();
            }
            it.satisfy();
            while (!done)
                std::this_thread::yield();
        });
    perform(it.op);
    done = true;
    other.join();
    ::sigaction(SIGUSR1, &before, nullptr);
    BOOST_TEST(it.succeeded(), "result " << it.op.result);
    if (sample.code == opcode::accept && it.op.result >= 0)
        ::close(it.op.result);
}

BOOST_DATA_TEST_CASE(no_descriptor_is_a_bad_one, each_kind)
{
    iovec piece{};
    msghdr message{};
    for (const int fd : {-1, 1'000'000})
    {
        record op(sample.code, fd);
        if (sample.code == opcode::readv || sample.code == opcode::writev)
            op.address = &piece, op.length = 1;
        if (sample.code == opcode::receive_message || sample.code == opcode::send_message)
            op.address = &message;
        BOOST_TEST(try_perform(op));
        BOOST_TEST(op.result == -EBADF);
        op.result = 0;
        perform(op);
        BOOST_TEST(op.result == -EBADF);
        op.ready_first = POLLIN;
        perform(op);
        BOOST_TEST(op.result == -EBADF);
    }
}

BOOST_AUTO_TEST_CASE(what_has_a_system_call_is_made_and_what_has_none_is_refused)
{
    for (int number = 0; number <= static_cast<int>(opcode::install); ++number)
    {
        const auto code = static_cast<opcode>(number);
        BOOST_TEST_CONTEXT("opcode " << number)
        {
            iovec piece{};
            mmsghdr message{}; // which begins with a msghdr
            record op(code, -1, &message, 1);
            if (code == opcode::readv || code == opcode::writev)
                op.address = &piece;
            if (code == opcode::open)
                op.address = const_cast<char*>("");
            BOOST_TEST(try_perform(op));
            BOOST_TEST((op.result != -EOPNOTSUPP) == has_system_call(code));
            op.result = 0;
            perform(op);
            BOOST_TEST((op.result != -EOPNOTSUPP) == has_system_call(code));
        }
    }
}

BOOST_AUTO_TEST_CASE(other_events_are_waited_for_first)
{
    const auto ends = make_socket_pair();
    std::array<char, 2> data{'h', 'i'};
    record op(opcode::send, ends.first.get(), data.data(), data.size(), MSG_NOSIGNAL);
    op.ready_first = POLLIN;
    BOOST_TEST(!try_perform(op));
    BOOST_TEST(take(ends.second) == "nothing");
    put(ends.second, "x");
    BOOST_TEST(try_perform(op));
    perform(op);
    BOOST_TEST(op.result == 2);
    BOOST_TEST(take(ends.second) == "hihi");
}

BOOST_AUTO_TEST_CASE(a_connect_leaves_its_sockets_flags_and_others_descriptors_alone)
{
    waiting it({opcode::connect, "connect"});
    BOOST_TEST(!try_perform(it.op));
    BOOST_TEST(it.op.connecting);
    BOOST_TEST((::fcntl(it.op.descriptor, F_GETFL) & O_NONBLOCK) == 0);
    const auto pipe = make_pipe();
    record other(opcode::connect, pipe.first.get(), it.op.address, it.op.length);
    BOOST_TEST(try_perform(other));
    BOOST_TEST(other.result == -ENOTSOCK);
}

BOOST_AUTO_TEST_CASE(a_whole_receive_is_collected_on_streams_and_not_over_datagrams)
{
    std::array<char, 6> data{};
    const auto stream = make_socket_pair();
    record all(opcode::receive, stream.first.get(), data.data(), data.size(), MSG_WAITALL);
    put(stream.second, "abc");
    BOOST_TEST(!try_perform(all));
    put(stream.second, "def");
    BOOST_TEST(try_perform(all));
    BOOST_TEST(all.result == 6);

    const auto packets = make_socket_pair(0, SOCK_DGRAM);
    all.descriptor = packets.first.get();
    all.result = 0;
    put(packets.second, "abc");
    put(packets.second, "def");
    BOOST_TEST(try_perform(all));
    BOOST_TEST(all.result == 3);
}

BOOST_AUTO_TEST_SUITE_END()
