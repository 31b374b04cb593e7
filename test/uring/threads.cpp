// SPDX-License-Identifier: BSL-1.0
// Which threads may do what with a context, and that operations outlive the thread that started them.
#include <zsync/uring/uring_context.hpp>

#include "support/descriptors.hpp"
#include "support/native_sockets.hpp"
#include "support/needs_ring.hpp"

#include <boost/asio.hpp>
#include <boost/system/system_error.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <array>
#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include <sys/resource.h>

namespace asio = boost::asio;
using boost::system::error_code;
using test::answer;
using test::connection;
using test::context_mode;
using test::native_acceptor;
using test::native_executor;
using test::native_socket;
using test::run_all;
using test::tcp;

namespace
{

void on_another_thread(const std::function<void()>& f)
{
    std::thread(f).join();
}

// One operation of each kind that has to wait, on sockets of one context.
class waiting_operations
{
public:
    // A connect that has to wait does so for a second: not every case can afford it.
    explicit waiting_operations(zsync::uring_context& ctx, bool with_connect = false)
        : receiving_(ctx),
          waiting_(ctx),
          acceptor_(ctx.native_executor(), test::any_port()),
          accepted_(ctx.native_executor()),
          connecting_(ctx.native_executor())
    {
        if (with_connect)
            listener_.emplace();
    }

    void start()
    {
        receiving_.socket.async_receive(asio::buffer(data_), received.handler());
        waiting_.socket.async_wait(tcp::socket::wait_read, ready.handler());
        acceptor_.async_accept(accepted_, accepted.handler());
        if (listener_)
            connecting_.async_connect(listener_->endpoint(), connected.handler());
    }

    int count() const { return listener_ ? 4 : 3; }

    void satisfy()
    {
        if (listener_)
            listener_->make_room();
        receiving_.send("hello");
        waiting_.send("x");
        peer_ = test::make_tcp_socket();
        const auto address = acceptor_.local_endpoint();
        BOOST_REQUIRE_EQUAL(::connect(peer_.get(), address.data(), static_cast<socklen_t>(address.size())), 0);
    }

    void check_success()
    {
        BOOST_TEST(received.succeeded(), "receive: " << received);
        BOOST_TEST(received.bytes == 5u);
        BOOST_TEST(std::string(data_.data(), received.bytes) == "hello");
        BOOST_TEST(ready.succeeded(), "wait: " << ready);
        BOOST_TEST(accepted.succeeded(), "accept: " << accepted);
        BOOST_TEST(accepted_.is_open());
        if (!listener_)
            return;
        BOOST_TEST(connected.succeeded(), "connect: " << connected);
        error_code failure;
        connecting_.remote_endpoint(failure);
        BOOST_TEST(failure == error_code());
    }

    int calls() const { return received.calls + ready.calls + accepted.calls + connected.calls; }

