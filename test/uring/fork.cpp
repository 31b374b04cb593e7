// SPDX-License-Identifier: BSL-1.0
// notify_fork(): each operation is then either complete in both processes or in flight in both.
#include <zsync/uring/uring_context.hpp>

#include "support/child_process.hpp"
#include "support/native_sockets.hpp"
#include "support/needs_ring.hpp"
#include "support/process_state.hpp"

#include <boost/asio.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include <dirent.h>
#include <sys/wait.h>
#include <unistd.h>

namespace asio = boost::asio;
using boost::system::error_code;
using test::answer;
using test::child_voice;
using test::connection;
using test::native_acceptor;
using test::native_socket;
using test::run_all;
using test::tcp;

namespace
{

// What every process is to have received in the end.
class operations
{
public:
    explicit operations(zsync::uring_context& ctx, bool with_connect = false)
        : receiving_(ctx),
          acceptor_(ctx.native_executor(), test::any_port()),
          accepted_(ctx.native_executor()),
          connecting_(ctx.native_executor()),
          timer_(ctx, std::chrono::milliseconds(50)),
          native_timer_(ctx.native_executor(), std::chrono::milliseconds(50)),
          wall_timer_(ctx.native_executor(), std::chrono::milliseconds(50))
    {
        receiving_.socket.async_receive(asio::buffer(data_), received_.handler());
        acceptor_.async_accept(accepted_, accept_.handler());
        timer_.async_wait(timeout_.handler());
        native_timer_.async_wait(native_timeout_.handler());
        wall_timer_.async_wait(wall_timeout_.handler());
        if (!with_connect) // it takes a second
            return;
        listener_.emplace();
        connecting_.async_connect(listener_->endpoint(), connect_.handler());
    }

    int native_count() const { return listener_ ? 3 : 2; }

    std::string complete(zsync::uring_context& ctx)
    {
        if (listener_)
            listener_->make_room();
        receiving_.send("hello");
        const auto peer = test::make_tcp_socket();
        const auto address = acceptor_.local_endpoint();
        if (::connect(peer.get(), address.data(), static_cast<socklen_t>(address.size())) != 0)
            return "no connection to the acceptor";
        if (!run_all(ctx))
            return "still running";

        std::string told;
        if (received_.succeeded())
            told += std::string(data_.data(), received_.bytes) + ' ';
        if (accept_.succeeded() && accepted_.remote_endpoint().address().is_loopback())
            told += "accepted ";
        if (timeout_.succeeded() && native_timeout_.succeeded() && wall_timeout_.succeeded())
            told += "timeout ";
        if (connect_.succeeded() && connecting_.remote_endpoint() == listener_->endpoint())
            told += "connected ";
        return told;
    }

private:
    connection receiving_;
    native_acceptor acceptor_;
    native_socket accepted_;
    native_socket connecting_;
    asio::steady_timer timer_;
    asio::steady_timer::rebind_executor<test::native_executor>::other native_timer_;
    asio::system_timer::rebind_executor<test::native_executor>::other wall_timer_;
    std::optional<test::full_listener> listener_;
    std::array<char, 8> data_{};
    answer received_, accept_, timeout_, native_timeout_, wall_timeout_, connect_;
};

const std::string everything = "hello accepted timeout ";

// Forks as one has to. The child does `f`, and then the parent goes on.
template <class Function>
test::child_result fork_properly(zsync::uring_context& ctx, Function f)
{
    ctx.notify_fork(asio::execution_context::fork_prepare);
    const auto result = test::run_in_child(
        [&](const child_voice& voice)
        {
            ctx.notify_fork(asio::execution_context::fork_child);
            f(voice);
        });
    ctx.notify_fork(asio::execution_context::fork_parent);
    return result;
}

std::size_t descriptors_named(const std::string& name)
{
    std::size_t count = 0;
    DIR* const directory = ::opendir("/proc/self/fd");
    while (const dirent* entry = directory ? ::readdir(directory) : nullptr)
    {
        std::array<char, 256> target{};
        const auto size = ::readlinkat(::dirfd(directory), entry->d_name, target.data(), target.size() - 1);
        count += size > 0 && name == target.data();
    }
    if (directory)
        ::closedir(directory);
    return count;
}

const std::string ring_name = "anon_inode:[io_uring]";

BOOST_AUTO_TEST_SUITE(uring_fork, *boost::unit_test::precondition(test::needs_ring))

BOOST_DATA_TEST_CASE(what_is_in_flight_completes_in_both_processes, test::locked_modes)
{
    zsync::uring_context ctx(test::options_of(sample));
    operations all(ctx, true);
    ctx.poll();
    const auto child = fork_properly(ctx, [&](const child_voice& voice) { voice.say(all.complete(ctx)); });
    BOOST_TEST(child.ok(), child);
    BOOST_TEST(child.text == everything + "connected ");
    BOOST_TEST(all.complete(ctx) == everything + "connected ");
    BOOST_TEST(ctx.counters().operations_started == static_cast<std::uint64_t>(all.native_count()));
}

BOOST_DATA_TEST_CASE(what_was_started_and_not_yet_run_completes_in_both_processes, test::locked_modes)
{
    zsync::uring_context ctx(test::options_of(sample));
    operations all(ctx);
    const auto child = fork_properly(ctx, [&](const child_voice& voice) { voice.say(all.complete(ctx)); });
    BOOST_TEST(child.ok(), child);
    BOOST_TEST(child.text == everything);
    BOOST_TEST(all.complete(ctx) == everything);
}

BOOST_DATA_TEST_CASE(what_another_thread_had_run_completes_in_both_processes, test::locked_modes)
{
    zsync::uring_context ctx(test::options_of(sample));
    operations all(ctx);
    std::thread([&] { ctx.poll(); }).join();
    const auto child = fork_properly(ctx, [&](const child_voice& voice) { voice.say(all.complete(ctx)); });
    BOOST_TEST(child.ok(), child);
    BOOST_TEST(child.text == everything);
    BOOST_TEST(all.complete(ctx) == everything);
}

BOOST_DATA_TEST_CASE(children_of_children_go_on, test::locked_modes)
{
    zsync::uring_context ctx(test::options_of(sample));
    operations all(ctx);
    ctx.poll();
    const auto child = fork_properly(ctx,
                                     [&](const child_voice& voice)
                                     {
                                         ctx.poll();
                                         const auto grandchild = fork_properly(ctx, [&](const child_voice& inner)
                                                                               { inner.say(all.complete(ctx)); });
                                         voice.say(grandchild.text);
                                         voice.say(all.complete(ctx));
                                     });
    BOOST_TEST(child.ok(), child);
    BOOST_TEST(child.text == everything + everything);
    BOOST_TEST(all.complete(ctx) == everything);
}

BOOST_DATA_TEST_CASE(a_process_may_fork_many_times, test::locked_modes)
{
    zsync::uring_context ctx(test::options_of(sample));
    operations all(ctx);
    const auto before = test::open_descriptors();
    for (int times = 0; times < 5; ++times)
    {
        ctx.poll();
        const auto child = fork_properly(ctx, [&](const child_voice& voice) { voice.say(all.complete(ctx)); });
        BOOST_TEST(child.text == everything);
    }
    BOOST_TEST(test::open_descriptors() == before);
    BOOST_TEST(all.complete(ctx) == everything);
}

BOOST_DATA_TEST_CASE(a_connect_that_is_refused_is_refused_in_both_processes, test::locked_modes)
{
    zsync::uring_context ctx(test::options_of(sample));
    test::full_listener listener;
    native_socket socket(ctx.native_executor());
    answer connected;
    socket.async_connect(listener.endpoint(), connected.handler());
    ctx.poll();
    const auto child = fork_properly(ctx,
                                     [&](const child_voice& voice)
                                     {
                                         ::shutdown(listener.socket.get(), SHUT_RDWR); // for the parent's, too
                                         voice.check(run_all(ctx), "it ends");
                                         voice.say(connected.error.message());
                                     });
    BOOST_TEST(child.ok(), child);
    BOOST_TEST(child.text == error_code(asio::error::connection_refused).message());
    BOOST_TEST(connected.calls == 0);
    BOOST_TEST(run_all(ctx));
    BOOST_TEST(connected.error == asio::error::connection_refused);
}

// Both processes wait for the same bytes, at the same time.
BOOST_DATA_TEST_CASE(each_byte_reaches_one_process_only, test::locked_modes)
{
    const auto both = test::run_in_child(
        [&](const child_voice& voice)
        {
            zsync::uring_context ctx(test::options_of(sample));
            connection on(ctx);
            auto ready = test::make_pipe();
            char byte = 0;
            answer received;
            on.socket.async_receive(asio::buffer(&byte, 1), received.handler());
            ctx.poll();
            ctx.notify_fork(asio::execution_context::fork_prepare);
            const ::pid_t child = ::fork();
            ctx.notify_fork(child ? asio::execution_context::fork_parent : asio::execution_context::fork_child);
            ctx.poll(); // in the kernel's hands again
            char token = 'r';
            if (child == 0)
            {
                if (::write(ready.second.get(), &token, 1) != 1)
                    ::_exit(1);
            }
            else
            {
                if (::read(ready.first.get(), &token, 1) != 1)
                    voice.say("the child died");
                on.send("a");
                on.send("b");
            }
            const bool ended = run_all(ctx);
            if (child == 0)
            {
                voice.say(ended && received.succeeded() ? std::string(1, byte) : "child failed");
                ::_exit(0);
            }
            ::waitpid(child, nullptr, 0);
            voice.say(ended && received.succeeded() ? std::string(1, byte) : "parent failed");
        });
    BOOST_TEST(both.ok(), both);
    BOOST_TEST((both.text == "ab" || both.text == "ba"), both.text);
}

// As in Asio's own example: the fork is made in a handler.
BOOST_DATA_TEST_CASE(a_handler_may_fork_a_process_for_each_connection, test::locked_modes)
{
    zsync::uring_context ctx(test::options_of(sample));
    native_acceptor acceptor(ctx.native_executor(), test::any_port());
    native_socket accepted(ctx.native_executor());
    connection mine(ctx); // in flight meanwhile
    char byte = 0;
    answer received;
    mine.socket.async_receive(asio::buffer(&byte, 1), received.handler());
    test::descriptor client;
    std::string echoes;
    int left = 3;

    const auto connect = [&]
    {
        client = test::make_tcp_socket();
        const auto address = acceptor.local_endpoint();
        BOOST_REQUIRE_EQUAL(::connect(client.get(), address.data(), static_cast<socklen_t>(address.size())), 0);
    };
    std::function<void(error_code)> serve = [&](error_code error)
    {
        BOOST_TEST(error == error_code());
        const auto child = fork_properly(
            ctx,
            [&](const child_voice& voice)
            {
                acceptor.close();
                mine.socket.close();
                std::array<char, 4> data{};
                asio::async_read(accepted, asio::buffer(data),
                                 [&](error_code, std::size_t count)
                                 { asio::async_write(accepted, asio::buffer(data, count), asio::detached); });
                voice.check(::send(client.get(), "ping", 4, 0) == 4, "the client speaks");
                // Not run(): this is a handler.
                const auto end = std::chrono::steady_clock::now() + test::patience;
                std::array<char, 4> echo{};
                while (::recv(client.get(), echo.data(), echo.size(), MSG_DONTWAIT) != 4)
                    if (ctx.run_one_for(std::chrono::milliseconds(20)) == 0 && std::chrono::steady_clock::now() > end)
                        break;
                voice.say(std::string(echo.data(), echo.size()));
            });
        BOOST_TEST(child.ok(), child);
        echoes += child.text;
        accepted.close();
        if (--left == 0)
        {
            mine.send("x");
            return;
        }
        acceptor.async_accept(accepted, serve);
        connect();
    };
    acceptor.async_accept(accepted, serve);
    connect();
    BOOST_TEST(run_all(ctx));
    BOOST_TEST(left == 0);
    BOOST_TEST(echoes == "pingpingping");
    BOOST_TEST(received.succeeded());
    BOOST_TEST(byte == 'x');
}

BOOST_DATA_TEST_CASE(the_child_has_a_ring_of_its_own_and_nothing_of_its_parents, test::locked_modes)
{
    zsync::uring_context ctx(test::options_of(sample));
    operations all(ctx);
    ctx.poll();
    const auto before = test::this_process();
    const auto rings = descriptors_named(ring_name);
    BOOST_TEST(rings == 1u);
    BOOST_TEST(before.ring_mappings > 0u);
    ctx.notify_fork(asio::execution_context::fork_prepare);
    const auto child = test::run_in_child(
        [&](const child_voice& voice)
        {
            voice.check(test::this_process().ring_mappings == 0, "the parent's ring is not mapped");
            ctx.notify_fork(asio::execution_context::fork_child);
            voice.check(ctx.engine() == zsync::engine_kind::uring, "the child has a ring");
            voice.check(descriptors_named(ring_name) == rings, "the parent's ring is closed");
            voice.check(test::this_process().ring_mappings == before.ring_mappings, "and the child's is mapped");
            // The one for the child's voice comes on top.
            voice.check(test::open_descriptors() == before.descriptors + 1, "no descriptor is left over");
            voice.check(all.complete(ctx) == everything, "all complete");
            voice.check(test::open_descriptors() == before.descriptors + 2, "and only the accepted one is new");
        });
    ctx.notify_fork(asio::execution_context::fork_parent);
    BOOST_TEST(child.ok(), child);
    BOOST_TEST(child.text == "");
    BOOST_TEST(test::this_process() == before, test::this_process() << ", was " << before);
    BOOST_TEST(all.complete(ctx) == everything);
}

BOOST_DATA_TEST_CASE(the_child_may_destroy_what_was_in_flight, test::locked_modes)
{
    auto ctx = std::make_unique<zsync::uring_context>(test::options_of(sample));
    auto all = std::make_unique<operations>(*ctx);
    ctx->poll();
    const auto child = fork_properly(*ctx,
                                     [&](const child_voice& voice)
                                     {
                                         all.reset();
                                         ctx.reset();
                                         voice.check(descriptors_named(ring_name) == 0, "no ring is left");
                                         voice.check(test::this_process().ring_mappings == 0, "no mapping is left");
                                     });
    BOOST_TEST(child.ok(), child);
    BOOST_TEST(child.text == "");
    BOOST_TEST(all->complete(*ctx) == everything);
}

BOOST_DATA_TEST_CASE(the_parent_may_end_first, test::locked_modes)
{
    const auto both = test::run_in_child(
        [&](const child_voice& voice)
        {
            auto ctx = std::make_unique<zsync::uring_context>(test::options_of(sample));
            auto all = std::make_unique<operations>(*ctx);
            auto gone = test::make_pipe();
            ctx->poll();
            ctx->notify_fork(asio::execution_context::fork_prepare);
            const ::pid_t child = ::fork();
            ctx->notify_fork(child ? asio::execution_context::fork_parent : asio::execution_context::fork_child);
            if (child != 0)
            {
                ctx->poll();
                all.reset();
                ctx.reset();
                gone.second.reset();
                ::waitpid(child, nullptr, 0);
                return;
            }
            gone.second.reset();
            char byte;
            [[maybe_unused]] const auto end = ::read(gone.first.get(), &byte, 1);
            voice.say(all->complete(*ctx));
            ::_exit(0);
        });
    BOOST_TEST(both.ok(), both);
    BOOST_TEST(both.text == everything);
}

BOOST_DATA_TEST_CASE(a_child_that_just_ends_leaves_the_parents_operations_alone, test::locked_modes)
{
    zsync::uring_context ctx(test::options_of(sample));
    operations all(ctx);
    ctx.poll();
    BOOST_TEST(test::run_in_child([](const child_voice&) {}).ok());
    BOOST_TEST(all.complete(ctx) == everything);
}

BOOST_DATA_TEST_CASE(a_child_that_executes_a_program_without_notice_takes_nothing_along, test::locked_modes)
{
    zsync::uring_context ctx(test::options_of(sample));
    operations all(ctx);
    ctx.poll();
    auto output = test::make_pipe();
    const auto child = test::run_in_child(
        [&](const child_voice&)
        {
            ::dup2(output.second.get(), STDOUT_FILENO);
            ::execl("/bin/ls", "ls", "-l", "/proc/self/fd", static_cast<char*>(nullptr));
            return 1;
        });
    BOOST_TEST(child.ok(), child);
    output.second.reset();
    std::string listed;
    std::array<char, 4096> piece;
    for (ssize_t size; (size = ::read(output.first.get(), piece.data(), piece.size())) > 0;)
        listed.append(piece.data(), static_cast<std::size_t>(size));
    BOOST_TEST(listed.find("1 -> ") != listed.npos);
    for (const char* name : {"io_uring", "eventfd", "eventpoll", "timerfd", "socket:"})
        BOOST_TEST(listed.find(name) == listed.npos, listed);
    BOOST_TEST(all.complete(ctx) == everything);
}

// exec fails, and exit() runs the destructors: of a context that this process never had.
BOOST_DATA_TEST_CASE(a_child_without_notice_may_destroy_everything, test::locked_modes)
{
    auto ctx = std::make_unique<zsync::uring_context>(test::options_of(sample));
    auto all = std::make_unique<operations>(*ctx);
    ctx->poll();
    for (const bool objects_first : {true, false})
    {
        auto both = std::make_pair(std::move(ctx), std::move(all));
        const auto child = test::run_in_child(
            [&](const child_voice& voice)
            {
                if (objects_first)
                    both.second.reset();
                else
                    both.second.release();
                both.first.reset();
                voice.check(descriptors_named(ring_name) == 0, "no ring is left");
            });
        BOOST_TEST(child.ok(), child);
        BOOST_TEST(child.text == "");
        ctx = std::move(both.first);
        all = std::move(both.second);
    }
    // The timer may have been disarmed: timerfd and epoll are shared with the child, as io_context's are.
    ctx->notify_fork(asio::execution_context::fork_prepare);
    ctx->notify_fork(asio::execution_context::fork_parent);
    BOOST_TEST(all->complete(*ctx).starts_with("hello accepted "));
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace
