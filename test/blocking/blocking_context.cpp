// SPDX-License-Identifier: BSL-1.0
#include <zsync/blocking/blocking_context.hpp>

#include <zsync/core/engine.hpp>
#include <zsync/core/use_await.hpp>

#include "support/leader.hpp"
#include "support/process_state.hpp"

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/connect_pipe.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/multiple_exceptions.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/readable_pipe.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/system_executor.hpp>
#include <boost/asio/writable_pipe.hpp>
#include <boost/asio/write.hpp>
#include <boost/test/unit_test.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <future>
#include <latch>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

namespace asio = boost::asio;
using boost::system::error_code;
using boost::system::system_error;
using tcp = asio::ip::tcp;
using zsync::blocking_context;
using zsync::use_await;
using namespace std::chrono_literals;

namespace
{

const error_code aborted = asio::error::operation_aborted;
const error_code deadlock = make_error_code(boost::system::errc::resource_deadlock_would_occur);
const tcp::endpoint loopback(asio::ip::address_v4::loopback(), 0);

struct failure : std::runtime_error
{
    failure() : runtime_error("on purpose") {}
};

/// An io_context that another thread runs.
class run_elsewhere
{
public:
    run_elsewhere() : thread_([this] { context_.run(); }) {}
    ~run_elsewhere()
    {
        context_.stop();
        thread_.join();
    }
    asio::io_context& operator*() { return context_; }

private:
    asio::io_context context_;
    asio::executor_work_guard<asio::io_context::executor_type> work_{context_.get_executor()};
    std::thread thread_;
};

struct pipe_ends
{
    explicit pipe_ends(blocking_context& ctx) : reader(ctx), writer(ctx) { asio::connect_pipe(reader, writer); }

    asio::readable_pipe reader;
    asio::writable_pipe writer;
};

} // namespace

BOOST_AUTO_TEST_SUITE(blocking_blocking_context)

BOOST_AUTO_TEST_CASE(functions_run_in_order_and_are_counted)
{
    blocking_context ctx;
    std::vector<int> order;
    asio::post(ctx,
               [&]
               {
                   asio::post(ctx, [&] { order.push_back(3); });
                   asio::dispatch(ctx, [&] { order.push_back(1); });
                   order.push_back(2);
               });
    BOOST_TEST(order.empty());
    BOOST_TEST(ctx.run() == 2u);
    BOOST_TEST((order == std::vector{1, 2, 3}));
}

BOOST_AUTO_TEST_CASE(run_functions_stop_and_restart_as_io_contexts_do)
{
    blocking_context ctx;
    BOOST_TEST(!ctx.stopped());
    BOOST_TEST(ctx.run() == 0u);
    BOOST_TEST(ctx.stopped());
    int ran = 0;
    for (int i = 0; i != 3; ++i)
        asio::post(ctx, [&] { ++ran; });
    BOOST_TEST(ctx.poll() == 0u);
    ctx.restart();
    BOOST_TEST(ctx.run_one() == 1u);
    BOOST_TEST(ctx.poll_one() == 1u);
    BOOST_TEST(!ctx.stopped());
    BOOST_TEST(ctx.poll() == 1u);
    BOOST_TEST(ran == 3);
    ctx.restart();
    asio::post(ctx, [&] { ctx.stop(); });
    asio::post(ctx, [&] { ++ran; });
    BOOST_TEST(ctx.run() == 1u);
    BOOST_TEST(ran == 3);
    ctx.restart();
    BOOST_TEST(ctx.run() == 1u);
    BOOST_TEST(ran == 4);
}