    answer received, ready, accepted, connected;

private:
    connection receiving_;
    connection waiting_;
    native_acceptor acceptor_;
    native_socket accepted_;
    native_socket connecting_;
    std::optional<test::full_listener> listener_;
    test::descriptor peer_;
    std::array<char, 8> data_{};
};

BOOST_AUTO_TEST_SUITE(uring_threads, *boost::unit_test::precondition(test::needs_ring))

BOOST_DATA_TEST_CASE(operations_outlive_the_thread_that_initiated_them, test::locked_modes)
{
    zsync::uring_context ctx(test::options_of(sample));
    waiting_operations all(ctx);
    on_another_thread([&] { all.start(); });
    all.satisfy();
    BOOST_TEST(run_all(ctx));
    all.check_success();
    BOOST_TEST(ctx.counters().operations_started == static_cast<std::uint64_t>(all.count()));
}

BOOST_DATA_TEST_CASE(operations_outlive_a_thread_that_started_them_while_another_slept, test::locked_modes)
{
    zsync::uring_context ctx(test::options_of(sample));
    waiting_operations all(ctx, true);
    test::runners running(ctx);
    // The loop has been asleep at least once, and most probably is again.
    BOOST_TEST(test::eventually([&] { return ctx.counters().ring_enters > 0; }));
    on_another_thread([&] { all.start(); });
    all.satisfy();
    BOOST_TEST(running.join());
    all.check_success();
    BOOST_TEST(ctx.counters().operations_started == static_cast<std::uint64_t>(all.count()));
}

BOOST_DATA_TEST_CASE(poll_on_a_thread_that_ends_then_run_on_another, test::locked_modes)
{
    zsync::uring_context ctx(test::options_of(sample));
    waiting_operations all(ctx, true);
    on_another_thread(
        [&]
        {
            all.start();
            ctx.poll();
        });
    BOOST_TEST(all.calls() == 0);
    all.satisfy();
    on_another_thread([&] { BOOST_TEST(run_all(ctx)); });
    all.check_success();
}

BOOST_DATA_TEST_CASE(poll_here_then_run_on_another_thread, test::locked_modes)
{
    zsync::uring_context ctx(test::options_of(sample));
    waiting_operations all(ctx);
    all.start();
    ctx.poll();
    BOOST_TEST(all.calls() == 0);
    all.satisfy();
    on_another_thread([&] { BOOST_TEST(run_all(ctx)); });
    all.check_success();
}

// Each thread may get the identity that the one before it has left.
BOOST_DATA_TEST_CASE(many_threads_take_their_turn_one_after_the_other, test::locked_modes)
{
    zsync::uring_context ctx(test::options_of(sample));
    waiting_operations all(ctx);
    all.start();
    for (int times = 0; times < 10; ++times)
    {
        connection other(ctx);
        std::array<char, 4> data{};
        answer received;
        on_another_thread(
            [&]
            {
                other.socket.async_receive(asio::buffer(data), received.handler());
                ctx.poll();
                other.send("data");
                const auto end = std::chrono::steady_clock::now() + test::patience;
                while (received.calls == 0 && ctx.run_one_until(end) != 0)
                    ;
            });
        BOOST_TEST(received.succeeded(), "receive: " << received);
        BOOST_TEST(received.bytes == 4u);
    }
    BOOST_TEST(all.calls() == 0);
    all.satisfy();
    BOOST_TEST(run_all(ctx));
    all.check_success();
}

BOOST_DATA_TEST_CASE(a_third_thread_may_destroy_a_context_with_operations_in_flight, test::locked_modes)
{
    auto ctx = std::make_unique<zsync::uring_context>(test::options_of(sample));
    auto all = std::make_unique<waiting_operations>(*ctx, true);
    const auto owned = std::make_shared<int>();
    auto other = std::make_unique<connection>(*ctx);
    char byte = 0;
    on_another_thread(
        [&]
        {
            all->start();
            other->socket.async_receive(asio::buffer(&byte, 1), [owned](error_code, std::size_t) {});
        });
    on_another_thread([&] { ctx->poll(); });
    BOOST_TEST(owned.use_count() == 2);
    on_another_thread(
        [&]
        {
            other.reset();
            all.reset();
            ctx.reset();
        });
    BOOST_TEST(owned.use_count() == 1);
}

BOOST_DATA_TEST_CASE(a_context_is_destroyed_while_its_last_thread_lives_on, test::locked_modes)
{
    struct keeper
    {
        native_socket socket;
        std::array<char, 4> data{};
    };
    auto ctx = std::make_unique<zsync::uring_context>(test::options_of(sample));
    test::descriptor peer;
    std::weak_ptr<keeper> alive;
    {
        connection made(*ctx);
        const auto kept = std::make_shared<keeper>(keeper{std::move(made.socket)});
        peer = std::move(made.peer);
        alive = kept;
        kept->socket.async_receive(asio::buffer(kept->data), [kept](error_code, std::size_t) {});
    }
    std::atomic<bool> polled{false};
    std::atomic<bool> destroyed{false};
    std::thread last(
        [&]
        {
            ctx->poll();
            polled = true;
            test::eventually([&] { return destroyed.load(); });
        });
    BOOST_TEST(test::eventually([&] { return polled.load(); }));
    ctx.reset();
    destroyed = true;
    last.join();
    BOOST_TEST(alive.expired());
    // The kernel has let go of the socket: its other end sees it closed.
    char byte;
    BOOST_TEST(::recv(peer.get(), &byte, 1, 0) == 0);
}

BOOST_DATA_TEST_CASE(threads_outside_run_may_start_and_cancel, test::locked_modes)
{
    constexpr int threads = 3;
    constexpr int times = 60;
    zsync::uring_context ctx(test::options_of(sample));
    std::atomic<int> cancelled{0}, received{0}, wrong{0};
    test::runners running(ctx);
    {
        std::deque<std::thread> outside;
        for (int number = 0; number < threads; ++number)
            outside.emplace_back(
                [&, number]
                {
                    for (int i = number; i < number + times; ++i)
                    {
                        connection on(ctx);
                        asio::cancellation_signal signal;
                        std::array<char, 4> data{};
                        std::atomic<bool> done{false};
                        // A slot belongs to the thread that runs the handler: only its operation uses it here, and the
                        // emission is ordered before whatever that can do.
                        const auto ended = [&](error_code error, std::size_t bytes)
                        {
                            if (error == asio::error::operation_aborted)
                                ++cancelled;
                            else if (!error && bytes == 4 && data == std::array{'d', 'a', 't', 'a'})
                                ++received;
                            else
                                ++wrong;
                            done = true;
                        };
                        if (i % 4 == 0)
                            on.socket.async_receive(asio::buffer(data),
                                                    asio::bind_cancellation_slot(signal.slot(), ended));
                        else
                            on.socket.async_receive(asio::buffer(data), ended);
                        switch (i % 4)
                        {
                        case 0:
                            signal.emit(asio::cancellation_type::total);
                            break;
                        case 1:
                            on.socket.cancel();
                            break;
                        case 2:
                            on.socket.close();
                            break;
                        default:
                            on.send("data");
                            break;
                        }
                        if (!test::eventually([&] { return done.load(); }))
                            std::abort(); // the handler refers to what is here
                    }
                });
        for (auto& each : outside)
            each.join();
    }
    BOOST_TEST(running.join());
    BOOST_TEST(wrong == 0);
    BOOST_TEST(received == threads * times / 4);
    BOOST_TEST(cancelled == threads * times * 3 / 4);
    BOOST_TEST(ctx.counters().operations_started == static_cast<std::uint64_t>(threads * times));
}

// Echoes until the end of the stream, each session on a strand of its own.
class session : public std::enable_shared_from_this<session>
{
public:
    using strand = asio::strand<native_executor>;

    session(native_socket socket, std::atomic<int>& ended)
        : strand_(socket.get_executor()), socket_(std::move(socket)), ended_(ended)
    {
        socket_.set_option(tcp::no_delay(true));
    }

    void read()
    {
        socket_.async_read_some(asio::buffer(data_),
                                asio::bind_executor(strand_,
                                                    [self = shared_from_this()](error_code error, std::size_t bytes)
                                                    {
                                                        if (error)
                                                            ++self->ended_;
                                                        else
                                                            self->write(bytes);
                                                    }));
    }

private:
    void write(std::size_t bytes)
    {
        asio::async_write(socket_, asio::buffer(data_, bytes),
                          asio::bind_executor(strand_,
                                              [self = shared_from_this()](error_code error, std::size_t)
                                              {
                                                  if (error)
                                                      ++self->ended_;
                                                  else
                                                      self->read();
                                              }));
    }

    strand strand_;
    native_socket socket_;
    std::atomic<int>& ended_;
    std::array<char, 256> data_;
};

// Sends messages, each after the echo of the one before it; then closes, so that the session ends.
class client : public std::enable_shared_from_this<client>
{
public:
    client(zsync::uring_context& ctx, int number, int messages, std::atomic<int>& right)
        : strand_(ctx.native_executor()),
          socket_(ctx.native_executor()),
          left_(messages),
          right_(right),
          next_(static_cast<char>(number))
    {
    }

    void start(const tcp::endpoint& server)
    {
        socket_.async_connect(server, asio::bind_executor(strand_,
                                                          [self = shared_from_this()](error_code error)
                                                          {
                                                              if (error)
                                                                  return;
                                                              self->socket_.set_option(tcp::no_delay(true));
                                                              self->talk();
                                                          }));
    }

private:
    void talk()
    {
        if (left_-- == 0)
        {
            socket_.close();
            return;
        }
        sent_.fill(next_++);
        auto both = asio::bind_executor(strand_,
                                        [self = shared_from_this()](error_code error, std::size_t)
                                        {
                                            if (error || self->received_ != self->sent_)
                                                return;
                                            ++self->right_;
                                            self->talk();
                                        });
        asio::async_write(socket_, asio::buffer(sent_),
                          asio::bind_executor(strand_, [self = shared_from_this()](error_code, std::size_t) {}));
        asio::async_read(socket_, asio::buffer(received_), std::move(both));
    }

    asio::strand<native_executor> strand_;
    native_socket socket_;
    int left_;
    std::atomic<int>& right_;
    char next_;
    std::array<char, 300> sent_;
    std::array<char, 300> received_{};
};

void accept_all(native_acceptor& acceptor, int& left, std::atomic<int>& ended)
{
    acceptor.async_accept(
        [&](error_code error, native_socket accepted)
        {
            if (error)
                return;
            std::make_shared<session>(std::move(accepted), ended)->read();
            if (--left > 0)
                accept_all(acceptor, left, ended);
        });
}

// Posts, cancels and closes, on a context that has more to do.
void disturb(zsync::uring_context& ctx, int times, std::atomic<int>& posts, std::atomic<int>& aborted)
{
    struct idle
    {
        connection on;
        std::array<char, 1> data;

        explicit idle(zsync::uring_context& context) : on(context) {}
    };
    for (int i = 0; i < times; ++i)
    {
        asio::post(ctx, [&posts] { ++posts; });
        const auto kept = std::make_shared<idle>(ctx);
        kept->on.socket.async_receive(asio::buffer(kept->data), [kept, &aborted](error_code error, std::size_t)
                                      { aborted += error == asio::error::operation_aborted; });
        if (i % 2)
            kept->on.socket.close();
        else
            kept->on.socket.cancel();
        asio::post(ctx.native_executor(), [&posts] { ++posts; });
    }
}

void echo_with_disturbance(zsync::uring_context& ctx, int threads)
{
    constexpr int connections = 32;
    constexpr int messages = 25;
    constexpr int disturbers = 2;
    constexpr int disturbances = 100;
    std::atomic<int> ended{0}, right{0}, posts{0}, aborted{0};
    native_acceptor acceptor(ctx.native_executor(), test::any_port());
    int to_accept = connections;
    accept_all(acceptor, to_accept, ended);
    for (int i = 0; i < connections; ++i)
        std::make_shared<client>(ctx, i, messages, right)->start(acceptor.local_endpoint());
    {
        test::runners running(ctx, threads);
        std::deque<std::thread> others;
        for (int i = 0; i < disturbers; ++i)
            others.emplace_back([&] { disturb(ctx, disturbances, posts, aborted); });
        for (auto& each : others)
            each.join();
        BOOST_TEST(running.join());
    }
    BOOST_TEST(right == connections * messages);
    BOOST_TEST(ended == connections);
    BOOST_TEST(posts == 2 * disturbers * disturbances);
    BOOST_TEST(aborted == disturbers * disturbances);
    BOOST_TEST(ctx.counters().operations_started >= static_cast<std::uint64_t>(connections * messages * 2));
    BOOST_TEST(ctx.counters().operations_started == ctx.counters().operations_completed);
}

BOOST_AUTO_TEST_CASE(four_threads_in_run_serve_many_connections_amid_posts_cancels_and_closes)
{
    zsync::uring_context ctx;
    echo_with_disturbance(ctx, 4);
}

BOOST_AUTO_TEST_CASE(four_threads_share_a_ring_that_is_far_too_small)
{
    zsync::uring_context ctx(zsync::uring_options{.ring_entries = 2});
    echo_with_disturbance(ctx, 4);
}

BOOST_DATA_TEST_CASE(one_thread_in_run_does_so_too, test::locked_modes)
{
    zsync::uring_context ctx(test::options_of(sample));
    echo_with_disturbance(ctx, 1);
}

BOOST_DATA_TEST_CASE(threads_that_come_and_go_lose_nothing, test::locked_modes)
{
    // Stopped again and again in the middle of it, and gone on with by another thread.
    zsync::uring_context ctx(test::options_of(sample));
    constexpr int connections = 8;
    constexpr int messages = 20;
    std::atomic<int> ended{0}, right{0};
    native_acceptor acceptor(ctx.native_executor(), test::any_port());
    int to_accept = connections;
    accept_all(acceptor, to_accept, ended);
    for (int i = 0; i < connections; ++i)
        std::make_shared<client>(ctx, i, messages, right)->start(acceptor.local_endpoint());
    const auto end = std::chrono::steady_clock::now() + test::patience;
    while (ended < connections && std::chrono::steady_clock::now() < end)
        on_another_thread(
            [&]
            {
                ctx.restart();
                for (int i = 0; i < 7; ++i)
                    ctx.run_one_until(end);
                ctx.poll_one();
            });
    BOOST_TEST(right == connections * messages);
    BOOST_TEST(ended == connections);
    BOOST_TEST(ctx.counters().operations_started == ctx.counters().operations_completed);
}

BOOST_AUTO_TEST_CASE(with_one_thread_one_is_stopped_another_completes_and_a_third_destroys)
{
    auto ctx = std::make_unique<zsync::uring_context>(zsync::uring_options{.one_thread = true});
    auto all = std::make_unique<waiting_operations>(*ctx, true);
    auto forever = std::make_unique<connection>(*ctx);
    char byte = 0;
    answer never;
    on_another_thread(
        [&]
        {
            all->start();
            forever->socket.async_receive(asio::buffer(&byte, 1), never.handler());
            asio::steady_timer timer(*ctx, std::chrono::milliseconds(5));
            timer.async_wait([&](error_code) { ctx->stop(); });
            ctx->run();
        });
    BOOST_TEST(ctx->stopped());
    BOOST_TEST(all->calls() == 0);
    all->satisfy();
    on_another_thread(
        [&]
        {
            ctx->restart();
            const auto end = std::chrono::steady_clock::now() + test::patience;
            while (all->calls() < all->count() && ctx->run_one_until(end) != 0)
                ;
        });
    all->check_success();
    BOOST_TEST(never.calls == 0);
    on_another_thread(
        [&]
        {
            all.reset();
            ctx->restart();
            ctx->poll();
            forever.reset();
        });
    BOOST_TEST(never.calls == 0); // the next run function tells
    ctx->restart();
    ctx->poll();
    BOOST_TEST(never.calls == 1);
    BOOST_TEST(never.error == asio::error::operation_aborted);
    on_another_thread([&] { ctx.reset(); });
}

BOOST_AUTO_TEST_CASE(with_one_thread_it_can_be_run_through_a_reference_to_io_context)
{
    zsync::uring_context ctx(zsync::uring_options{.one_thread = true});
    asio::io_context& base = ctx;
    waiting_operations all(ctx);
    all.start();
    on_another_thread([&] { base.poll(); });
    BOOST_TEST(all.calls() == 0);
    all.satisfy();
    on_another_thread([&] { base.run_for(test::patience); });
    BOOST_TEST(base.stopped());
    all.check_success();
}

BOOST_AUTO_TEST_CASE(with_one_thread_both_ways_of_running_it_can_alternate)
{
    zsync::uring_context ctx(zsync::uring_options{.one_thread = true});
    asio::io_context& base = ctx;
    waiting_operations all(ctx);
    all.start();
    ctx.poll();
    on_another_thread([&] { base.poll(); });
    ctx.poll();
    on_another_thread([&] { base.poll_one(); });
    on_another_thread([&] { ctx.poll_one(); });
    BOOST_TEST(all.calls() == 0);
    all.satisfy();
    BOOST_TEST(run_all(ctx));
    all.check_success();
}

BOOST_AUTO_TEST_CASE(with_one_thread_a_run_inside_a_handler_keeps_the_ring)
{
    zsync::uring_context ctx(zsync::uring_options{.one_thread = true});
    connection inner(ctx), outer(ctx);
    std::array<char, 4> data{};
    answer first, second;
    asio::post(ctx,
               [&]
               {
                   outer.socket.async_receive(asio::buffer(data), second.handler());
                   inner.socket.async_receive(asio::buffer(data), first.handler());
                   inner.send("one");
                   while (first.calls == 0 && ctx.run_one_for(test::patience) != 0)
                       ;
                   BOOST_TEST(first.bytes == 3u);
                   outer.send("four");
               });
    BOOST_TEST(run_all(ctx));
    BOOST_TEST(first.succeeded());
    BOOST_TEST(second.succeeded());
    BOOST_TEST(second.bytes == 4u);
}

BOOST_AUTO_TEST_CASE(with_one_thread_an_exception_out_of_run_leaves_it_to_another_thread)
{
    zsync::uring_context ctx(zsync::uring_options{.one_thread = true});
    waiting_operations all(ctx);
    all.start();
    on_another_thread(
        [&]
        {
            ctx.poll();
            asio::post(ctx, [] { throw std::runtime_error("out of a handler"); });
            BOOST_CHECK_THROW(ctx.run(), std::runtime_error);
        });
    all.satisfy();
    on_another_thread([&] { BOOST_TEST(run_all(ctx)); });
    all.check_success();
}

BOOST_DATA_TEST_CASE(a_post_wakes_a_thread_that_sleeps_in_run, test::locked_modes)
{
    zsync::uring_context ctx(test::options_of(sample));
    connection idle(ctx);
    char byte;
    answer received;
    idle.socket.async_receive(asio::buffer(&byte, 1), received.handler());
    std::atomic<int> posts{0};
    test::runners running(ctx);
    for (int i = 0; i < 500; ++i)
    {
        asio::post(ctx, [&] { ++posts; });
        if (!test::eventually([&] { return posts == i + 1; }))
            break;
    }
    BOOST_TEST(posts == 500);
    asio::post(ctx, [&] { idle.socket.cancel(); });
    BOOST_TEST(running.join());
    BOOST_TEST(received.error == asio::error::operation_aborted);
}

// The change needs a descriptor for a moment, and does without.
BOOST_AUTO_TEST_CASE(a_second_thread_takes_over_where_there_is_no_descriptor_left)
{
    zsync::uring_context ctx;
    connection on(ctx);
    std::array<char, 8> data{};
    answer received;
    on.socket.async_receive(asio::buffer(data), received.handler());
    ctx.poll();
    // UndefinedBehaviorSanitizer takes a pipe to look at an object whose type it sees for the first time.
    BOOST_CHECK_THROW(throw boost::system::system_error(error_code(EMFILE, boost::system::system_category()), "ring"),
                      boost::system::system_error);
    rlimit normal{};
    ::getrlimit(RLIMIT_NOFILE, &normal);
    std::string failure;
    std::thread second(
        [&]
        {
            const rlimit none{0, normal.rlim_max};
            ::setrlimit(RLIMIT_NOFILE, &none);
            try
            {
                ctx.poll();
                on.send("hello");
                run_all(ctx);
            }
            catch (const std::exception& error)
            {
                failure = error.what();
            }
            ::setrlimit(RLIMIT_NOFILE, &normal);
        });
    second.join();
    BOOST_TEST(failure == "");
    BOOST_TEST(run_all(ctx));
    BOOST_TEST(received.succeeded(), "receive: " << received);
    BOOST_TEST(received.bytes == 5u);
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace
