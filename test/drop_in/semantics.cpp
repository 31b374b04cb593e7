// SPDX-License-Identifier: BSL-1.0
// What a program may rely on with a stock socket, beyond its operations: descriptors, moves, executors, order, threads.
#include <zsync/drop_in.hpp>

#include "contexts.hpp"
#include "sockets.hpp"

#include <support/process_state.hpp>

#include <boost/asio/generic/stream_protocol.hpp>

#include <array>
#include <atomic>
#include <filesystem>
#include <future>
#include <thread>

namespace
{

using namespace test;
using local_stream = asio::local::stream_protocol;

/// Two connected sockets: `a` is of the context under test, `b` of another that nobody runs.
struct pair
{
    explicit pair(context& under_test) : a(under_test.ctx()), b(others) { connect_pair(a, b); }

    asio::io_context others;
    tcp::socket a;
    tcp::socket b;
    char bytes[64] = {};
};

int flags_of(int descriptor)
{
    return ::fcntl(descriptor, F_GETFL);
}

bool closes_on_exec(int descriptor)
{
    return (::fcntl(descriptor, F_GETFD) & FD_CLOEXEC) != 0;
}

/// A context that runs on a thread of its own, until the end of the scope.
class running
{
public:
    explicit running(context& under_test)
        : under_test_(under_test),
          work_(asio::make_work_guard(under_test.ctx())),
          thread_([this] { under_test_.run_here(); })
    {
    }

    ~running()
    {
        under_test_.ctx().stop();
        thread_.join();
    }

    running(const running&) = delete;
    running& operator=(const running&) = delete;

private:
    context& under_test_;
    asio::executor_work_guard<asio::io_context::executor_type> work_;
    std::thread thread_;
};

template <class T>
bool comes(std::future<T>& future)
{
    return future.wait_for(context::watchdog) == std::future_status::ready;
}

} // namespace

BOOST_AUTO_TEST_SUITE(drop_in_semantics)

// Modes and descriptors.

ON_ALL_CONTEXTS(a_non_blocking_socket_still_waits_in_async_operations, under_test)
{
    pair p(under_test);
    p.a.non_blocking(true);
    error_code error;
    p.a.read_some(asio::buffer(p.bytes), error);
    BOOST_TEST(error == asio::error::would_block);

    const auto told = std::make_shared<outcome>();
    p.a.async_read_some(asio::buffer(p.bytes), record_in(told));
    under_test.settle();
    BOOST_TEST(told->calls == 0);
    p.b.send(asio::buffer("abc", 3));
    under_test.run();
    BOOST_TEST(told->bytes == 3u);
    BOOST_TEST(p.a.non_blocking());
    BOOST_TEST((flags_of(p.a.native_handle()) & O_NONBLOCK) != 0);

    // And an accept and a write, which find nothing to do at first.
    tcp::acceptor acceptor(under_test.ctx(), any_port());
    acceptor.non_blocking(true);
    const auto accepted = std::make_shared<outcome>();
    acceptor.async_accept(record_in(accepted));
    fill(p.a.native_handle());
    const auto wrote = std::make_shared<outcome>();
    p.a.async_write_some(asio::buffer(p.bytes), record_in(wrote));
    under_test.settle();
    BOOST_TEST((accepted->calls == 0 && wrote->calls == 0));
    tcp::socket late(p.others);
    late.connect(acceptor.local_endpoint());
    BOOST_TEST(
        under_test.run_until([&] { return accepted->calls && wrote->calls; }, [&] { drain(p.b.native_handle()); }));
    BOOST_TEST(accepted->connected);
    BOOST_TEST(wrote->bytes == sizeof p.bytes);

    p.a.non_blocking(false);
    BOOST_TEST(!p.a.non_blocking());
    under_test.check_native(3);
}

ON_ALL_CONTEXTS(message_flags_that_forbid_waiting_are_waited_for, under_test)
{
    pair p(under_test);
    const auto told = std::make_shared<outcome>();
    p.a.async_receive(asio::buffer(p.bytes), MSG_DONTWAIT, record_in(told));
    under_test.settle();
    BOOST_TEST(told->calls == 0);
    p.b.send(asio::buffer("abc", 3));
    under_test.run();
    BOOST_TEST(told->error == error_code());
    BOOST_TEST(told->bytes == 3u);

    fill(p.a.native_handle());
    p.a.async_send(asio::buffer(p.bytes), MSG_DONTWAIT, record_in(told));
    under_test.settle();
    BOOST_TEST(told->calls == 1);
    BOOST_TEST(under_test.run_until([&] { return told->calls == 2; }, [&] { drain(p.b.native_handle()); }));
    BOOST_TEST(told->error == error_code());
    under_test.check_native(2);
}

ON_ALL_CONTEXTS(a_receive_with_waitall_completes_with_what_is_there, under_test)
{
    pair p(under_test);
    const auto told = std::make_shared<outcome>();
    p.a.async_receive(asio::buffer(p.bytes), MSG_WAITALL, record_in(told));
    under_test.settle();
    p.b.send(asio::buffer("abc", 3));
    under_test.run();
    BOOST_TEST(told->bytes == 3u);
    under_test.check_native();
}

ON_ALL_CONTEXTS(available_counts_what_no_operation_has_taken, under_test)
{
    pair p(under_test);
    p.b.send(asio::buffer("hello", 5));
    BOOST_TEST_REQUIRE(wait_for_event(p.a.native_handle(), POLLIN));
    BOOST_TEST(p.a.available() == 5u);
    const auto told = std::make_shared<outcome>();
    p.a.async_read_some(asio::buffer(p.bytes, 2), record_in(told));
    under_test.run();
    BOOST_TEST(told->bytes == 2u);
    BOOST_TEST(p.a.available() == 3u);
    // Synchronous reads see the rest, in order.
    BOOST_TEST(p.a.read_some(asio::buffer(p.bytes)) == 3u);
    BOOST_TEST(std::string(p.bytes, 3) == "llo");
    BOOST_TEST(p.a.available() == 0u);
    under_test.check_native();
}

ON_ALL_CONTEXTS(native_handle_stays_the_same, under_test)
{
    pair p(under_test);
    const int descriptor = p.a.native_handle();
    const auto told = std::make_shared<outcome>();
    p.b.send(asio::buffer("a", 1));
    p.a.async_read_some(asio::buffer(p.bytes), record_in(told));
    under_test.run();
    BOOST_TEST(p.a.native_handle() == descriptor);
    tcp::socket moved(std::move(p.a));
    BOOST_TEST(moved.native_handle() == descriptor);
    BOOST_TEST(p.a.native_handle() == -1);
}

ON_ALL_CONTEXTS(a_released_descriptor_has_every_byte, under_test)
{
    for (int round = 0; round < 20; ++round)
    {
        pair p(under_test);
        const auto told = std::make_shared<outcome>();
        p.a.async_read_some(asio::buffer(p.bytes), record_in(told));
        if (round % 2)
            under_test.settle();
        const int descriptor = p.a.release();
        BOOST_TEST(!p.a.is_open());
        p.b.send(asio::buffer("hello", 5));
        under_test.run();
        BOOST_TEST(told->calls == 1);
        BOOST_TEST(told->error == asio::error::operation_aborted);
        BOOST_TEST_REQUIRE(wait_for_event(descriptor, POLLIN));
        std::string rest;
        drain(descriptor, &rest);
        BOOST_TEST(rest == "hello");

        // It may go back into the same socket, and go on.
        p.a.assign(tcp::v4(), descriptor);
        p.b.send(asio::buffer("again", 5));
        p.a.async_read_some(asio::buffer(p.bytes), record_in(told));
        under_test.run();
        BOOST_TEST(told->calls == 2);
        BOOST_TEST(told->bytes == 5u);
        BOOST_TEST(std::string(p.bytes, 5) == "again");
        under_test.check_native(2);
    }
}

ON_ALL_CONTEXTS(an_adopted_descriptor_works, under_test)
{
    asio::io_context others;
    tcp::socket foreign(others);
    tcp::socket other(others);
    connect_pair(foreign, other);
    tcp::socket adopted(under_test.ctx(), tcp::v4(), foreign.release());
    char bytes[8];
    const auto told = std::make_shared<outcome>();
    other.send(asio::buffer("hi", 2));
    adopted.async_read_some(asio::buffer(bytes), record_in(told));
    under_test.run();
    BOOST_TEST(told->bytes == 2u);
    BOOST_TEST(adopted.remote_endpoint() == other.local_endpoint());

    int ends[2];
    BOOST_TEST_REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    local_stream::socket first(under_test.ctx(), local_stream(), ends[0]);
    local_stream::socket second(under_test.ctx(), local_stream(), ends[1]);
    first.async_send(asio::buffer("local", 5), record_in(told));
    second.async_receive(asio::buffer(bytes), record_in(told));
    under_test.run();
    BOOST_TEST(told->calls == 3);
    BOOST_TEST(told->bytes == 5u);

    // A duplicate is another descriptor, and may be used beside the first one.
    tcp::socket twin(under_test.ctx(), tcp::v4(), ::dup(adopted.native_handle()));
    other.send(asio::buffer("twin", 4));
    twin.async_read_some(asio::buffer(bytes), record_in(told));
    under_test.run();
    BOOST_TEST(told->bytes == 4u);
    twin.close();
    other.send(asio::buffer("first", 5));
    adopted.async_read_some(asio::buffer(bytes), record_in(told));
    under_test.run();
    BOOST_TEST(told->bytes == 5u);
    under_test.check_native(5);
}

// Asio's own sockets are inherited across exec; native ones are not.
BOOST_AUTO_TEST_CASE_TEMPLATE(native_descriptors_close_on_exec, Context, uring_contexts)
{
    Context under_test;
    if (!under_test.is_native())
        return;
    tcp::acceptor acceptor(under_test.ctx(), any_port());
    tcp::socket a(under_test.ctx(), tcp::v4());
    local_stream::socket c(under_test.ctx(), local_stream());
    tcp::socket peer(under_test.ctx());
    const auto told = std::make_shared<outcome>();
    acceptor.async_accept(peer, record_in(told));
    a.async_connect(acceptor.local_endpoint(), record_in(told));
    under_test.run();
    BOOST_TEST(told->calls == 2);
    for (const int descriptor : {acceptor.native_handle(), a.native_handle(), c.native_handle(), peer.native_handle()})
        BOOST_TEST(closes_on_exec(descriptor));
}

// Moves and conversions.

ON_ALL_CONTEXTS(a_moved_socket_takes_its_operation_along, under_test)
{
    for (const bool in_flight : {false, true})
    {
        pair p(under_test);
        const auto told = std::make_shared<outcome>();
        p.a.async_read_some(asio::buffer(p.bytes), record_in(told));
        if (in_flight)
            under_test.settle();
        tcp::socket moved(std::move(p.a));
        tcp::socket assigned(under_test.ctx());
        assigned = std::move(moved);
        BOOST_TEST(!p.a.is_open());
        p.a.close(); // neither of the empty ones has anything to say about it
        moved.close();
        under_test.settle();
        BOOST_TEST(told->calls == 0);
        p.b.send(asio::buffer("abc", 3));
        under_test.run();
        BOOST_TEST(told->error == error_code());
        BOOST_TEST(told->bytes == 3u);

        // The moved-from socket can be opened again.
        connect_pair(p.a, moved);
        moved.send(asio::buffer("de", 2));
        p.a.async_read_some(asio::buffer(p.bytes), record_in(told));
        under_test.run();
        BOOST_TEST(told->bytes == 2u);
        under_test.check_native(2);
    }
}

ON_ALL_CONTEXTS(assigning_to_a_socket_aborts_what_it_had_in_flight, under_test)
{
    for (const bool in_flight : {false, true})
    {
        pair p(under_test);
        pair q(under_test);
        const int descriptor = q.a.native_handle();
        const auto aborted = std::make_shared<outcome>();
        const auto kept = std::make_shared<outcome>();
        p.a.async_read_some(asio::buffer(p.bytes), record_in(aborted));
        q.a.async_read_some(asio::buffer(q.bytes), record_in(kept));
        if (in_flight)
            under_test.settle();
        p.a = std::move(q.a);
        BOOST_TEST(p.a.native_handle() == descriptor);
        q.b.send(asio::buffer("abc", 3));
        under_test.run();
        BOOST_TEST(aborted->error == asio::error::operation_aborted);
        BOOST_TEST(kept->bytes == 3u);
        under_test.check_native(2);
    }
}

ON_ALL_CONTEXTS(a_moved_acceptor_goes_on_accepting, under_test)
{
    asio::io_context others;
    tcp::acceptor acceptor(under_test.ctx(), any_port());
    const auto told = std::make_shared<outcome>();
    acceptor.async_accept(record_in(told));
    under_test.settle();
    tcp::acceptor moved(std::move(acceptor));
    tcp::socket late(others);
    late.connect(moved.local_endpoint());
    under_test.run();
    BOOST_TEST(told->connected);
    under_test.check_native();
}

ON_ALL_CONTEXTS(sockets_move_between_contexts_of_both_kinds, under_test)
{
    asio::io_context plain;
    pair p(under_test);
    pair q(under_test);
    tcp::socket elsewhere(plain);
    connect_pair(elsewhere, q.a = tcp::socket(under_test.ctx()));

    const auto aborted = std::make_shared<outcome>();
    p.a.async_read_some(asio::buffer(p.bytes), record_in(aborted));
    under_test.settle();
    p.a = std::move(elsewhere); // a socket of `plain` from here on
    under_test.run();
    BOOST_TEST(aborted->error == asio::error::operation_aborted);
    under_test.check_native();

    const auto told = std::make_shared<outcome>();
    p.a.async_read_some(asio::buffer(p.bytes), record_in(told));
    q.a.send(asio::buffer("abc", 3));
    plain.run_for(context::watchdog);
    BOOST_TEST(told->bytes == 3u);
    BOOST_TEST((&asio::query(p.a.get_executor(), asio::execution::context) == &plain));
    q.a.shutdown(tcp::socket::shutdown_both);

    // And back.
    pair r(under_test);
    p.a = std::move(r.a);
    r.b.send(asio::buffer("de", 2));
    p.a.async_read_some(asio::buffer(p.bytes), record_in(told));
    under_test.run();
    BOOST_TEST(told->bytes == 2u);
    under_test.check_native();
}

