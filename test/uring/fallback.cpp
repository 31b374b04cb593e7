// SPDX-License-Identifier: BSL-1.0
// Where no ring can be had, the same program runs on as a plain io_context loop. Each case in a process of its own.
#include <zsync/uring/uring_context.hpp>

#include "support/child_process.hpp"
#include "support/forbid_ring.hpp"
#include "support/native_sockets.hpp"
#include "support/needs_ring.hpp"
#include "support/process_state.hpp"

#include <boost/asio.hpp>
#include <boost/system/system_error.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>
#include <utility>

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

namespace asio = boost::asio;
using boost::system::error_code;
using test::child_voice;
using test::native_acceptor;
using test::native_executor;
using test::native_socket;
using test::tcp;
using zsync::engine_kind;

namespace
{

// A timer, and an echo over the loopback interface: with each kind of operation, cancelled ones included. Returns what
// came of it, which does not depend on the engine.
template <class Socket, class Acceptor, class Executor>
std::string program(asio::io_context& ctx, const Executor& executor)
{
    std::string told;
    Acceptor acceptor(executor, test::any_port());
    Socket client(executor);
    Socket server(executor);
    asio::steady_timer timer(ctx, std::chrono::milliseconds(1));
    std::array<char, 16> request{}, echo{};
    asio::cancellation_signal signal;

    acceptor.async_accept(
        [&](error_code error, Socket accepted)
        {
            told += "accept: " + error.message() + '\n';
            server = std::move(accepted);
            server.async_read_some(asio::buffer(request),
                                   [&](error_code read_error, std::size_t bytes)
                                   {
                                       told += "request: " + read_error.message() + ' ' + request.data() + '\n';
                                       asio::async_write(server, asio::buffer(request, bytes),
                                                         [](error_code, std::size_t) {});
                                   });
        });
    const auto ended = [&](error_code error, std::size_t bytes)
    {
        told += "echo: " + error.message() + ' ' + std::string(echo.data(), bytes) + '\n';
        client.async_read_some(asio::buffer(echo),
                               asio::bind_cancellation_slot(signal.slot(),
                                                            [&](error_code cancelled, std::size_t)
                                                            {
                                                                told += "cancelled: " + cancelled.message() + '\n';
                                                                server.close();
                                                                client.async_read_some(
                                                                    asio::buffer(echo), [&](error_code end, std::size_t)
                                                                    { told += "end: " + end.message() + '\n'; });
                                                            }));
        signal.emit(asio::cancellation_type::total);
    };
    timer.async_wait(
        [&](error_code timed)
        {
            told += "timer: " + timed.message() + '\n';
            client.async_connect(acceptor.local_endpoint(),
                                 [&](error_code error)
                                 {
                                     if (error)
                                         told += "connect: " + error.message() + '\n';
                                     asio::async_write(client, asio::buffer("hello", 5),
                                                       [](error_code, std::size_t) {});
                                     client.async_read_some(asio::buffer(echo), ended);
                                 });
        });
    ctx.run_for(test::patience);
    told += ctx.stopped() ? "done\n" : "still running\n";
    return told;
}

std::string program(zsync::uring_context& ctx)
{
    return program<native_socket, native_acceptor>(ctx, ctx.native_executor());
}

const std::string expected = "timer: Success\n"
                             "accept: Success\n"
                             "request: Success hello\n"
                             "echo: Success hello\n"
                             "cancelled: Operation canceled\n"
                             "end: End of file\n"
                             "done\n";

// The program in this process, whatever it can have; and a context that insists. Speaks if something is wrong.
void check_program(const child_voice& voice, test::context_mode mode, int expected_error, const char* reason)
{
    const auto options = test::options_of(mode);
    {
        zsync::uring_context ctx(options);
        const engine_kind engine = expected_error ? engine_kind::reactor : engine_kind::uring;
        voice.check(ctx.engine() == engine, "engine() is that of the program");
        voice.check(ctx.ring_error().value() == expected_error, "ring_error(): " + ctx.ring_error().message());
        voice.check(!ctx.ring_error() || ctx.ring_error().category() == boost::system::system_category(), "category");
        voice.check(ctx.why().find(reason) != std::string::npos, "why(): " + ctx.why());
        const std::string told = program(ctx);
        voice.check(told == expected, told);
        voice.check((ctx.counters() == zsync::metrics()) == (expected_error != 0), "it counts what the ring does");
    }
    auto insisting = options;
    insisting.require_ring = true;
    error_code thrown;
    try
    {
        zsync::uring_context ctx(insisting);
        voice.check(program(ctx) == expected, "the program on a ring that was required");
    }
    catch (const boost::system::system_error& failure)
    {
        thrown = failure.code();
    }
    voice.check(thrown.value() == expected_error,
                "with require_ring it throws the set-up's error: " + thrown.message());
}

void check_without_ring(const child_voice& voice, test::context_mode mode, int error, const char* reason)
{
    const auto before = test::this_process();
    check_program(voice, mode, error, reason);
    voice.check(test::this_process().descriptors == before.descriptors, "no descriptor is left over");
    voice.check(test::this_process().threads == before.threads, "no thread is left over");
}

// Leaves room for so many more descriptors.
bool leave_descriptors(int more)
{
    // UndefinedBehaviorSanitizer takes a pipe to look at an object whose type it sees for the first time.
    for (const auto mode : {test::context_mode::several_threads, test::context_mode::one_thread})
    {
        zsync::uring_context ctx(test::options_of(mode));
        if (program(ctx) != expected)
            return false;
    }
    try
    {
        throw boost::system::system_error(error_code(EMFILE, boost::system::system_category()), "ring");
    }
    catch (const boost::system::system_error&)
    {
    }
    try
    {
        asio::ip::make_address("none"); // as Asio's reactor throws
    }
    catch (const boost::system::system_error&)
    {
    }
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return false;
    constexpr int most = 1024;
    limit.rlim_cur = most;
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0)
        return false;
    // All of them, and then so many less.
    int last = 0;
    for (int taken; (taken = ::fcntl(0, F_DUPFD_CLOEXEC, 0)) >= 0;)
        last = taken;
    for (int i = 0; i < more; ++i)
        ::close(last - i);
    return true;
}

const auto errors = boost::unit_test::data::make({EPERM, ENOSYS, ENOMEM, EACCES});

BOOST_AUTO_TEST_SUITE(uring_fallback)

BOOST_AUTO_TEST_CASE(io_context_itself_says_what_is_expected)
{
    asio::io_context ctx;
    const std::string told = program<tcp::socket, tcp::acceptor>(ctx, ctx.get_executor());
    BOOST_TEST(told == expected);
}

BOOST_DATA_TEST_CASE(with_a_ring_the_program_says_the_same, test::all_modes)
{
    if (!test::needs_ring(0))
    {
        BOOST_TEST_MESSAGE("skipped: there is no ring here");
        return;
    }
    const auto child = test::run_in_child([&](const child_voice& voice)
                                          { check_program(voice, sample, 0, "a ring could be set up"); });
    BOOST_TEST(child.ok(), child);
    BOOST_TEST(child.text == "");
}

BOOST_DATA_TEST_CASE(with_a_filter_on_the_system_call_it_runs_on, test::all_modes* errors, mode, error)
{
    const auto child = test::run_in_child(
        [&](const child_voice& voice)
        {
            const int failure = test::forbid_system_calls({SYS_io_uring_setup}, error);
            if (failure == EINVAL)
            {
                voice.say("no filters");
                return;
            }
            voice.check(failure == 0, "the filter is installed");
            const char* reason = error == EPERM    ? "seccomp"
                                 : error == ENOSYS ? "no io_uring"
                                 : error == ENOMEM ? "memory"
                                                   : "security module";
            check_without_ring(voice, mode, error, reason);
        });
    BOOST_TEST(child.ok(), child);
    if (child.text == "no filters")
        BOOST_TEST_MESSAGE("skipped: this kernel has no seccomp filters");
    else
        BOOST_TEST(child.text == "");
}

BOOST_DATA_TEST_CASE(with_all_of_io_uring_filtered_it_runs_on, test::all_modes)
{
    const auto child = test::run_in_child(
        [&](const child_voice& voice)
        {
            if (test::forbid_ring(EPERM) != 0)
            {
                voice.say("no filters");
                return;
            }
            check_without_ring(voice, sample, EPERM, "seccomp");
        });
    BOOST_TEST(child.ok(), child);
    if (child.text == "no filters")
        BOOST_TEST_MESSAGE("skipped: this kernel has no seccomp filters");
    else
        BOOST_TEST(child.text == "");
}

// Asio's reactor needs three descriptors, and the program three sockets. The ring would need one, and another to be
// woken.
BOOST_DATA_TEST_CASE(with_too_few_descriptors_for_a_ring_a_program_that_needs_fewer_runs_on, test::all_modes)
{
    for (const int room : {3, 4})
    {
        const auto child = test::run_in_child(
            [&](const child_voice& voice)
            {
                if (!voice.check(leave_descriptors(room), "the limit is set"))
                    return;
                {
                    zsync::uring_context ctx(test::options_of(sample));
                    voice.check(ctx.engine() == engine_kind::reactor, "no ring");
                    voice.check(ctx.ring_error().value() == EMFILE, ctx.ring_error().message());
                    voice.check(ctx.why().find("RLIMIT_NOFILE") != std::string::npos, ctx.why());
                    bool expired = false;
                    asio::steady_timer timer(ctx, std::chrono::milliseconds(1));
                    timer.async_wait([&](error_code error) { expired = !error; });
                    voice.check(ctx.run_for(test::patience) == 1 && expired, "a timer expires");
                    voice.check(room == 3 || ::close(::dup(0)) == 0, "what the ring had, it gave back");
                }
                auto insisting = test::options_of(sample);
                insisting.require_ring = true;
                error_code thrown;
                try
                {
                    zsync::uring_context ctx(insisting);
                }
                catch (const boost::system::system_error& failure)
                {
                    thrown = failure.code();
                }
                voice.check(thrown.value() == EMFILE, thrown.message());
            });
        BOOST_TEST(child.ok(), child);
        BOOST_TEST(child.text == "");
    }
}

BOOST_AUTO_TEST_CASE(with_too_few_descriptors_for_anything_posted_functions_run_as_on_io_context)
{
    const auto child = test::run_in_child(
        [](const child_voice& voice)
        {
            if (!voice.check(leave_descriptors(0), "the limit is set"))
                return;
            zsync::uring_context ctx;
            voice.check(ctx.engine() == engine_kind::reactor, "no ring");
            voice.check(ctx.ring_error().value() == EMFILE, ctx.ring_error().message());
            int runs = 0;
            asio::post(ctx, [&] { ++runs; });
            voice.check(ctx.run() == 1 && runs == 1, "it runs");
        });
    BOOST_TEST(child.ok(), child);
    BOOST_TEST(child.text == "");
}

// The program itself, after what is scarce has been given back.
BOOST_DATA_TEST_CASE(a_context_without_a_ring_stays_so_when_there_are_descriptors_again, test::all_modes)
{
    const auto child = test::run_in_child(
        [&](const child_voice& voice)
        {
            rlimit before{};
            ::getrlimit(RLIMIT_NOFILE, &before);
            if (!voice.check(leave_descriptors(3), "the limit is set"))
                return;
            zsync::uring_context ctx(test::options_of(sample));
            ::setrlimit(RLIMIT_NOFILE, &before);
            voice.check(ctx.engine() == engine_kind::reactor, "no ring");
            const std::string told = program(ctx);
            voice.check(told == expected, told);
            voice.check(ctx.counters() == zsync::metrics(), "nothing was native");
        });
    BOOST_TEST(child.ok(), child);
    BOOST_TEST(child.text == "");
}

// Kernels differ in what they count against this limit: since 5.12 not the queues, from some later one on those again.
// Whatever this one does, the program runs, and the context tells the truth.
BOOST_DATA_TEST_CASE(without_locked_memory_it_runs_on, test::all_modes)
{
    for (const bool unprivileged : {false, true})
    {
        const auto child = test::run_in_child(
            [&](const child_voice& voice)
            {
                const rlimit none{0, 0};
                voice.check(::setrlimit(RLIMIT_MEMLOCK, &none) == 0, "the limit is set");
                if (unprivileged && ::geteuid() == 0)
                {
                    constexpr ::uid_t nobody = 65534;
                    voice.check(::setresgid(nobody, nobody, nobody) == 0, "another group");
                    voice.check(::setresuid(nobody, nobody, nobody) == 0, "another user");
                }
                const int error = zsync::uring_context(test::options_of(sample)).ring_error().value();
                // Children of a process without a ring cannot have one either, for another reason.
                voice.check(error == 0 || error == ENOMEM || !test::needs_ring(0), std::strerror(error));
                check_program(voice, sample, error, error == ENOMEM ? "RLIMIT_MEMLOCK" : "");
            });
        BOOST_TEST(child.ok(), child);
        BOOST_TEST(child.text == "");
    }
}

BOOST_AUTO_TEST_CASE(native_sockets_of_a_context_without_a_ring_move_and_accept_as_ever)
{
    const auto child = test::run_in_child(
        [](const child_voice& voice)
        {
            if (test::forbid_ring() != 0)
                return;
            zsync::uring_context ctx;
            native_acceptor acceptor(ctx.native_executor(), test::any_port());
            native_socket client(ctx.native_executor()), server(ctx.native_executor());
            test::answer accepted, connected, received;
            acceptor.async_accept(server, accepted.handler());
            client.async_connect(acceptor.local_endpoint(), connected.handler());
            voice.check(test::run_all(ctx), "it ends");
            voice.check(accepted.succeeded() && connected.succeeded(), "connected");
            native_socket moved(std::move(server));
            std::array<char, 4> data{};
            moved.async_receive(asio::buffer(data), received.handler());
            client.write_some(asio::buffer("data", 4));
            voice.check(test::run_all(ctx), "it ends");
            voice.check(received.succeeded() && received.bytes == 4, "received");
            // And with something in flight to the end of all.
            moved.async_receive(asio::buffer(data), [](error_code, std::size_t) {});
            ctx.poll();
        });
    BOOST_TEST(child.ok(), child);
    BOOST_TEST(child.text == "");
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace
