// SPDX-License-Identifier: BSL-1.0
#include <zsync/core/use_await.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/append.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/connect_pipe.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/readable_pipe.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/writable_pipe.hpp>
#include <boost/asio/write.hpp>
#include <boost/test/unit_test.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>

namespace asio = boost::asio;
using boost::system::error_code;
using boost::system::system_error;
using zsync::agent;
using zsync::use_await;
using namespace std::chrono_literals;

static_assert(asio::execution::is_executor<zsync::inline_executor>::value);

namespace
{

const error_code eof = asio::error::eof;
const error_code aborted = asio::error::operation_aborted;
const error_code deadlock = make_error_code(boost::system::errc::resource_deadlock_would_occur);

/// An operation that is what `initiation` does with the handler.
template <class Signature, class Token, class Initiation, class... Args>
auto initiate(Token&& token, Initiation&& initiation, Args&&... args)
{
    return asio::async_initiate<Token, Signature>(std::forward<Initiation>(initiation), token,
                                                  std::forward<Args>(args)...);
}

/// An operation that completes as told, before it returns.
template <class Signature, class Token, class... Args>
auto complete_with(Token&& token, Args... args)
{
    return initiate<Signature>(
        token, [](auto handler, Args... values) { std::move(handler)(std::move(values)...); }, std::move(args)...);
}

/// An operation that destroys its handler.
template <class Signature, class Token>
auto forget(Token&& token)
{
    return initiate<Signature>(token, [](auto handler) { auto dropped = std::move(handler); });
}

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

/// Counts how often it is moved; cannot be copied, nor made without a value.
struct counted
{
    explicit counted(int v) : value(v) {}
    counted(counted&& other) noexcept : value(other.value), moves(other.moves + 1) {}
    int value;
    int moves = 0;
};

/// Throws when stored.
struct unstorable
{
    unstorable() = default;
    unstorable(const unstorable&) { throw std::runtime_error("copied"); }
};

/// Runs `f` on a thread of its own, so as an agent that has never been cancelled. Throws what it throws.
template <class F>
void as_new_thread(F f)
{
    std::async(std::launch::async, f).get();
}

/// What runs is this, for a scope.
class other_agent final : public agent
{
public:
    explicit other_agent(error_code refusal = {}) : agent(nullptr), refusal_(refusal) {}
    ~other_agent() { zsync::detail::set_current_agent(outer_); }

    error_code may_wait() const noexcept override { return refusal_; }

    std::function<void()> during_wait;

private:
    void wait(zsync::waiter& w) noexcept override
    {
        while (!w.is_done())
            during_wait();
    }
    bool wait_until(zsync::waiter& w, std::chrono::steady_clock::time_point) noexcept override
    {
        wait(w);
        return true;
    }
    void notify(zsync::waiter& w) noexcept override { w.set_done(); }

    const error_code refusal_;
    agent* self_ = this;
    agent* const* outer_ = zsync::detail::set_current_agent(&self_);
};

template <class F>
error_code thrown_by(F f)
{
    try
    {
        f();
    }
    catch (const system_error& e)
    {
        return e.code();
    }
    return {};
}

} // namespace

BOOST_AUTO_TEST_SUITE(core_use_await)

BOOST_AUTO_TEST_CASE(values_are_returned_as_the_signature_has_them)
{
    complete_with<void()>(use_await);
    complete_with<void(error_code)>(use_await, error_code());
    complete_with<void(std::exception_ptr)>(use_await, std::exception_ptr());
    BOOST_TEST(complete_with<void(int)>(use_await, 1) == 1);
    BOOST_TEST(complete_with<void(error_code, int)>(use_await, error_code(), 2) == 2);
    BOOST_TEST(complete_with<void(std::exception_ptr, int)>(use_await, std::exception_ptr(), 3) == 3);
    const auto pair = complete_with<void(error_code, int, std::string)>(use_await, error_code(), 4, std::string("5"));
    static_assert(std::is_same_v<decltype(pair), const std::tuple<int, std::string>>);
    BOOST_TEST(std::get<0>(pair) == 4);
    BOOST_TEST(std::get<1>(pair) == "5");
    const auto plain = complete_with<void(int, long)>(use_await, 6, 7L);
    BOOST_TEST(std::get<1>(plain) == 7);
}

BOOST_AUTO_TEST_CASE(signatures_may_be_noexcept_or_have_a_reference_qualifier)
{
    BOOST_TEST(complete_with<void(error_code, int) noexcept>(use_await, error_code(), 1) == 1);
    BOOST_TEST(complete_with<void(error_code, int)&>(use_await, error_code(), 2) == 2);
    BOOST_TEST(complete_with<void(error_code, int) &&>(use_await, error_code(), 3) == 3);
    BOOST_TEST(complete_with<void(error_code, int)& noexcept>(use_await, error_code(), 4) == 4);
    BOOST_TEST(complete_with<void(error_code, int)&& noexcept>(use_await, error_code(), 5) == 5);
}

BOOST_AUTO_TEST_CASE(errors_are_thrown)
{
    BOOST_TEST((thrown_by([] { complete_with<void(error_code)>(use_await, eof); }) == eof));
    BOOST_TEST((thrown_by([] { complete_with<void(error_code, int)>(use_await, eof, 1); }) == eof));
    BOOST_CHECK_THROW(
        complete_with<void(std::exception_ptr)>(use_await, std::make_exception_ptr(std::runtime_error("this"))),
        std::runtime_error);
}

BOOST_AUTO_TEST_CASE(errors_are_stored_with_the_values_that_came_with_them)
{
    error_code ec;
    BOOST_TEST(complete_with<void(error_code, int)>(use_await[ec], eof, 1) == 1);
    BOOST_TEST((ec == eof));
    BOOST_TEST(complete_with<void(error_code, int)>(use_await[ec], error_code(), 2) == 2);
    BOOST_TEST(!ec);
    complete_with<void(error_code)>(asio::redirect_error(use_await, ec), eof);
    BOOST_TEST((ec == eof));
    BOOST_TEST(complete_with<void(int)>(use_await[ec], 3) == 3);
    BOOST_TEST(!ec);
}

BOOST_AUTO_TEST_CASE(errors_are_returned_in_a_tuple)
{
    auto [ec, n] = complete_with<void(error_code, int)>(asio::as_tuple(use_await), eof, 1);
    BOOST_TEST((ec == eof));
    BOOST_TEST(n == 1);
    const auto nothing = complete_with<void()>(asio::as_tuple(use_await));
    static_assert(std::is_same_v<decltype(nothing), const std::tuple<>>);
    const auto [exception] =
        complete_with<void(std::exception_ptr)>(asio::as_tuple(use_await), std::make_exception_ptr(1));
    BOOST_CHECK_THROW(std::rethrow_exception(exception), int);
}

BOOST_AUTO_TEST_CASE(asios_adapters_wrap_the_token)
{
    BOOST_TEST(std::get<1>(complete_with<void(error_code, int)>(asio::append(use_await, 9), error_code(), 1)) == 9);
    error_code ec;
    auto [e, n] = complete_with<void(error_code, int)>(asio::as_tuple(use_await[ec]), eof, 1);
    BOOST_TEST((e == eof)); // for as_tuple it is one of the values
    BOOST_TEST(n == 1);
    BOOST_TEST(!ec);
    run_elsewhere context;
    std::thread::id there;
    asio::post(*context, [&] { there = std::this_thread::get_id(); });
    asio::post(asio::bind_executor(*context, use_await));
    BOOST_TEST((there != std::thread::id()));
}

BOOST_AUTO_TEST_CASE(a_result_is_moved_in_and_out_and_no_more)
{
    const counted one = complete_with<void(error_code, counted)>(use_await, error_code(), counted(1));
    const counted other = initiate<void(error_code, counted)>(use_await, [](auto handler)
                                                              { std::move(handler)(error_code(), counted(2)); });
    BOOST_TEST(one.value == 1);
    BOOST_TEST(other.value == 2);
    BOOST_TEST(other.moves == 2);
    auto owned = complete_with<void(error_code, std::unique_ptr<int>, int)>(use_await, error_code(),
                                                                            std::make_unique<int>(3), 4);
    BOOST_TEST(*std::get<0>(owned) == 3);
}

BOOST_AUTO_TEST_CASE(what_storing_a_result_throws_is_thrown_to_who_waits)
{
    BOOST_CHECK_THROW((initiate<void(unstorable)>(use_await,
                                                  [](auto handler)
                                                  {
                                                      const unstorable value;
                                                      std::move(handler)(value);
                                                  })),
                      std::runtime_error);
}

BOOST_AUTO_TEST_CASE(a_handler_that_is_forgotten_ends_the_wait)
{
    BOOST_TEST((thrown_by([] { forget<void(error_code)>(use_await); }) == aborted));
    BOOST_TEST((thrown_by([] { forget<void()>(use_await); }) == aborted));
    error_code ec;
    BOOST_TEST((forget<void(error_code, int)>(use_await[ec])) == 0);
    BOOST_TEST((ec == aborted));
    BOOST_TEST((forget<void(int)>(use_await[ec])) == 0);
    BOOST_TEST((ec == aborted));
    BOOST_TEST((std::get<0>(forget<void(error_code, int)>(asio::as_tuple(use_await))) == aborted));
    BOOST_TEST((thrown_by(
                    [] {
                        std::rethrow_exception(
                            std::get<0>(forget<void(std::exception_ptr, int)>(asio::as_tuple(use_await))));
                    }) == aborted));
    // No value can be made for these.
    BOOST_TEST((thrown_by([&] { forget<void(error_code, counted)>(use_await[ec]); }) == aborted));
    BOOST_TEST((thrown_by([] { forget<void(error_code, counted)>(asio::as_tuple(use_await)); }) == aborted));
    BOOST_TEST((thrown_by([] { forget<void(int)>(asio::as_tuple(use_await)); }) == aborted));
}

BOOST_AUTO_TEST_CASE(an_exception_of_the_initiation_is_thrown_when_the_handler_is_gone)
{
    BOOST_CHECK_THROW((initiate<void()>(use_await, [](auto) { throw std::runtime_error("not initiated"); })),
                      std::runtime_error);
    run_elsewhere context;
    std::atomic<bool> gone{false};
    struct tell
    {
        explicit tell(std::atomic<bool>& flag) : gone(flag) {}
        ~tell() { gone = true; }
        std::atomic<bool>& gone;
    };
    BOOST_CHECK_THROW((initiate<void()>(use_await,
                                        [&](auto handler)
                                        {
                                            asio::post(*context,
                                                       [&, told = std::make_unique<tell>(gone),
                                                        handler = std::move(handler)]() mutable
                                                       {
                                                           told.reset();
                                                           std::move(handler)();
                                                       });
                                            throw std::runtime_error("too late");
                                        })),
                      std::runtime_error);
    BOOST_TEST(gone);
}

BOOST_AUTO_TEST_CASE(a_thread_waits_for_a_context_that_another_runs)
{
    run_elsewhere context;
    asio::steady_timer timer(*context, 1ms);
    timer.async_wait(use_await);
    asio::readable_pipe reader(*context);
    asio::writable_pipe writer(*context);
    asio::connect_pipe(reader, writer);
    BOOST_TEST(asio::async_write(writer, asio::buffer("four", 4), use_await) == 4u);
    std::array<char, 4> data{};
    BOOST_TEST(asio::async_read(reader, asio::buffer(data), use_await) == 4u);
    writer.close();
    error_code ec;
    BOOST_TEST(asio::async_read(reader, asio::buffer(data), use_await[ec]) == 0u);
    BOOST_TEST((ec == eof));
    BOOST_TEST(asio::co_spawn(
                   *context, []() -> asio::awaitable<int> { co_return 5; }, use_await) == 5);
    for (int i = 0; i != 1000; ++i)
        asio::post(*context, use_await);
}

BOOST_AUTO_TEST_CASE(a_wait_ends_when_the_context_is_destroyed)
{
    auto context = std::make_unique<asio::io_context>();
    std::promise<error_code> result;
    std::promise<void> initiated;
    std::thread waiting(
        [&]
        {
            error_code ec;
            initiate<void(error_code)>(use_await[ec],
                                       [&](auto handler)
                                       {
                                           auto timer = std::make_unique<asio::steady_timer>(*context, 1h);
                                           auto& waited = *timer;
                                           waited.async_wait([timer = std::move(timer), handler = std::move(handler)](
                                                                 error_code e) mutable { std::move(handler)(e); });
                                           initiated.set_value();
                                       });
            result.set_value(ec);
        });
    initiated.get_future().wait();
    context.reset();
    BOOST_TEST((result.get_future().get() == aborted));
    waiting.join();
}

BOOST_AUTO_TEST_CASE(an_object_may_have_it_as_its_default)
{
    run_elsewhere context;
    auto timer = zsync::use_await_t<>::as_default_on(asio::steady_timer(*context, 1ms));
    timer.async_wait();
    using token = zsync::use_await_t<>;
    token::as_default_on_t<asio::steady_timer> other(*context);
    static_assert(std::is_same_v<asio::default_completion_token<decltype(other)::executor_type>::type, token>);
    other.async_wait();
}

BOOST_AUTO_TEST_CASE(an_agent_that_may_not_wait_is_refused_before_the_operation_is_initiated)
{
    const other_agent refusing(deadlock);
    bool initiated = false;
    const auto refused = [&](auto&& token)
    { return initiate<void(error_code, int)>(token, [&](auto) { initiated = true; }); };
    BOOST_TEST((thrown_by([&] { refused(use_await); }) == deadlock));
    error_code ec;
    BOOST_TEST(refused(use_await[ec]) == 0);
    BOOST_TEST((ec == deadlock));
    BOOST_TEST((std::get<0>(refused(asio::as_tuple(use_await))) == deadlock));
    BOOST_TEST((thrown_by([&] { complete_with<void()>(use_await); }) == deadlock));
    BOOST_TEST(!initiated);
}

BOOST_AUTO_TEST_CASE(a_thread_that_runs_the_operations_context_is_refused)
{
    asio::io_context context;
    run_elsewhere other;
    asio::thread_pool pool(1);
    asio::steady_timer own(context, 1h), foreign(*other, 1ms);
    error_code ec, erased, strand, pooled, composed, untold, elsewhere;
    asio::post(context,
               [&]
               {
                   own.async_wait(use_await[ec]);
                   asio::post(asio::any_io_executor(context.get_executor()), use_await[erased]);
                   asio::post(asio::make_strand(context), use_await[strand]);
                   asio::post(context, use_await);
               });
    BOOST_TEST((thrown_by([&] { context.run(); }) == deadlock));
    BOOST_TEST((ec == deadlock));
    BOOST_TEST((erased == deadlock));
    BOOST_TEST((strand == deadlock));

    context.restart();
    asio::post(context,
               [&]
               {
                   asio::readable_pipe reader(context);
                   asio::async_read(reader, asio::mutable_buffer(), use_await[composed]);
                   forget<void(error_code)>(use_await[untold]); // it may belong to any context
                   foreign.async_wait(use_await[elsewhere]);
               });
    context.run();
    BOOST_TEST((composed == deadlock));
    BOOST_TEST((untold == deadlock));
    BOOST_TEST(!elsewhere);
    asio::post(pool, [&] { asio::post(pool, use_await[pooled]); });
    pool.join();
    BOOST_TEST((pooled == deadlock));
}

BOOST_AUTO_TEST_CASE(the_executor_of_an_argument_tells_where_the_operation_belongs)
{
    asio::io_context context;
    asio::steady_timer timer(context);
    error_code by_reference, by_pointer;
    const auto dispatch = [](auto handler, auto&&...) { asio::dispatch(std::move(handler)); };
    asio::post(context,
               [&]
               {
                   initiate<void()>(use_await[by_reference], dispatch, std::ref(timer).get());
                   initiate<void()>(use_await[by_pointer], dispatch, 1, &timer);
               });
    context.run();
    BOOST_TEST((by_reference == deadlock));
    BOOST_TEST((by_pointer == deadlock));
    // Which is no reason to refuse elsewhere.
    initiate<void()>(use_await, dispatch, &timer);
}

BOOST_AUTO_TEST_CASE(a_request_that_is_due_keeps_the_operation_from_being_initiated)
{
    as_new_thread(
        []
        {
            auto& task = agent::current().cancellation();
            task.request();
            bool initiated = false;
            error_code ec;
            initiate<void(error_code)>(use_await[ec], [&](auto) { initiated = true; });
            BOOST_TEST(!initiated);
            BOOST_TEST((ec == aborted));
            BOOST_TEST(!task.due());
            complete_with<void(error_code)>(use_await, error_code());
        });
}

BOOST_AUTO_TEST_CASE(a_request_ends_the_operation_and_is_delivered)
{
    asio::io_context context;
    other_agent task;
    task.during_wait = [&]
    {
        task.cancellation().request();
        context.restart();
        context.poll();
    };
    asio::steady_timer timer(context, 1h);
    error_code ec;
    timer.async_wait(use_await[ec]);
    BOOST_TEST((ec == aborted));
    BOOST_TEST(!task.cancellation().due());
    task.cancellation().recancel();

    task.cancellation().protect();
    timer.expires_after(0ms);
    timer.async_wait(use_await);
    task.cancellation().unprotect();
    BOOST_TEST(task.cancellation().due());
}

BOOST_AUTO_TEST_CASE(composed_operations_and_coroutines_hear_a_request)
{
    asio::io_context context;
    asio::readable_pipe reader(context);
    asio::writable_pipe writer(context);
    asio::connect_pipe(reader, writer);
    asio::write(writer, asio::buffer("12", 2));
    std::array<char, 4> data{};
    {
        other_agent task;
        task.during_wait = [&]
        {
            context.restart();
            context.poll();
            task.cancellation().request();
        };
        error_code ec;
        BOOST_TEST(asio::async_read(reader, asio::buffer(data), use_await[ec]) == 2u); // they are not lost
        BOOST_TEST((ec == aborted));
        BOOST_TEST(!task.cancellation().due());
    }
    other_agent task;
    task.during_wait = [&]
    {
        context.restart();
        context.poll();
        task.cancellation().request();
    };
    BOOST_TEST((thrown_by(
                    [&]
                    {
                        asio::co_spawn(
                            context,
                            [&]() -> asio::awaitable<void>
                            { co_await asio::async_read(reader, asio::buffer(data), asio::use_awaitable); },
                            use_await);
                    }) == aborted));
    BOOST_TEST(!task.cancellation().due());
}

BOOST_AUTO_TEST_CASE(work_that_completes_all_the_same_counts_and_the_request_stays)
{
    asio::io_context context;
    other_agent task;
    task.during_wait = [&]
    {
        task.cancellation().request();
        context.restart();
        context.poll();
    };
    asio::post(context, use_await); // knows no cancellation
    BOOST_TEST(task.cancellation().due());
    error_code ec;
    asio::post(context, use_await[ec]);
    BOOST_TEST((ec == aborted));
}

BOOST_AUTO_TEST_CASE(a_request_made_by_the_initiation_ends_the_operation)
{
    asio::io_context context;
    other_agent task;
    task.during_wait = [&]
    {
        context.restart();
        context.poll();
    };
    asio::steady_timer timer(context, 1h);
    error_code ec;
    initiate<void(error_code)>(use_await[ec],
                               [&](auto handler)
                               {
                                   timer.async_wait(std::move(handler));
                                   task.cancellation().request();
                               });
    BOOST_TEST((ec == aborted));
    BOOST_TEST(!task.cancellation().due());
}

BOOST_AUTO_TEST_CASE(a_task_that_unwinds_leaves_by_an_exception)
{
    asio::io_context context;
    other_agent task;
    task.during_wait = [&]
    {
        task.cancellation().request_unwind();
        context.restart();
        context.poll();
    };
    asio::steady_timer timer(context, 1h);
    error_code ec;
    BOOST_CHECK_THROW(timer.async_wait(use_await[ec]), zsync::fiber_unwind);
    BOOST_CHECK_THROW(timer.async_wait(use_await[ec]), zsync::fiber_unwind);
}

BOOST_AUTO_TEST_CASE(a_posted_cancellation_that_never_runs_does_not_keep_the_wait)
{
    auto context = std::make_unique<asio::io_context>();
    auto timer = std::make_unique<asio::steady_timer>(*context, 1h);
    other_agent task;
    task.during_wait = [&]
    {
        task.cancellation().request();
        context.reset();
    };
    error_code ec;
    initiate<void(error_code)>(
        use_await[ec],
        [](auto handler, asio::steady_timer& waited, auto owner)
        {
            waited.async_wait([owner = std::move(owner), handler = std::move(handler)](error_code e) mutable
                              { std::move(handler)(e); });
        },
        *timer, std::move(timer));
    BOOST_TEST((ec == aborted));
}

BOOST_AUTO_TEST_SUITE_END()
