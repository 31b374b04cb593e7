// SPDX-License-Identifier: BSL-1.0
// What a program may rely on with stock descriptors and pipes beyond single operations: order, modes, and what is not
// theirs alone.
#include <zsync/drop_in.hpp>

#include "contexts.hpp"
#include "sockets.hpp"

#include <support/descriptors.hpp>

#include <sys/syscall.h>
#include <sys/wait.h>

namespace
{

using namespace test;
using asio::posix::stream_descriptor;

std::string read_now(int descriptor)
{
    std::string text(64 * 1024, ' ');
    const ssize_t size = ::read(descriptor, text.data(), text.size());
    text.resize(size < 0 ? 0 : static_cast<std::size_t>(size));
    return text;
}

/// A pipe whose ends both belong to the context under test.
struct pipe_ends
{
    explicit pipe_ends(context& under_test) : reader(under_test.ctx()), writer(under_test.ctx())
    {
        asio::connect_pipe(reader, writer);
    }

    asio::readable_pipe reader;
    asio::writable_pipe writer;
    char bytes[64] = {};
};

} // namespace

BOOST_AUTO_TEST_SUITE(drop_in_descriptor)

ON_ALL_CONTEXTS(bytes_keep_the_order_of_their_initiation, under_test)
{
    pipe_ends p(under_test);
    const auto told = std::make_shared<outcome>();
    std::string received(8, ' ');
    for (char& letter : received)
        p.reader.async_read_some(asio::buffer(&letter, 1), record_in(told));
    under_test.settle();
    const std::string letters = "abcdefgh";
    for (const char& letter : letters)
        p.writer.async_write_some(asio::buffer(&letter, 1), record_in(told));
    under_test.run();
    BOOST_TEST(told->calls == 16);
    BOOST_TEST(received == letters);
    under_test.check_native(16);
}

ON_ALL_CONTEXTS(data_arrives_as_it_was_written, under_test)
{
    pipe_ends p(under_test);
    std::string sent(1'000'000, ' ');
    for (std::size_t i = 0; i < sent.size(); ++i)
        sent[i] = static_cast<char>(i * 7 + i / 251);
    std::string received(sent.size(), ' ');
    const auto wrote = std::make_shared<outcome>();
    const auto read = std::make_shared<outcome>();
    asio::async_write(p.writer, asio::buffer(sent), record_in(wrote));
    asio::async_read(p.reader, asio::buffer(received), record_in(read));
    under_test.run();
    BOOST_TEST(wrote->bytes == sent.size());
    BOOST_TEST((sent == received));
    under_test.check_native(2);
}

// As with Asio, which tries to write in the initiating function.
ON_ALL_CONTEXTS(a_write_goes_before_whatever_follows_it, under_test)
{
    pipe_ends p(under_test);
    const auto told = std::make_shared<outcome>();
    p.writer.async_write_some(asio::buffer("1", 1), record_in(told));
    p.writer.write_some(asio::buffer("2", 1));
    p.writer.async_write_some(asio::buffer("3", 1), record_in(told));
    p.writer.cancel();
    p.writer.async_write_some(asio::buffer("4", 1), record_in(told));
    p.writer.close();
    BOOST_TEST(read_now(p.reader.native_handle()) == "1234");
    under_test.run();
    BOOST_TEST(told->calls == 3);
    BOOST_TEST(told->error == error_code());
    under_test.check_native(3);
}

ON_ALL_CONTEXTS(a_large_write_moves_what_there_is_room_for, under_test)
{
    pipe_ends p(under_test);
    const std::string much(1'000'000, 'm');
    const auto told = std::make_shared<outcome>();
    p.writer.async_write_some(asio::buffer(much), record_in(told));
    under_test.run();
    BOOST_TEST(told->error == error_code());
    BOOST_TEST(told->bytes > 0u);
    BOOST_TEST(told->bytes < much.size());
    under_test.check_native();
}

// Others may share the descriptor's modes: a program's standard input is that of the shell behind it.
BOOST_AUTO_TEST_CASE_TEMPLATE(a_native_descriptor_keeps_its_modes, Context, uring_contexts)
{
    Context under_test;
    if (!under_test.is_native())
        return;
    auto ends = make_pipe();
    stream_descriptor reader(under_test.ctx(), ::fcntl(ends.first.get(), F_DUPFD_CLOEXEC, 0));
    char byte = 0;
    const auto told = std::make_shared<outcome>();
    reader.async_read_some(asio::buffer(&byte, 1), record_in(told));
    under_test.settle();
    BOOST_TEST((::fcntl(ends.first.get(), F_GETFL) & O_NONBLOCK) == 0);
    BOOST_TEST(::write(ends.second.get(), "x", 1) == 1);
    under_test.run();
    BOOST_TEST(byte == 'x');
    BOOST_TEST((::fcntl(ends.first.get(), F_GETFL) & O_NONBLOCK) == 0);
}

ON_ALL_CONTEXTS(a_non_blocking_descriptor_still_waits_in_async_operations, under_test)
{
    pipe_ends p(under_test);
    p.reader.cancel();
    stream_descriptor reader(under_test.ctx(), p.reader.release());
    reader.non_blocking(true);
    BOOST_TEST(reader.non_blocking());
    error_code error;
    reader.read_some(asio::buffer(p.bytes), error);
    BOOST_TEST(error == asio::error::would_block);
    const auto told = std::make_shared<outcome>();
    reader.async_read_some(asio::buffer(p.bytes), record_in(told));
    under_test.settle();
    BOOST_TEST(told->calls == 0);
    p.writer.write_some(asio::buffer("abc", 3));
    under_test.run();
    BOOST_TEST(told->error == error_code());
    BOOST_TEST(told->bytes == 3u);
    reader.native_non_blocking(true);
    BOOST_TEST(reader.native_non_blocking());
    under_test.check_native();
}

ON_ALL_CONTEXTS(a_descriptor_closed_in_flight_leaves_its_number_to_the_next, under_test)
{
    pipe_ends p(under_test);
    const auto told = std::make_shared<outcome>();
    p.reader.async_read_some(asio::buffer(p.bytes), record_in(told));
    under_test.settle();
    const int number = p.reader.native_handle();
    p.reader.close();
    auto ends = make_pipe();
    const descriptor again(::fcntl(ends.first.get(), F_DUPFD_CLOEXEC, number));
    BOOST_TEST(::write(ends.second.get(), "mine", 4) == 4);
    under_test.run();
    BOOST_TEST(told->error == asio::error::operation_aborted);
    BOOST_TEST(p.bytes[0] == 0);
    BOOST_TEST(read_now(ends.first.get()) == "mine");
    under_test.check_native();
}

ON_ALL_CONTEXTS(a_descriptor_converts_to_other_executors, under_test)
{
    auto ends = make_pipe();
    asio::posix::basic_stream_descriptor<asio::io_context::executor_type> typed(under_test.ctx().get_executor(),
                                                                                ends.first.release());
    stream_descriptor erased(std::move(typed));
    BOOST_TEST(!typed.is_open());
    char bytes[8];
    const auto told = std::make_shared<outcome>();
    erased.async_read_some(asio::buffer(bytes), record_in(told));
    under_test.settle();
    stream_descriptor target(under_test.ctx());
    target = std::move(erased);
    BOOST_TEST(::write(ends.second.get(), "abc", 3) == 3);
    under_test.run();
    BOOST_TEST(told->bytes == 3u);
    under_test.check_native();
}

// As Boost.Process waits for its children.
ON_ALL_CONTEXTS(a_process_can_be_waited_for, under_test)
{
    auto life_line = make_pipe();
    const pid_t child = ::fork();
    if (child == 0) // it lives as long as this process holds the other end
    {
        ::close(life_line.second.get());
        char nothing;
        ::_exit(::read(life_line.first.get(), &nothing, 1) != 0);
    }
    const int fd = static_cast<int>(::syscall(SYS_pidfd_open, child, 0));
    if (fd < 0)
    {
        BOOST_TEST_MESSAGE("skipped: there is no pidfd_open here");
        life_line.second.reset();
        ::waitpid(child, nullptr, 0);
        return;
    }
    stream_descriptor process(under_test.ctx(), fd);
    const auto told = std::make_shared<outcome>();
    process.async_wait(stream_descriptor::wait_read, record_in(told));
    under_test.settle();
    BOOST_TEST(told->calls == 0);
    life_line.second.reset();
    under_test.run();
    BOOST_TEST(told->error == error_code());
    int status = 0;
    BOOST_TEST(::waitpid(child, &status, 0) == child);
    BOOST_TEST(status == 0);
    under_test.check_native();
}

ON_ALL_CONTEXTS(what_cannot_be_assigned_is_refused, under_test)
{
    pipe_ends p(under_test);
    error_code error;
    stream_descriptor second(under_test.ctx());
    second.assign(p.reader.native_handle(), error);
    BOOST_TEST(error == error_code(EEXIST, asio::error::get_system_category()));
    second.assign(-1, error);
    BOOST_TEST(error == asio::error::bad_descriptor);
    second.close(error);
    BOOST_TEST(error == error_code());
    second.cancel(error);
    BOOST_TEST(error == asio::error::bad_descriptor);
    p.writer.assign(p.reader.native_handle(), error);
    BOOST_TEST(error == asio::error::already_open);
}

ON_ALL_CONTEXTS(a_terminal_gives_lines, under_test)
{
    const int master = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    BOOST_TEST_REQUIRE(master >= 0);
    BOOST_TEST(::grantpt(master) == 0);
    BOOST_TEST(::unlockpt(master) == 0);
    const int slave = ::open(::ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    stream_descriptor terminal(under_test.ctx(), slave);
    stream_descriptor keyboard(under_test.ctx(), master);
    std::string line;
    const auto told = std::make_shared<outcome>();
    asio::async_read_until(terminal, asio::dynamic_buffer(line), '\n', record_in(told));
    const auto typed = std::make_shared<outcome>();
    asio::async_write(keyboard, asio::buffer("hello\n", 6), record_in(typed));
    under_test.run();
    BOOST_TEST(told->bytes == 6u);
    BOOST_TEST(line == "hello\n");
    under_test.check_native(2);
}

BOOST_AUTO_TEST_SUITE_END()