ON_ALL_CONTEXTS(a_socket_converts_to_a_generic_one, under_test)
{
    for (const bool in_flight : {false, true})
    {
        pair p(under_test);
        const auto told = std::make_shared<outcome>();
        p.a.async_read_some(asio::buffer(p.bytes), record_in(told));
        if (in_flight)
            under_test.settle();
        asio::generic::stream_protocol::socket generic(std::move(p.a));
        BOOST_TEST(!p.a.is_open());
        p.b.send(asio::buffer("abc", 3));
        under_test.run();
        BOOST_TEST(told->bytes == 3u);
        under_test.check_native();

        generic.async_send(asio::buffer("de", 2), record_in(told));
        generic.async_receive(asio::buffer(p.bytes), record_in(told));
        under_test.settle();
        generic.cancel();
        under_test.run();
        BOOST_TEST(told->calls == 3);
        BOOST_TEST(told->error == asio::error::operation_aborted);
        BOOST_TEST(p.b.read_some(asio::buffer(p.bytes)) == 2u);

        // By assignment, and connected by an endpoint of its own.
        tcp::acceptor acceptor(p.others, any_port());
        generic = tcp::socket(under_test.ctx());
        BOOST_TEST(!generic.is_open());
        generic.async_connect(asio::generic::stream_protocol::endpoint(acceptor.local_endpoint()), record_in(told));
        under_test.run();
        BOOST_TEST(told->error == error_code());
        under_test.check_native(3);
    }
}

// Executors.

namespace
{

template <class Executor>
void use_executor(context& under_test, const Executor& executor, bool in_strand)
{
    using socket_type = asio::basic_stream_socket<tcp, Executor>;
    using acceptor_type = asio::basic_socket_acceptor<tcp, Executor>;
    acceptor_type acceptor(executor, any_port());
    socket_type client(executor);
    char bytes[8];
    int calls = 0;
    // Of the handlers' executors, only a strand can tell that it is the one that runs them.
    const auto here = [&]
    {
        if constexpr (requires { executor.running_in_this_thread(); })
            BOOST_TEST(executor.running_in_this_thread());
        else
            BOOST_TEST(!in_strand);
        ++calls;
    };
    std::optional<socket_type> server;
    acceptor.async_accept(
        [&](error_code error, socket_type accepted)
        {
            here();
            BOOST_TEST(error == error_code());
            server.emplace(std::move(accepted));
            BOOST_TEST((server->get_executor() == executor));
            server->async_read_some(asio::buffer(bytes), [&](error_code, std::size_t) { here(); });
        });
    client.async_connect(acceptor.local_endpoint(),
                         [&](error_code error)
                         {
                             here();
                             BOOST_TEST(error == error_code());
                             client.async_write_some(asio::buffer("x", 1), [&](error_code, std::size_t) { here(); });
                         });
    under_test.run();
    BOOST_TEST(calls == 4);
    under_test.check_native(4);

    // Any of them converts to the stock type, which is native still.
    tcp::socket stock(std::move(client));
    const auto told = std::make_shared<outcome>();
    stock.async_read_some(asio::buffer(bytes), record_in(told));
    under_test.settle();
    stock.cancel();
    under_test.run();
    BOOST_TEST(told->error == asio::error::operation_aborted);
    under_test.check_native();
}

} // namespace

ON_ALL_CONTEXTS(sockets_of_any_io_executor_are_native, under_test)
{
    use_executor(under_test, under_test.executor(), false);
}

ON_ALL_CONTEXTS(sockets_of_the_contexts_executor_are_native, under_test)
{
    use_executor(under_test, under_test.ctx().get_executor(), false);
}

ON_ALL_CONTEXTS(sockets_of_a_strand_are_native, under_test)
{
    use_executor(under_test, asio::make_strand(under_test.ctx()), true);
}

ON_ALL_CONTEXTS(sockets_of_an_erased_strand_are_native, under_test)
{
    use_executor(under_test, asio::any_io_executor(asio::make_strand(under_test.ctx())), false);
}

ON_ALL_CONTEXTS(a_handler_runs_on_its_own_executor, under_test)
{
    pair p(under_test);
    asio::io_context other;
    int calls = 0;
    p.b.send(asio::buffer("abc", 3));
    p.a.async_read_some(asio::buffer(p.bytes), asio::bind_executor(other, [&](error_code, std::size_t) { ++calls; }));
    BOOST_TEST(under_test.run_until([&] { return p.a.available() == 0; }));
    under_test.settle();
    BOOST_TEST(calls == 0);
    other.run_for(context::watchdog); // has had work all the time
    BOOST_TEST(calls == 1);
    under_test.check_native();
}

// Descriptor numbers.

namespace
{

/// Makes a pair of local sockets, the first of them by a number that has just become free.
void take_number(int number, int (&ends)[2])
{
    BOOST_TEST_REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    if (ends[0] == number)
        return;
    if (ends[1] == number)
        std::swap(ends[0], ends[1]);
    else
    {
        BOOST_TEST_REQUIRE(::dup3(ends[0], number, O_CLOEXEC) == number);
        ::close(std::exchange(ends[0], number));
    }
}

} // namespace

ON_ALL_CONTEXTS(the_next_owner_of_a_descriptor_number_loses_no_byte, under_test)
{
    for (int round = 0; round < 200; ++round)
    {
        auto p = std::make_unique<pair>(under_test);
        const int number = p->a.native_handle();
        const auto told = std::make_shared<outcome>();
        p->a.async_read_some(asio::buffer(p->bytes), record_in(told));
        const auto waited = std::make_shared<outcome>();
        p->a.async_wait(tcp::socket::wait_read, record_in(waited));
        if (round % 3)
            under_test.settle(); // else the kernel has not seen it yet
        p->a.close();

        int ends[2];
        take_number(number, ends);
        BOOST_TEST_REQUIRE(::send(ends[0], "left", 4, MSG_NOSIGNAL) == 4);
        BOOST_TEST_REQUIRE(::send(ends[1], "right", 5, MSG_NOSIGNAL) == 5);
        under_test.run();
        BOOST_TEST(told->error == asio::error::operation_aborted);
        BOOST_TEST(waited->error == asio::error::operation_aborted);
        std::string left, right;
        drain(ends[1], &left);
        drain(ends[0], &right);
        BOOST_TEST(left == "left");
        BOOST_TEST(right == "right");
        ::close(ends[0]);
        ::close(ends[1]);
        under_test.check_native(2);
    }
}

ON_ALL_CONTEXTS(nor_does_it_when_another_thread_runs_the_context, under_test)
{
    struct shared
    {
        std::promise<error_code> done;
        char bytes[64];
    };
    bool all_came = true;
    {
        running thread(under_test);
        for (int round = 0; round < 200 && all_came; ++round)
        {
            const auto state = std::make_shared<shared>();
            auto done = state->done.get_future();
            pair p(under_test);
            const int number = p.a.native_handle();
            p.a.async_read_some(asio::buffer(state->bytes),
                                [state](error_code error, std::size_t) { state->done.set_value(error); });
            p.a.close();

            int ends[2];
            take_number(number, ends);
            BOOST_TEST_REQUIRE(::send(ends[0], "left", 4, MSG_NOSIGNAL) == 4);
            BOOST_TEST_REQUIRE(::send(ends[1], "right", 5, MSG_NOSIGNAL) == 5);
            all_came = comes(done);
            if (all_came)
                BOOST_TEST(done.get() == asio::error::operation_aborted);
            std::string left, right;
            drain(ends[1], &left);
            drain(ends[0], &right);
            BOOST_TEST(left == "left");
            BOOST_TEST(right == "right");
            ::close(ends[0]);
            ::close(ends[1]);
        }
    }
    BOOST_TEST(all_came);
    under_test.check_native(200);
}

ON_ALL_CONTEXTS(a_number_closed_behind_the_sockets_back_can_be_assigned_again, under_test)
{
    pair p(under_test);
    const int number = p.a.native_handle();
    pair q(under_test);
    ::close(number);
    BOOST_TEST_REQUIRE(::dup3(q.a.native_handle(), number, O_CLOEXEC) == number);
    tcp::socket twin(under_test.ctx());
    error_code error;
    twin.assign(tcp::v4(), number, error);
    BOOST_TEST(error == error_code());
    const auto told = std::make_shared<outcome>();
    q.b.send(asio::buffer("abc", 3));
    twin.async_read_some(asio::buffer(q.bytes), record_in(told));
    under_test.run();
    BOOST_TEST(told->bytes == 3u);
    under_test.check_native();
}

// Several operations at once.

ON_ALL_CONTEXTS(cancelling_one_of_two_leaves_the_other, under_test)
{
    pair p(under_test);
    fill(p.a.native_handle());
    asio::cancellation_signal signal;
    const auto read = std::make_shared<outcome>();
    const auto wrote = std::make_shared<outcome>();
    p.a.async_read_some(asio::buffer(p.bytes), record_in(read, signal.slot()));
    p.a.async_write_some(asio::buffer(p.bytes), record_in(wrote));
    under_test.settle();
    signal.emit(asio::cancellation_type::total);
    BOOST_TEST(under_test.run_until([&] { return read->calls != 0; }));
    BOOST_TEST(read->error == asio::error::operation_aborted);
    BOOST_TEST(wrote->calls == 0);
    BOOST_TEST(under_test.run_until([&] { return wrote->calls != 0; }, [&] { drain(p.b.native_handle()); }));
    BOOST_TEST(wrote->error == error_code());
    under_test.check_native(2);
}

ON_ALL_CONTEXTS(receives_get_their_bytes_in_the_order_of_their_initiation, under_test)
{
    pair p(under_test);
    std::array<std::shared_ptr<outcome>, 8> told;
    std::array<char, 8> bytes{};
    std::string order;
    for (std::size_t i = 0; i < told.size(); ++i)
    {
        told[i] = std::make_shared<outcome>();
        p.a.async_read_some(asio::buffer(&bytes[i], 1),
                            [&order, i](error_code, std::size_t) { order += static_cast<char>('a' + i); });
    }
    under_test.settle();
    p.b.send(asio::buffer("abcdefgh", 8));
    under_test.run();
    BOOST_TEST(std::string(bytes.data(), bytes.size()) == "abcdefgh");
    BOOST_TEST(order == "abcdefgh");
    under_test.check_native(8);
}

ON_ALL_CONTEXTS(sends_put_their_bytes_in_the_order_of_their_initiation, under_test)
{
    pair p(under_test);
    fill(p.a.native_handle());
    std::string order;
    constexpr std::size_t count = 8;
    for (std::size_t i = 0; i < count; ++i)
        p.a.async_write_some(asio::buffer(&"abcdefgh"[i], 1),
                             [&order, i](error_code, std::size_t) { order += static_cast<char>('a' + i); });
    under_test.settle();
    BOOST_TEST(order == "");
    std::string received;
    BOOST_TEST(
        under_test.run_until([&] { return order.size() == count; }, [&] { drain(p.b.native_handle(), &received); }));
    BOOST_TEST(order == "abcdefgh");
    p.a.close();
    BOOST_TEST(wait_for_event(p.b.native_handle(), POLLRDHUP));
    drain(p.b.native_handle(), &received);
    BOOST_TEST_REQUIRE(received.size() > count);
    BOOST_TEST(received.substr(received.size() - count) == "abcdefgh");
    under_test.check_native(count);
}

// Asio tries a write when it is initiated: programs may rely on it.
ON_ALL_CONTEXTS(a_write_comes_before_the_shutdown_that_follows_it, under_test)
{
    pair p(under_test);
    const auto told = std::make_shared<outcome>();
    p.a.async_write_some(asio::buffer("last", 4), record_in(told));
    p.a.shutdown(tcp::socket::shutdown_send);
    under_test.run();
    BOOST_TEST(told->error == error_code());
    BOOST_TEST(told->bytes == 4u);
    under_test.check_native();
}

ON_ALL_CONTEXTS(a_write_comes_before_the_close_that_follows_it, under_test)
{
    pair p(under_test);
    const auto told = std::make_shared<outcome>();
    p.a.async_write_some(asio::buffer("last", 4), record_in(told));
    p.a.close();
    under_test.run();
    BOOST_TEST(told->error == error_code());
    BOOST_TEST(told->bytes == 4u);
    under_test.check_native();
}

ON_ALL_CONTEXTS(a_write_comes_before_the_synchronous_one_that_follows_it, under_test)
{
    pair p(under_test);
    const auto told = std::make_shared<outcome>();
    p.a.async_write_some(asio::buffer("first ", 6), record_in(told));
    p.a.write_some(asio::buffer("second", 6));
    under_test.run();
    p.a.close();
    BOOST_TEST(wait_for_event(p.b.native_handle(), POLLRDHUP));
    std::string received;
    drain(p.b.native_handle(), &received);
    BOOST_TEST(received == "first second");
    under_test.check_native();
}

ON_ALL_CONTEXTS(ten_thousand_operations_may_start_before_the_first_run, under_test)
{
    constexpr std::size_t pairs = 10;
    constexpr std::size_t each = 1'000;
    std::vector<std::unique_ptr<pair>> all;
    std::vector<char> bytes(pairs * each);
    std::size_t received = 0;
    std::size_t ready = 0;
    for (std::size_t i = 0; i < pairs; ++i)
        all.push_back(std::make_unique<pair>(under_test));
    for (std::size_t i = 0; i < pairs * each; ++i)
    {
        tcp::socket& socket = all[i % pairs]->a;
        socket.async_read_some(asio::buffer(&bytes[i], 1),
                               [&](error_code error, std::size_t count) { received += !error && count == 1; });
        if (i % 10 == 0)
            socket.async_wait(tcp::socket::wait_write, [&](error_code error) { ready += !error; });
    }
    const std::string sent(each, 'x');
    for (auto& p : all)
        asio::write(p->b, asio::buffer(sent));
    under_test.run();
    BOOST_TEST(received == pairs * each);
    BOOST_TEST(ready == pairs * each / 10);
    BOOST_TEST((bytes == std::vector<char>(pairs * each, 'x')));
    under_test.check_native(pairs * each);
}

ON_ALL_CONTEXTS(ten_thousand_operations_can_be_cancelled_at_once, under_test)
{
    constexpr std::size_t count = 10'000;
    pair p(under_test);
    std::size_t aborted = 0;
    for (const bool in_flight : {false, true})
    {
        for (std::size_t i = 0; i < count; ++i)
            p.a.async_read_some(asio::buffer(p.bytes), [&](error_code error, std::size_t)
                                { aborted += error == asio::error::operation_aborted; });
        if (in_flight)
            under_test.settle();
        p.a.cancel();
        under_test.run();
        BOOST_TEST(aborted == (in_flight ? 2 : 1) * count);
    }
    p.b.send(asio::buffer("abc", 3));
    BOOST_TEST(p.a.read_some(asio::buffer(p.bytes)) == 3u);
    under_test.check_native(2 * count);
}

// Local sockets.

ON_ALL_CONTEXTS(local_pairs_carry_bytes_both_ways, under_test)
{
    local_stream::socket a(under_test.ctx());
    local_stream::socket b(under_test.ctx());
    asio::local::connect_pair(a, b);
    std::string sent(1'000'000, 'l');
    std::string there(sent.size(), ' ');
    std::string back(sent.size(), ' ');
    int done = 0;
    const auto count = [&](error_code error, std::size_t) { done += !error; };
    asio::async_write(a, asio::buffer(sent), count);
    asio::async_read(b, asio::buffer(there), count);
    asio::async_write(b, asio::buffer(sent), count);
    asio::async_read(a, asio::buffer(back), count);
    under_test.run();
    BOOST_TEST(done == 4);
    BOOST_TEST((there == sent && back == sent));
    under_test.check_native(4);
}

ON_ALL_CONTEXTS(local_sockets_meet_at_a_file, under_test)
{
    std::string directory = (std::filesystem::temp_directory_path() / "zsync-XXXXXX").string();
    BOOST_TEST_REQUIRE(::mkdtemp(directory.data()));
    const local_stream::endpoint file(directory + "/socket");
    {
        local_stream::acceptor acceptor(under_test.ctx(), file);
        local_stream::socket client(under_test.ctx());
        local_stream::socket server(under_test.ctx());
        local_stream::endpoint from(directory);
        int done = 0;
        acceptor.async_accept(server, from, [&](error_code error) { done += !error; });
        client.async_connect(file, [&](error_code error) { done += !error; });
        under_test.run();
        BOOST_TEST(done == 2);
        BOOST_TEST(from.path() == ""); // a client that has no name
        BOOST_TEST(client.remote_endpoint() == file);
        under_test.check_native(1);

        char byte = 0;
        server.async_read_some(asio::buffer(&byte, 1), [&](error_code error, std::size_t) { done += !error; });
        under_test.settle();
        client.async_write_some(asio::buffer("x", 1), [&](error_code error, std::size_t) { done += !error; });
        under_test.run();
        BOOST_TEST(done == 4);
        BOOST_TEST(byte == 'x');
        under_test.check_native(2);

        error_code error;
        local_stream::acceptor second(under_test.ctx());
        second.open();
        second.bind(file, error);
        BOOST_TEST(error == asio::error::address_in_use);
    }
    std::filesystem::remove_all(directory);
}

// Lifetimes.

ON_ALL_CONTEXTS(a_socket_outlives_the_handler_that_was_given_it, under_test)
{
    asio::io_context others;
    tcp::socket client(others);
    std::optional<tcp::socket> kept;
    {
        tcp::acceptor acceptor(under_test.ctx(), any_port());
        acceptor.async_accept([&](error_code, tcp::socket accepted) { kept.emplace(std::move(accepted)); });
        client.connect(acceptor.local_endpoint());
        under_test.run();
    }
    BOOST_TEST_REQUIRE(kept.has_value());
    const auto told = std::make_shared<outcome>();
    char bytes[8];
    client.send(asio::buffer("abc", 3));
    kept->async_read_some(asio::buffer(bytes), record_in(told));
    under_test.run();
    BOOST_TEST(told->bytes == 3u);
    under_test.check_native(2);
}

namespace
{

/// Counts whether what it is a member of was destroyed.
struct witness
{
    explicit witness(int& count) : count_(&count) {}
    witness(witness&& other) noexcept : count_(std::exchange(other.count_, nullptr)) {}
    ~witness()
    {
        if (count_)
            ++*count_;
    }

    int* count_;
};

asio::awaitable<void> read_for_ever(tcp::socket socket, witness)
{
    char bytes[8];
    for (;;)
        co_await socket.async_read_some(asio::buffer(bytes), asio::use_awaitable);
}

} // namespace

ON_ALL_CONTEXTS(sockets_may_die_with_handlers_in_the_contexts_destructor, under_test)
{
    const std::size_t before = open_descriptors();
    int destroyed = 0;
    {
        const auto fresh = [&]
        {
            pair p(under_test);
            return tcp::socket(std::move(p.a));
        };
        // In a handler that was posted and never run,
        asio::post(under_test.ctx(), [s = fresh(), w = witness(destroyed)] {});
        // behind a timer, which another service destroys,
        auto timer = std::make_shared<asio::steady_timer>(under_test.ctx(), std::chrono::hours(1));
        timer->async_wait([timer, s = fresh(), w = witness(destroyed)](error_code) {});
        // behind a signal set and a datagram socket, which Asio's reactor destroys,
        auto signals = std::make_shared<asio::signal_set>(under_test.ctx(), SIGUSR2);
        signals->async_wait([signals, s = fresh(), w = witness(destroyed)](error_code, int) {});
        auto udp = std::make_shared<asio::ip::udp::socket>(
            under_test.ctx(), asio::ip::udp::endpoint(asio::ip::address_v4::loopback(), 0));
        udp->async_wait(asio::ip::udp::socket::wait_read, [udp, s = fresh(), w = witness(destroyed)](error_code) {});
        // in the handler of its own operation, of another one's, and in one that waits for both,
        auto one = std::make_shared<pair>(under_test);
        one->a.async_read_some(asio::buffer(one->bytes),
                               [one, s = fresh(), w = witness(destroyed)](error_code, std::size_t) {});
        one->a.async_wait(tcp::socket::wait_read, [one, s = fresh(), w = witness(destroyed)](error_code) {});
        // in a coroutine that has not begun, and in a strand.
        asio::co_spawn(under_test.ctx(), read_for_ever(fresh(), witness(destroyed)), asio::detached);
        asio::post(asio::make_strand(under_test.ctx()), [s = fresh(), w = witness(destroyed)] {});
    }
    under_test.destroy();
    BOOST_TEST(destroyed == 8);
    // The context under test had descriptors of its own, and is gone.
    BOOST_TEST(open_descriptors() <= before);
}

ON_ALL_CONTEXTS(a_coroutine_in_flight_dies_with_its_context, under_test)
{
    int destroyed = 0;
    asio::io_context others;
    tcp::socket other(others);
    {
        tcp::socket socket(under_test.ctx());
        connect_pair(socket, other);
        asio::co_spawn(under_test.ctx(), read_for_ever(std::move(socket), witness(destroyed)), asio::detached);
    }
    under_test.settle();
    BOOST_TEST(destroyed == 0);
    under_test.check_native();
    under_test.destroy();
    BOOST_TEST(destroyed == 1);
    // Its connection is closed.
    BOOST_TEST(wait_for_event(other.native_handle(), POLLRDHUP));
}

// Threads.

ON_ALL_CONTEXTS(operations_started_elsewhere_reach_the_thread_that_runs, under_test)
{
    struct shared
    {
        std::promise<std::size_t> done;
        char bytes[64];
    };
    bool all_came = true;
    std::size_t total = 0;
    pair p(under_test);
    {
        running thread(under_test);
        for (int round = 0; round < 200 && all_came; ++round)
        {
            const auto state = std::make_shared<shared>();
            auto done = state->done.get_future();
            p.a.async_read_some(asio::buffer(state->bytes),
                                [state](error_code, std::size_t count) { state->done.set_value(count); });
            p.b.send(asio::buffer("abc", 3));
            all_came = comes(done);
            total += all_came ? done.get() : 0;
        }
    }
    BOOST_TEST(all_came);
    BOOST_TEST(total == 600u);
    under_test.check_native(200);
}

namespace
{

asio::awaitable<void> echo(tcp::socket& socket)
{
    char bytes[64];
    try
    {
        for (;;)
        {
            const std::size_t count = co_await socket.async_read_some(asio::buffer(bytes), asio::use_awaitable);
            co_await asio::async_write(socket, asio::buffer(bytes, count), asio::use_awaitable);
        }
    }
    catch (const boost::system::system_error&)
    {
    }
}

asio::awaitable<void> ping(tcp::socket& socket, int rounds, std::atomic<int>& echoed)
{
    char bytes[8];
    for (int i = 0; i < rounds; ++i)
    {
        co_await asio::async_write(socket, asio::buffer("12345678", 8), asio::use_awaitable);
        echoed += co_await asio::async_read(socket, asio::buffer(bytes), asio::use_awaitable) == 8;
    }
    socket.close();
}

} // namespace

ON_ALL_CONTEXTS(several_threads_may_run_it, under_test)
{
    constexpr int pairs = 8;
    constexpr int rounds = 200;
    const bool one_thread = under_test.uring() && dynamic_cast<one_thread_uring_context*>(&under_test);
    std::atomic<int> echoed{0};
    std::vector<std::unique_ptr<std::pair<tcp::socket, tcp::socket>>> all;
    for (int i = 0; i < pairs; ++i)
    {
        all.push_back(std::make_unique<std::pair<tcp::socket, tcp::socket>>(tcp::socket(under_test.ctx()),
                                                                            tcp::socket(under_test.ctx())));
        connect_pair(all.back()->first, all.back()->second);
        asio::co_spawn(asio::make_strand(under_test.ctx()), echo(all.back()->first), asio::detached);
        asio::co_spawn(asio::make_strand(under_test.ctx()), ping(all.back()->second, rounds, echoed), asio::detached);
    }
    std::vector<std::thread> threads;
    const int count = under_test.uring() && (one_thread || dynamic_cast<hint_1_uring_context*>(&under_test)) ? 1 : 3;
    std::promise<void> ended;
    auto end = ended.get_future();
    std::atomic<int> running_threads{count};
    for (int i = 0; i < count; ++i)
        threads.emplace_back(
            [&]
            {
                under_test.run_here();
                if (--running_threads == 0)
                    ended.set_value();
            });
    BOOST_TEST(comes(end));
    under_test.ctx().stop();
    for (std::thread& thread : threads)
        thread.join();
    BOOST_TEST(echoed == pairs * rounds);
    under_test.check_native(4 * pairs * rounds);
}

BOOST_AUTO_TEST_SUITE_END()