BOOST_AUTO_TEST_CASE(a_limit_of_time_is_kept)
{
    blocking_context ctx;
    const auto guard = asio::make_work_guard(ctx);
    const auto start = std::chrono::steady_clock::now();
    BOOST_TEST(ctx.run_for(2ms) == 0u);
    BOOST_TEST((std::chrono::steady_clock::now() - start >= 2ms));
    BOOST_TEST(ctx.run_one_until(std::chrono::system_clock::now() + 1ms) == 0u);
    BOOST_TEST(!ctx.stopped());
    asio::post(ctx, [] {});
    BOOST_TEST(ctx.run_one_for(1h) == 1u);
    asio::steady_timer timer(ctx, 1h);
    timer.async_wait([](error_code) {});
    BOOST_TEST(ctx.run_until(std::chrono::steady_clock::now() + 1ms) == 0u);
    BOOST_TEST(ctx.poll() == 0u);
}

BOOST_AUTO_TEST_CASE(a_million_chained_functions_do_not_recurse)
{
    blocking_context ctx;
    struct chain
    {
        blocking_context& ctx;
        int& left;
        void operator()() const
        {
            if (--left > 0)
                asio::post(ctx, *this);
        }
    };
    int left = 1'000'000;
    asio::post(ctx, chain{ctx, left});
    BOOST_TEST(ctx.run() == 1'000'000u);
    BOOST_TEST(left == 0);
}

BOOST_AUTO_TEST_CASE(chained_completions_do_not_recurse)
{
    blocking_context ctx;
    pipe_ends pipe(ctx);
    struct chain
    {
        pipe_ends& pipe;
        int& left;
        void operator()(error_code = {}, std::size_t = 0) const
        {
            if (--left > 0)
                pipe.writer.async_write_some(asio::const_buffer(), *this); // completes at once
        }
    };
    int left = 100'000;
    asio::post(ctx, chain{pipe, left});
    ctx.run();
    BOOST_TEST(left == 0);
}

BOOST_AUTO_TEST_CASE(awaiting_runs_the_context)
{
    blocking_context ctx;
    bool ran = false;
    asio::post(ctx, [&] { ran = true; });
    asio::steady_timer timer(ctx, 1ms);
    const auto start = std::chrono::steady_clock::now();
    timer.async_wait(use_await);
    BOOST_TEST((std::chrono::steady_clock::now() - start < 1h));
    BOOST_TEST(ran);
    BOOST_TEST((timer.expiry() <= std::chrono::steady_clock::now()));
}

BOOST_AUTO_TEST_CASE(stock_objects_work_without_a_hidden_thread)
{
    const auto threads = [] { return test::this_process().threads; };
    const auto before = threads();
    blocking_context ctx;

    tcp::acceptor acceptor(ctx, loopback);
    tcp::socket client(ctx), server(ctx);
    acceptor.async_accept(server, asio::detached);
    client.async_connect(acceptor.local_endpoint(), use_await);
    std::array<char, 5> data{};
    BOOST_TEST(asio::async_write(client, asio::buffer("hello", 5), use_await) == 5u);
    asio::post(ctx, use_await); // the acceptance has been delivered by then
    BOOST_TEST(server.is_open());
    BOOST_TEST(asio::async_read(server, asio::buffer(data), use_await) == 5u);
    BOOST_TEST(threads() == before);

    pipe_ends pipe(ctx);
    asio::async_write(pipe.writer, asio::buffer("again", 5), use_await);
    BOOST_TEST(asio::async_read(pipe.reader, asio::buffer(data), use_await) == 5u);
    BOOST_TEST(std::string(data.data(), data.size()) == "again");
    BOOST_TEST(threads() == before);

    asio::signal_set signals(ctx, SIGUSR1);
    asio::post(ctx, [] { std::raise(SIGUSR1); });
    BOOST_TEST(signals.async_wait(use_await) == SIGUSR1);
    BOOST_TEST(threads() == before);

    auto strand = asio::make_strand(ctx);
    bool inside = false;
    asio::post(strand, [&] { inside = strand.running_in_this_thread(); });
    asio::post(strand, use_await);
    BOOST_TEST(inside);
    BOOST_TEST(asio::co_spawn(
                   ctx,
                   [&]() -> asio::awaitable<int>
                   {
                       asio::steady_timer timer(co_await asio::this_coro::executor, 1ms);
                       co_await timer.async_wait(asio::use_awaitable);
                       co_return 7;
                   },
                   use_await) == 7);
    BOOST_TEST(threads() == before);
    ctx.run();
}

BOOST_AUTO_TEST_CASE(names_are_looked_up_on_asios_own_thread)
{
    blocking_context ctx;
    tcp::resolver resolver(ctx);
    const auto found = resolver.async_resolve("127.0.0.1", "80", tcp::resolver::numeric_host, use_await);
    BOOST_TEST((found.begin()->endpoint() == tcp::endpoint(asio::ip::address_v4::loopback(), 80)));
}

BOOST_AUTO_TEST_CASE(plain_system_calls_need_no_descriptor_and_no_thread)
{
    const auto before = test::this_process();
    blocking_context ctx;
    zsync::loop& loop = *zsync::loop::of(ctx);
    struct awaited : zsync::operation
    {
        std::optional<zsync::waiter>* done = nullptr;
    };
    asio::post(ctx,
               [&]
               {
                   std::optional<zsync::waiter> done(std::in_place);
                   awaited sync;
                   sync.code = zsync::opcode::read;
                   sync.descriptor = -1;
                   sync.done = &done;
                   sync.on_complete = [](zsync::operation& op, void*) noexcept
                   { (*static_cast<awaited&>(op).done)->notify(); };
                   loop.io().start(sync);
                   done->wait();
                   BOOST_TEST(sync.result == -EBADF);
               });
    BOOST_TEST(ctx.run() == 1u);
    BOOST_TEST(test::this_process().descriptors == before.descriptors);
    BOOST_TEST(test::this_process().threads == before.threads);
    BOOST_TEST((loop.io().kind() == zsync::engine_kind::blocking));
    BOOST_TEST(!loop.timers());
}

BOOST_AUTO_TEST_CASE(a_function_may_await_within_an_await)
{
    blocking_context ctx;
    std::vector<int> order;
    asio::post(ctx,
               [&]
               {
                   order.push_back(1);
                   asio::post(ctx,
                              [&]
                              {
                                  order.push_back(2);
                                  asio::steady_timer timer(ctx, 1ms);
                                  timer.async_wait(use_await);
                                  order.push_back(3);
                              });
                   asio::post(ctx, use_await);
                   order.push_back(4);
               });
    asio::post(ctx, use_await);
    BOOST_TEST((order == std::vector{1, 2, 3, 4}));
    BOOST_TEST(!zsync::loop::current());
}

BOOST_AUTO_TEST_CASE(a_wait_for_something_else_runs_the_context_too)
{
    blocking_context ctx;
    run_elsewhere other;
    bool ran = false;
    asio::post(ctx,
               [&]
               {
                   asio::steady_timer gate(*other, 1h);
                   asio::post(ctx,
                              [&]
                              {
                                  ran = true;
                                  asio::post(*other, [&] { gate.cancel(); });
                              });
                   error_code ec;
                   gate.async_wait(use_await[ec]);
                   BOOST_TEST((ec == aborted));
               });
    ctx.run();
    BOOST_TEST(ran);
}

BOOST_AUTO_TEST_CASE(two_contexts_await_each_other)
{
    blocking_context one, two;
    int ran = 0;
    asio::post(one,
               [&]
               {
                   asio::post(two,
                              [&]
                              {
                                  asio::post(one, use_await);
                                  ++ran;
                              });
                   asio::post(two, use_await);
                   ++ran;
               });
    asio::post(one, use_await);
    BOOST_TEST(ran == 2);
}

BOOST_AUTO_TEST_CASE(awaiting_below_a_guests_handler_is_refused)
{
    blocking_context ctx;
    asio::steady_timer timer(ctx, 0ms);
    error_code ec, direct;
    bool dispatched = true;
    // Bound to an executor that is not the context's, so that it runs in the guest.
    timer.async_wait(asio::bind_executor(zsync::inline_executor(),
                                         [&](error_code)
                                         {
                                             dispatched = false;
                                             asio::dispatch(ctx, [&] { dispatched = true; });
                                             BOOST_TEST(!dispatched);
                                             asio::post(ctx, use_await[ec]);
                                             try
                                             {
                                                 ctx.run();
                                             }
                                             catch (const system_error& e)
                                             {
                                                 direct = e.code();
                                             }
                                         }));
    ctx.run();
    BOOST_TEST((ec == deadlock));
    BOOST_TEST((direct == deadlock));
    BOOST_TEST(dispatched);
}

BOOST_AUTO_TEST_CASE(awaiting_in_a_strands_function_is_refused)
{
    blocking_context ctx;
    auto strand = asio::make_strand(ctx);
    error_code ec, own;
    asio::post(strand,
               [&]
               {
                   asio::post(ctx, use_await[ec]);
                   asio::post(strand, use_await[own]);
               });
    ctx.run();
    BOOST_TEST((ec == deadlock));
    BOOST_TEST((own == deadlock));
    ctx.restart();
    asio::post(strand, use_await[ec]);
    BOOST_TEST(!ec);
}

BOOST_AUTO_TEST_CASE(exceptions_of_functions_leave_run_and_it_goes_on)
{
    blocking_context ctx;
    int ran = 0;
    asio::post(ctx, [] { throw failure(); });
    asio::post(ctx, [&] { ++ran; });
    BOOST_CHECK_THROW(ctx.run(), failure);
    BOOST_TEST(!ctx.stopped());
    BOOST_TEST(!zsync::loop::current());
    BOOST_TEST(ctx.run() == 1u);
    BOOST_TEST(ran == 1);
    BOOST_TEST(ctx.stopped());
}

BOOST_AUTO_TEST_CASE(exceptions_of_functions_leave_an_await_when_its_operation_has_been_cancelled)
{
    blocking_context ctx;
    asio::steady_timer timer(ctx, 1h);
    asio::post(ctx, [] { throw failure(); });
    BOOST_CHECK_THROW(timer.async_wait(use_await), failure);
    BOOST_TEST(timer.cancel() == 0u);
    asio::post(ctx, [] { throw failure(); });
    asio::post(ctx, [] { throw failure(); });
    BOOST_CHECK_THROW(timer.async_wait(use_await), asio::multiple_exceptions);
    timer.expires_after(0ms);
    timer.async_wait(use_await);
}

BOOST_AUTO_TEST_CASE(exceptions_below_a_wait_for_something_else_leave_run_after_it)
{
    blocking_context ctx;
    run_elsewhere other;
    bool waited = false;
    asio::post(ctx,
               [&]
               {
                   asio::steady_timer gate(*other, 1h);
                   asio::post(ctx,
                              [&]
                              {
                                  asio::post(*other, [&] { gate.cancel(); });
                                  throw failure();
                              });
                   error_code ec;
                   gate.async_wait(use_await[ec]);
                   waited = true;
               });
    BOOST_CHECK_THROW(ctx.run(), failure);
    BOOST_TEST(waited);
}

BOOST_AUTO_TEST_CASE(other_threads_post_and_hold_work)
{
    blocking_context ctx;
    constexpr int threads = 3, each = 2000;
    int ran = 0;
    std::vector<std::thread> posting;
    for (int t = 0; t != threads; ++t)
        posting.emplace_back(
            [&, guard = asio::make_work_guard(ctx)]
            {
                for (int i = 0; i != each; ++i)
                    asio::post(ctx, [&] { ++ran; });
            });
    BOOST_TEST(ctx.run() == std::size_t(threads * each));
    BOOST_TEST(ran == threads * each);
    for (auto& t : posting)
        t.join();
}

BOOST_AUTO_TEST_CASE(the_context_may_go_as_soon_as_another_threads_work_is_done)
{
    for (int round = 0; round != 300; ++round)
    {
        std::optional<blocking_context> ctx(std::in_place);
        std::thread other([guard = std::make_unique<asio::executor_work_guard<zsync::loop_executor>>(
                               ctx->get_executor())]() mutable { guard.reset(); });
        ctx->run();
        ctx.reset();
        other.join();
    }
}

BOOST_AUTO_TEST_CASE(another_thread_may_make_the_first_stock_object_while_the_context_sleeps)
{
    blocking_context ctx;
    auto guard = asio::make_work_guard(ctx);
    bool expired = false;
    std::thread other(
        [&]
        {
            auto timer = std::make_unique<asio::steady_timer>(ctx, 1ms);
            auto& waited = *timer;
            waited.async_wait(
                [&, timer = std::move(timer)](error_code)
                {
                    expired = true;
                    guard.reset();
                });
        });
    ctx.run();
    other.join();
    BOOST_TEST(expired);
}

BOOST_AUTO_TEST_CASE(stop_from_another_thread_ends_run)
{
    blocking_context ctx;
    const auto guard = asio::make_work_guard(ctx);
    std::thread other([&] { ctx.stop(); });
    BOOST_TEST(ctx.run() == 0u);
    other.join();
    asio::post(ctx, use_await); // awaiting goes on
}

BOOST_AUTO_TEST_CASE(a_second_thread_in_run_is_refused)
{
    blocking_context ctx;
    asio::post(ctx,
               [&]
               {
                   const auto refused = std::async(std::launch::async,
                                                   [&]
                                                   {
                                                       try
                                                       {
                                                           ctx.poll();
                                                       }
                                                       catch (const system_error& e)
                                                       {
                                                           return e.code();
                                                       }
                                                       return error_code();
                                                   })
                                            .get();
                   BOOST_TEST((refused == boost::system::errc::device_or_resource_busy));
               });
    ctx.run();
}

BOOST_AUTO_TEST_CASE(threads_that_await_at_once_lead_by_turns)
{
    blocking_context ctx;
    constexpr int threads = 3, rounds = 300;
    std::latch start(threads);
    std::vector<std::thread> waiting;
    std::atomic<int> wrong{0};
    for (int t = 0; t != threads; ++t)
        waiting.emplace_back(
            [&]
            {
                pipe_ends pipe(ctx);
                start.arrive_and_wait();
                std::array<char, 3> data{};
                for (int i = 0; i != rounds; ++i)
                {
                    wrong += asio::async_write(pipe.writer, asio::buffer("abc", 3), use_await) != 3;
                    wrong += asio::async_read(pipe.reader, asio::buffer(data), use_await) != 3;
                    asio::post(ctx, use_await);
                }
            });
    for (auto& t : waiting)
        t.join();
    BOOST_TEST(wrong == 0);
}

BOOST_AUTO_TEST_CASE(a_function_cancels_the_wait_that_runs_it)
{
    std::async(std::launch::async,
               []
               {
                   blocking_context ctx;
                   auto& task = zsync::agent::current().cancellation();
                   asio::post(ctx, [&] { task.request(); });
                   asio::steady_timer timer(ctx, 1h);
                   error_code ec;
                   timer.async_wait(use_await[ec]);
                   BOOST_TEST((ec == aborted));
                   BOOST_TEST(!task.due());
                   timer.expires_after(0ms);
                   timer.async_wait(use_await);
               })
        .get();
}

BOOST_AUTO_TEST_CASE(an_operation_of_a_foreign_context_is_cancelled_there)
{
    blocking_context ctx;
    run_elsewhere other;
    auto strand = asio::make_strand(*other);
    for (int round = 0; round != 200; ++round)
    {
        // Sometimes the timer is first.
        asio::steady_timer timer(strand, round % 2 ? std::chrono::nanoseconds(1h) : std::chrono::nanoseconds(20us));
        error_code ec;
        bool due = false;
        asio::post(ctx,
                   [&]
                   {
                       auto& task = zsync::agent::current().cancellation();
                       asio::post(ctx, [&] { task.request(); });
                       timer.async_wait(use_await[ec]);
                       due = task.due();
                   });
        ctx.restart();
        ctx.run();
        BOOST_TEST((ec == aborted || (!ec && round % 2 == 0)));
        BOOST_TEST(due == !ec);
    }
}

BOOST_AUTO_TEST_CASE(an_operation_of_a_context_that_another_thread_leads_is_cancelled_there)
{
    blocking_context ctx;
    const test::leader other(ctx);
    for (int round = 0; round != 100; ++round)
        std::async(std::launch::async,
                   [&]
                   {
                       auto& task = zsync::agent::current().cancellation();
                       asio::steady_timer timer(ctx, 1h);
                       error_code ec;
                       // The initiation makes the request, and tells its executor by an argument.
                       const auto token = use_await[ec];
                       asio::async_initiate<decltype(token), void(error_code)>(
                           [&](auto handler, asio::steady_timer* waited)
                           {
                               waited->async_wait(std::move(handler));
                               task.request();
                           },
                           token, &timer);
                       BOOST_TEST((ec == aborted));
                       BOOST_TEST(!task.due());
                   })
            .get();
}

BOOST_AUTO_TEST_CASE(what_has_not_run_is_destroyed_with_the_context)
{
    auto held = std::make_shared<int>();
    {
        std::unique_ptr<blocking_context> ctx = std::make_unique<blocking_context>();
        auto timer = std::make_shared<asio::steady_timer>(*ctx, 1h);
        timer->async_wait([held, timer](error_code) { BOOST_ERROR("called"); });
        timer.reset();
        asio::co_spawn(
            *ctx,
            [](std::shared_ptr<int>) -> asio::awaitable<void>
            {
                asio::steady_timer own(co_await asio::this_coro::executor, 1h);
                co_await own.async_wait(asio::use_awaitable);
            }(held),
            asio::detached);
        ctx->poll(); // the coroutine waits
        asio::post(*ctx, [held, socket = tcp::socket(*ctx, tcp::v4())] { BOOST_ERROR("called"); });
        std::thread([&] { ctx.reset(); }).join();
    }
    BOOST_TEST(held.use_count() == 1);
}

BOOST_AUTO_TEST_CASE(destruction_leaves_nothing_behind)
{
    const auto before = test::this_process();
    {
        blocking_context ctx;
        asio::steady_timer timer(ctx, 1ms);
        timer.async_wait(use_await);
        BOOST_TEST(test::this_process().descriptors > before.descriptors);
    }
    BOOST_TEST(test::this_process().descriptors == before.descriptors);
    BOOST_TEST(test::this_process().threads == before.threads);
}

BOOST_AUTO_TEST_CASE(a_child_process_goes_on_with_its_copy)
{
    blocking_context ctx;
    asio::steady_timer timer(ctx, 1ms);
    timer.async_wait(use_await);
    ctx.notify_fork(asio::execution_context::fork_prepare);
    const pid_t child = ::fork();
    if (child == 0)
    {
        ctx.notify_fork(asio::execution_context::fork_child);
        timer.expires_after(1ms);
        error_code ec;
        timer.async_wait(use_await[ec]);
        ::_exit(ec ? 1 : 0);
    }
    ctx.notify_fork(asio::execution_context::fork_parent);
    timer.expires_after(1ms);
    timer.async_wait(use_await);
    int status = -1;
    BOOST_TEST(::waitpid(child, &status, 0) == child);
    BOOST_TEST(status == 0);
}

BOOST_AUTO_TEST_SUITE_END()
