// SPDX-License-Identifier: BSL-1.0
// What only an engine that waits for readiness can get wrong: edges, numbers and files that would block.
#include <zsync/reactor/reactor_engine.hpp>

#include "support/child_process.hpp"
#include "support/engines.hpp"
#include "support/forbid_ring.hpp"
#include "support/no_descriptors_left.hpp"
#include "support/process_state.hpp"
#include "support/reactor_loop.hpp"

#include <boost/system/errc.hpp>
#include <boost/system/system_error.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>

using namespace std::chrono_literals;
using namespace test;

namespace
{

bool blocks(int fd)
{
    return (::fcntl(fd, F_GETFL) & O_NONBLOCK) == 0;
}

struct tcp_pair : two_ends
{
    tcp_pair()
    {
        loopback_listener listener;
        first = listener.connect();
        second = descriptor(::accept4(listener.socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
    }
};

// Both ends of a FIFO, which unlike a pipe does not know RWF_NOWAIT.
two_ends make_fifo()
{
    std::string name = "/tmp/zsync_test_XXXXXX";
    if (!::mkdtemp(name.data()))
        throw std::system_error(errno, std::system_category(), "mkdtemp");
    const std::string path = name + "/fifo";
    ::mkfifo(path.c_str(), 0600);
    descriptor both(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    two_ends ends;
    ends.first = descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    ends.second = descriptor(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    ::unlink(path.c_str());
    ::rmdir(name.c_str());
    return ends;
}

void reset_by(descriptor& end)
{
    const linger at_once{1, 0};
    BOOST_REQUIRE_EQUAL(::setsockopt(end.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    end.reset();
}

const auto attached_or_not = boost::unit_test::data::make({false, true});

} // namespace

BOOST_AUTO_TEST_SUITE(reactor_descriptors)

// Files that block

BOOST_AUTO_TEST_CASE(a_large_write_to_a_pipe_or_fifo_that_blocks_does_not_block_the_loop)
{
    for (const bool named : {false, true})
    {
        BOOST_TEST_CONTEXT((named ? "fifo" : "pipe"))
        {
            loop on;
            const auto ends = named ? make_fifo() : make_pipe();
            const std::string text(300'000, 'x');
            std::size_t written = 0;
            std::size_t taken = 0;
            record write(opcode::write, ends.second.get());
            write.then = [&](record& self)
            {
                BOOST_REQUIRE(self.result > 0);
                written += static_cast<std::size_t>(self.result);
            };
            while (written < text.size())
            {
                write.completions = 0;
                write.address = const_cast<char*>(text.data() + written);
                write.length = static_cast<std::uint32_t>(text.size() - written);
                on.start(write);
                on.turn();
                on.turn();
                if (write.done())
                    continue;
                // Full: nothing was lost, and nothing blocks. Some room lets it go on.
                std::array<char, 10'000> data;
                const ssize_t size = ::read(ends.first.get(), data.data(), data.size());
                BOOST_REQUIRE(size > 0);
                taken += static_cast<std::size_t>(size);
                BOOST_REQUIRE(on.finish(write));
            }
            BOOST_TEST(written == text.size());
            BOOST_TEST(taken > 0u);
            BOOST_TEST(blocks(ends.second.get()));
        }
    }
}

BOOST_AUTO_TEST_CASE(a_write_that_fits_a_fifo_is_not_torn)
{
    loop on;
    const auto ends = make_fifo();
    std::string one(1000, 'a');
    std::string two(2000, 'b');
    std::array<iovec, 2> pieces = {iovec{one.data(), one.size()}, iovec{two.data(), two.size()}};
    BOOST_TEST(on.perform(opcode::writev, ends.second.get(), pieces.data(), pieces.size()) == 3000);

    // More than that is written in part.
    std::string much(100'000, 'c');
    pieces = {iovec{nullptr, 0}, iovec{much.data(), much.size()}};
    BOOST_TEST(on.perform(opcode::writev, ends.second.get(), pieces.data(), pieces.size()) == 4096);
}

BOOST_AUTO_TEST_CASE(a_fifo_is_read_when_something_comes_and_ends_with_its_writers)
{
    loop on;
    auto ends = make_fifo();
    std::array<char, 16> data{};
    record read(opcode::read, ends.first.get(), data.data(), data.size());
    on.let_it_wait(read);
    put(ends.second, "hello");
    BOOST_TEST(on.finish(read));
    BOOST_TEST(read.result == 5);

    read.completions = 0;
    on.let_it_wait(read);
    ends.second.reset();
    BOOST_TEST(on.finish(read));
    BOOST_TEST(read.result == 0);
}

BOOST_AUTO_TEST_CASE(a_terminal_is_read_and_written_without_blocking)
{
    const descriptor master(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
    BOOST_REQUIRE(::grantpt(master.get()) == 0);
    BOOST_REQUIRE(::unlockpt(master.get()) == 0);
    const descriptor terminal(::open(::ptsname(master.get()), O_RDWR | O_NOCTTY | O_CLOEXEC));
    loop on;
    std::array<char, 64> line{};
    record read(opcode::read, terminal.get(), line.data(), line.size());
    on.let_it_wait(read);
    put(master, "half a line");
    for (int turns = 0; turns < 3; ++turns)
        on.turn();
    BOOST_TEST(!read.done());
    put(master, "\n");
    BOOST_TEST(on.finish(read));
    BOOST_TEST(std::string_view(line.data()) == "half a line\n");

    // Until there is no room; nobody reads.
    std::string text(100'000, 'x');
    std::size_t written = 0;
    record write(opcode::write, terminal.get(), text.data(), text.size());
    do
    {
        write.completions = 0;
        on.start(write);
        on.turn();
        on.turn();
        written += write.done() ? static_cast<std::size_t>(write.result) : 0;
    } while (write.done() && written < 10'000'000);
    BOOST_TEST(!write.done());
    BOOST_TEST(written > 0u);
    while (!write.done())
    {
        std::array<char, 4096> data;
        BOOST_REQUIRE(::read(master.get(), data.data(), data.size()) > 0);
        on.turn();
    }
    BOOST_TEST(write.result > 0);
    BOOST_TEST(blocks(terminal.get()));
    BOOST_TEST(blocks(master.get()));
}

BOOST_AUTO_TEST_CASE(no_descriptor_is_made_non_blocking)
{
    std::deque<waiting> all;
    loop on;
    for (const kind k : kinds_that_wait)
        on.start(all.emplace_back(k).op);
    for (int turns = 0; turns < 3; ++turns)
        on.turn();
    for (std::size_t index = 0; index < all.size(); ++index)
    {
        BOOST_TEST(!all[index].op.done());
        BOOST_TEST(blocks(all[index].op.descriptor), kinds_that_wait[index]);
    }
    for (auto& each : all)
        each.satisfy();
    for (auto& each : all)
    {
        BOOST_TEST(on.finish(each.op));
        BOOST_TEST(each.succeeded());
    }
}

BOOST_AUTO_TEST_CASE(a_full_device_is_told)
{
    loop on;
    const descriptor full(::open("/dev/full", O_RDWR | O_CLOEXEC));
    std::string text = "hello";
    BOOST_TEST(on.perform(opcode::write, full.get(), text.data(), text.size()) == -ENOSPC);
    const descriptor null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    BOOST_TEST(on.perform(opcode::write, null.get(), text.data(), text.size()) == 5);
    BOOST_TEST(on.perform(opcode::read, null.get(), text.data(), text.size()) == 0);
}

BOOST_DATA_TEST_CASE(a_file_is_read_and_written_whole_opened_and_flushed, attached_or_not)
{
    loop on;
    std::string name = "/tmp/zsync_test_XXXXXX";
    const descriptor made(::mkstemp(name.data()));
    const int fd = on.perform(opcode::open, AT_FDCWD, name.data(), 0600, O_RDWR | O_CLOEXEC);
    BOOST_REQUIRE(fd >= 0);
    const descriptor file(fd);
    ::unlink(name.c_str());
    if (sample)
        BOOST_TEST(!on.engine.attach_descriptor(fd));

    std::string text(3'000'000, 'x');
    BOOST_TEST(on.perform(opcode::write, fd, text.data(), text.size()) == 3'000'000);
    BOOST_TEST(on.perform(opcode::sync, fd) == 0);
    BOOST_TEST(on.perform(opcode::sync, fd, nullptr, 0, 1) == 0);
    BOOST_TEST(::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0); // not in memory any more
    record read(opcode::read, fd, text.data(), text.size());
    read.offset = 0;
    BOOST_TEST(on.perform(read) == 3'000'000);
    read.offset = 2'999'999;
    BOOST_TEST(on.perform(read) == 1);
    BOOST_TEST(on.perform(opcode::poll, fd, nullptr, 0, POLLIN) == (sample ? -EOPNOTSUPP : POLLIN));

    BOOST_TEST(on.perform(opcode::open, AT_FDCWD, name.data(), 0, O_RDONLY | O_CLOEXEC) == -ENOENT);
    BOOST_TEST(on.perform(opcode::sync, make_pipe().first.get()) == -EINVAL);
    record none(opcode::poll, file.get(), nullptr, 0, POLLPRI);
    BOOST_TEST(on.perform(none) == -EOPNOTSUPP); // nothing would tell
}

BOOST_AUTO_TEST_CASE(opens_and_flushes_are_cancelled_before_they_are_performed)
{
    loop on;
    const descriptor file = make_file();
    char path[] = "/dev/null";
    record open(opcode::open, AT_FDCWD, path, 0, O_RDONLY | O_CLOEXEC);
    record sync(opcode::sync, file.get());
    const auto id = on.start(open);
    on.start(sync);
    const std::size_t before = open_descriptors();
    on.engine.cancel(id);
    on.engine.cancel_descriptor(file.get());
    BOOST_TEST(on.turn() == 2u);
    BOOST_TEST(open.result == -ECANCELED);
    BOOST_TEST(sync.result == -ECANCELED);
    BOOST_TEST(open_descriptors() == before);

    open.completions = sync.completions = 0;
    on.start(open);
    on.start(sync);
    on.engine.shutdown(nullptr);
    BOOST_TEST(open.result == -ECANCELED);
    BOOST_TEST(sync.result == -ECANCELED);
}

// Accept and connect

BOOST_AUTO_TEST_CASE(an_accept_without_a_descriptor_to_give_is_told_and_the_connection_kept)
{
    loop on;
    loopback_listener listener;
    const descriptor client = listener.connect();
    std::optional<test::no_descriptors_left> none(std::in_place);
    const int refused = on.perform(opcode::accept, listener.socket.get(), nullptr, 0, SOCK_CLOEXEC);
    none.reset();
    BOOST_TEST(refused == -EMFILE);
    const descriptor accepted(on.perform(opcode::accept, listener.socket.get(), nullptr, 0, SOCK_CLOEXEC));
}

BOOST_AUTO_TEST_CASE(accepts_that_wait_each_get_one_of_the_connections)
{
    loop on;
    loopback_listener listener;
    std::array<record, 3> ops;
    for (auto& op : ops)
    {
        op.ask(opcode::accept, listener.socket.get(), nullptr, 0, SOCK_CLOEXEC);
        on.let_it_wait(op);
    }
    std::vector<descriptor> clients;
    for (std::size_t count = 1; count <= ops.size(); ++count)
    {
        clients.push_back(listener.connect());
        const auto done = [](const record& op) { return op.done(); };
        BOOST_TEST(on.until([&] { return std::count_if(ops.begin(), ops.end(), done) == static_cast<long>(count); }));
        on.turn();
    }
    for (const auto& op : ops)
        clients.emplace_back(op.result);
}

BOOST_AUTO_TEST_CASE(a_connect_that_is_refused_later_is_refused)
{
    loop on;
    waiting it({opcode::connect, "connect"});
    on.let_it_wait(it.op);
    ::shutdown(it.op.descriptor, SHUT_RDWR); // resets what is being connected
    BOOST_TEST(on.finish(it.op));
    BOOST_TEST(it.op.result < 0);
    BOOST_TEST(it.op.result != -ECANCELED);
}

// Edges

BOOST_DATA_TEST_CASE(data_and_the_end_that_come_together_are_both_received, attached_or_not)
{
    for (const bool wait_first : {false, true})
    {
        loop on;
        tcp_pair ends;
        if (sample)
            BOOST_TEST(!on.engine.attach_descriptor(ends.first.get()));
        std::array<char, 16> data{};
        record receive(opcode::receive, ends.first.get(), data.data(), data.size());
        if (wait_first)
        {
            on.let_it_wait(receive);
            put(ends.second, "hello");
            ends.second.reset();
            BOOST_TEST(on.finish(receive));
        }
        else
        {
            put(ends.second, "hello");
            ends.second.reset();
            BOOST_TEST(on.perform(receive) == 5);
        }
        BOOST_TEST(receive.result == 5);
        BOOST_TEST(on.perform(receive) == 0);
        BOOST_TEST(on.perform(receive) == 0);
    }
}

BOOST_DATA_TEST_CASE(what_comes_between_two_receives_is_received, attached_or_not)
{
    loop on;
    for (auto* ends :
         {std::make_unique<two_ends>(tcp_pair()).release(), std::make_unique<two_ends>(make_socket_pair()).release(),
          std::make_unique<two_ends>(make_socket_pair(0, SOCK_SEQPACKET)).release()})
    {
        const std::unique_ptr<two_ends> owner(ends);
        if (sample)
            BOOST_TEST(!on.engine.attach_descriptor(ends->first.get()));
        std::array<char, 16> data{};
        record receive(opcode::receive, ends->first.get(), data.data(), data.size());
        for (int times = 0; times < 20; ++times)
        {
            receive.completions = 0;
            if (times % 3 == 0)
                on.let_it_wait(receive);
            put(ends->second, "hello");
            if (times % 3 != 0)
                on.start(receive);
            BOOST_REQUIRE(on.finish(receive));
            BOOST_REQUIRE_EQUAL(receive.result, 5);
            // Its edge is taken while nobody waits for it.
            put(ends->second, "again");
            on.turn();
            on.turn();
            BOOST_REQUIRE_EQUAL(on.perform(receive), 5);
        }
        // Datagrams and the rest of a stream wait without an edge of their own.
        put(ends->second, "one");
        put(ends->second, "two");
        BOOST_TEST(on.perform(receive) >= 3);
        if (receive.result == 3)
            BOOST_TEST(on.perform(receive) == 3);
        ends->second.reset();
        BOOST_TEST(on.perform(receive) == 0);
        on.engine.detach_descriptor(ends->first.get());
    }
}

BOOST_DATA_TEST_CASE(a_receive_that_stops_at_urgent_data_is_not_taken_for_the_last, attached_or_not)
{
    loop on;
    tcp_pair ends;
    if (sample)
        BOOST_TEST(!on.engine.attach_descriptor(ends.first.get()));
    std::array<char, 16> data{};
    record receive(opcode::receive, ends.first.get(), data.data(), data.size());
    on.let_it_wait(receive);
    put(ends.second, "ab");
    BOOST_TEST(::send(ends.second.get(), "!", 1, MSG_OOB) == 1);
    put(ends.second, "cd");
    BOOST_TEST(on.finish(receive));
    for (int rest = 4 - receive.result; rest > 0; rest -= receive.result)
        BOOST_REQUIRE(on.perform(receive) > 0);
}

BOOST_DATA_TEST_CASE(a_reset_connection_is_told_to_whoever_waits, attached_or_not)
{
    loop on;
    tcp_pair ends;
    if (sample)
        BOOST_TEST(!on.engine.attach_descriptor(ends.first.get()));
    write_until_full(ends.first);
    std::array<char, 16> data{};
    record receive(opcode::receive, ends.first.get(), data.data(), data.size());
    record send(opcode::send, ends.first.get(), data.data(), data.size(), MSG_NOSIGNAL);
    record poll(opcode::poll, ends.first.get(), nullptr, 0, POLLPRI);
    on.let_it_wait(receive);
    on.let_it_wait(send);
    on.let_it_wait(poll);
    reset_by(ends.second);
    for (const record* op : {&receive, &send, &poll})
        BOOST_TEST(on.finish(*op));
    // The first to ask is told why, the others that it is over.
    BOOST_TEST((receive.result == -ECONNRESET || receive.result == 0));
    BOOST_TEST((send.result == -ECONNRESET || send.result == -EPIPE));
    BOOST_TEST((receive.result == -ECONNRESET) != (send.result == -ECONNRESET));
    BOOST_TEST((poll.result & POLLHUP) != 0);
}

BOOST_AUTO_TEST_CASE(a_half_closed_connection_still_sends)
{
    loop on;
    tcp_pair ends;
    BOOST_TEST(!on.engine.attach_descriptor(ends.first.get()));
    std::array<char, 16> data{'h', 'i'};
    ::shutdown(ends.second.get(), SHUT_WR);
    BOOST_TEST(on.perform(opcode::receive, ends.first.get(), data.data(), data.size()) == 0);
    BOOST_TEST(on.perform(opcode::send, ends.first.get(), data.data(), 2, MSG_NOSIGNAL) == 2);
    BOOST_TEST(take(ends.second) == "hi");
}

BOOST_AUTO_TEST_CASE(polls_and_transfers_share_a_descriptor)
{
    loop on;
    const auto ends = make_socket_pair();
    const descriptor copy(::fcntl(ends.first.get(), F_DUPFD_CLOEXEC, 0));
    std::array<char, 2> data{};
    record receive(opcode::receive, ends.first.get(), data.data(), 1);
    record poll(opcode::poll, ends.first.get(), nullptr, 0, POLLIN);
    record by_copy(opcode::receive, copy.get(), data.data() + 1, 1);
    for (record* op : {&receive, &poll, &by_copy})
        on.let_it_wait(*op);
    put(ends.second, "abc");
    for (record* op : {&receive, &poll, &by_copy})
        BOOST_TEST(on.finish(*op));
    BOOST_TEST(receive.result == 1);
    BOOST_TEST(by_copy.result == 1);
    BOOST_TEST(poll.result == POLLIN);

    // One number is closed; the other stands for the same file, and goes on.
    on.engine.detach_descriptor(ends.first.get());
    take(copy);
    set_blocking(copy, true);
    by_copy.completions = 0;
    on.let_it_wait(by_copy);
    put(ends.second, "d");
    BOOST_TEST(on.finish(by_copy));
}

BOOST_AUTO_TEST_CASE(two_engines_wait_for_one_descriptor)
{
    loop one;
    loop two;
    const auto ends = make_socket_pair();
    std::array<char, 2> data{};
    record first(opcode::receive, ends.first.get(), data.data(), 1);
    record second(opcode::receive, ends.first.get(), data.data() + 1, 1);
    one.let_it_wait(first);
    two.let_it_wait(second);
    put(ends.second, "x");
    BOOST_TEST(one.finish(first));
    two.turn();
    BOOST_TEST(!second.done());
    put(ends.second, "y");
    BOOST_TEST(two.finish(second));
    BOOST_TEST(std::string_view(data.data(), 2) == "xy");
    one.engine.detach_descriptor(ends.first.get());
    BOOST_TEST(two.perform(opcode::poll, ends.first.get(), nullptr, 0, POLLOUT) == POLLOUT);
}

BOOST_DATA_TEST_CASE(receives_and_sends_keep_their_order, modes)
{
    loop on(sample);
    const auto ends = make_socket_pair();
    std::string received(8, ' ');
    std::string sent = "abcdefgh";
    std::deque<record> ops;
    for (char& byte : received)
        on.start(ops.emplace_back(opcode::receive, ends.first.get(), &byte, 1));
    on.turn();
    for (char& byte : sent)
        on.start(ops.emplace_back(opcode::send, ends.second.get(), &byte, 1, MSG_NOSIGNAL));
    for (const record& op : ops)
        BOOST_REQUIRE(on.finish(op));
    BOOST_TEST(received == sent);
}

BOOST_AUTO_TEST_CASE(what_is_collected_for_a_whole_receive_is_not_lost_by_its_cancellation)
{
    loop on;
    const auto ends = make_socket_pair();
    std::array<char, 8> data{};
    record all(opcode::receive, ends.first.get(), data.data(), data.size(), MSG_WAITALL);
    const auto id = on.let_it_wait(all);
    put(ends.second, "abc");
    for (int turns = 0; turns < 3; ++turns)
        on.turn();
    BOOST_TEST(!all.done());
    put(ends.second, "d");
    on.turn();
    on.engine.cancel(id);
    BOOST_TEST(on.finish(all));
    BOOST_TEST(all.result == 4);
    BOOST_TEST(std::string_view(data.data()) == "abcd");
}

// Numbers

BOOST_AUTO_TEST_CASE(a_number_whose_file_was_closed_behind_our_back_serves_the_next)
{
    loop on;
    auto old = make_socket_pair();
    const descriptor kept(::fcntl(old.first.get(), F_DUPFD_CLOEXEC, 0)); // so that epoll keeps it, too
    const auto fresh = make_socket_pair();
    const int number = old.first.get();
    std::array<char, 8> data{};
    record receive(opcode::receive, number, data.data(), data.size());
    on.let_it_wait(receive);
    reuse(number, fresh.first);

    // The next wait finds out. The former waits for a file that is gone.
    record poll(opcode::poll, number, nullptr, 0, POLLIN);
    on.start(poll);
    BOOST_TEST(on.finish(receive));
    BOOST_TEST(receive.result == -ECANCELED);
    put(old.second, "old");
    for (int turns = 0; turns < 3; ++turns)
        on.turn();
    BOOST_TEST(!poll.done());
    put(fresh.second, "x");
    BOOST_TEST(on.finish(poll));
    BOOST_TEST(on.perform(receive) == 1);
    BOOST_TEST(data[0] == 'x');
}

BOOST_AUTO_TEST_CASE(a_number_that_is_attached_again_serves_its_new_file)
{
    // Eventfds have one inode among them.
    for (const bool events : {false, true})
    {
        BOOST_TEST_CONTEXT((events ? "eventfd" : "socket"))
        {
            loop on;
            auto pipe = make_pipe();
            auto ends = make_socket_pair();
            const descriptor old = events ? descriptor(::eventfd(0, EFD_CLOEXEC)) : std::move(pipe.first);
            const descriptor next = events ? descriptor(::eventfd(0, EFD_CLOEXEC)) : std::move(ends.first);
            const int number = old.get();
            std::uint64_t data = 0;
            BOOST_TEST(!on.engine.attach_descriptor(number));
            record read(opcode::read, number, &data, sizeof data);
            record poll(opcode::poll, number, nullptr, 0, POLLPRI);
            on.let_it_wait(poll);
            reuse(number, next);
            BOOST_TEST(!on.engine.attach_descriptor(number));
            BOOST_TEST(on.finish(poll));
            BOOST_TEST(poll.result == -ECANCELED);
            on.let_it_wait(read);
            const std::uint64_t one = 1;
            BOOST_TEST(::write(events ? next.get() : ends.second.get(), &one, sizeof one) == 8);
            BOOST_TEST(on.finish(read));
            BOOST_TEST(read.result == 8);
            BOOST_TEST(on.engine.attach_descriptor(number) == boost::system::errc::file_exists);
        }
    }
}

BOOST_AUTO_TEST_CASE(a_started_send_leaves_before_the_descriptor_does)
{
    loop on;
    for (const bool detach : {false, true})
    {
        const auto ends = make_socket_pair();
        std::string text = "hello";
        record one(opcode::send, ends.first.get(), text.data(), 5, MSG_NOSIGNAL);
        record two(opcode::send, ends.first.get(), text.data(), 5, MSG_NOSIGNAL);
        on.start(one);
        on.start(two);
        if (detach)
            on.engine.detach_descriptor(ends.first.get());
        else
            on.engine.try_sends(ends.first.get());
        BOOST_TEST(take(ends.second) == "hellohello");
        BOOST_TEST(on.turn() == 2u);
        BOOST_TEST(one.result == 5);
        BOOST_TEST(two.result == 5);
    }
}

// The engine

BOOST_AUTO_TEST_CASE(a_host_sees_readiness_at_its_descriptor)
{
    loop on;
    waiting it({opcode::receive, "receive"});
    on.let_it_wait(it.op);
    pollfd watched{on.engine.descriptor(), POLLIN, 0};
    BOOST_TEST(::poll(&watched, 1, 0) == 0);
    it.satisfy();
    BOOST_TEST(::poll(&watched, 1, 20'000) == 1);
    BOOST_TEST(on.turn() == 1u);
    BOOST_TEST(it.succeeded());
    BOOST_TEST(::poll(&watched, 1, 0) == 0);
}

BOOST_AUTO_TEST_CASE(a_busy_descriptor_leaves_turns_to_others)
{
    loop on;
    const auto ends = make_socket_pair();
    waiting other({opcode::receive, "receive"});
    on.let_it_wait(other.op);
    record nop;
    int turns = 0;
    nop.then = [&](record& self)
    {
        if (!other.op.done())
            on.engine.start(self);
    };
    on.start(nop);
    other.satisfy();
    for (; !other.op.done() && turns < 1000; ++turns)
        on.turn();
    BOOST_TEST(turns < 100);
    on.turn();
}

BOOST_AUTO_TEST_CASE(an_engine_leaves_nothing_behind)
{
    const auto before = this_process();
    {
        loop on;
        waiting it({opcode::receive, "receive"});
        on.let_it_wait(it.op);
        on.engine.shutdown(nullptr);
    }
    BOOST_TEST(this_process().descriptors == before.descriptors);
    BOOST_TEST(this_process().threads == before.threads);
}

BOOST_AUTO_TEST_CASE(an_engine_that_cannot_be_made_is_told_by_its_errno)
{
    for (const long call : {SYS_epoll_create1, SYS_eventfd2, SYS_epoll_ctl})
    {
        const auto result = run_in_child(
            [call](const child_voice& voice)
            {
                if (!voice.check(forbid_system_calls({call}, EMFILE) == 0, "a filter"))
                    return 1;
                const std::size_t before = open_descriptors();
                try
                {
                    zsync::reactor_engine engine;
                    voice.say("made");
                    return 2;
                }
                catch (const boost::system::system_error& error)
                {
                    if (!voice.check(error.code() == boost::system::errc::too_many_files_open, "EMFILE"))
                        return 3;
                }
                return voice.check(open_descriptors() == before, "nothing leaks") ? 0 : 4;
            });
        BOOST_TEST(result.ok(), "system call " << call << ": " << result);
    }
}

BOOST_AUTO_TEST_CASE(without_the_newer_system_calls_it_works_as_well)
{
    // EPERM: what a sandbox says that was written before these came.
    const auto result = run_in_child(
        [](const child_voice& voice)
        {
            if (!voice.check(forbid_system_calls({SYS_epoll_pwait2}, EPERM) == 0, "a filter") ||
                !voice.check(forbid_system_calls({SYS_preadv2, SYS_pwritev2}, ENOSYS) == 0, "a second filter"))
                return 1;
            loop on;
            bool fine = true;
            const auto begin = std::chrono::steady_clock::now();
            on.turn(1500us);
            fine &= voice.check(std::chrono::steady_clock::now() - begin >= 1500us, "never early");

            for (const kind k : kinds_that_wait)
            {
                waiting it(k);
                on.start(it.op);
                on.turn();
                fine &= voice.check(!it.op.done() && blocks(it.op.descriptor), k.name);
                it.satisfy();
                while (!it.op.done())
                    on.turn(10ms);
                fine &= voice.check(it.succeeded(), k.name);
            }

            // Sockets that are read and written as files, and a pipe that has less room than it is asked for.
            for (const bool socket : {false, true})
            {
                const auto ends = socket ? make_socket_pair() : make_pipe();
                std::string text(1'000'000, 'x');
                record write(opcode::write, ends.second.get(), text.data(), text.size());
                on.start(write);
                on.turn();
                fine &= voice.check(write.done() && write.result > 0 && write.result < 1'000'000, "a part");
                record read(opcode::read, ends.first.get(), text.data(), text.size());
                on.start(read);
                on.turn();
                fine &= voice.check(read.done() && read.result > 0, "what is there");
            }
            return fine ? 0 : 2;
        });
    BOOST_TEST(result.ok(), result);
}

BOOST_AUTO_TEST_CASE(both_processes_of_a_fork_go_on)
{
    loop on;
    std::deque<waiting> all;
    for (const kind k : {kind{opcode::receive, "receive"}, kind{opcode::read, "read"}, kind{opcode::accept, "accept"}})
        on.let_it_wait(all.emplace_back(k).op);
    on.engine.prepare_fork();
    const auto result = run_in_child(
        [&](const child_voice& voice)
        {
            on.engine.child_after_fork();
            bool fine = true;
            for (int turns = 0; turns < 3; ++turns)
                on.turn();
            for (auto& each : all)
                fine &= voice.check(!each.op.done(), "waits on");
            // The child's own: what it does must not be seen by the parent.
            waiting own({opcode::receive, "receive"});
            on.start(own.op);
            on.turn();
            own.satisfy();
            while (!own.op.done())
                on.turn(forever);
            fine &= voice.check(own.succeeded(), "own");
            on.engine.wake();
            on.turn(forever);
            on.engine.shutdown(nullptr);
            for (auto& each : all)
                fine &= voice.check(each.op.result == -ECANCELED, "cancelled");
            return fine ? 0 : 1;
        });
    BOOST_TEST(result.ok(), result);
    for (auto& each : all)
    {
        BOOST_TEST(!each.op.done());
        each.satisfy();
        BOOST_TEST(on.finish(each.op));
        BOOST_TEST(each.succeeded());
    }
}

BOOST_AUTO_TEST_SUITE_END()
