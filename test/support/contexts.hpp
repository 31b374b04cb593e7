// SPDX-License-Identifier: BSL-1.0
#pragma once

// Every context that handles work on, for cases that are to hold on all: BOOST_AUTO_TEST_CASE_TEMPLATE(name, Context,
// test::contexts). One more context is one more line at the end, and its run functions.

#include <zsync/fiber/fiber_context.hpp>
#include <zsync/uring/uring_context.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/system/error_code.hpp>

#include <chrono>
#include <cstddef>
#include <optional>
#include <ostream>
#include <thread>
#include <tuple>
#include <utility>

namespace test
{

/// For what must happen: reached only where a test fails.
inline constexpr std::chrono::seconds most_patience{20};

/// A context with the functions that the cases need; `run` returns false where there is still work after patience.
template <class Context>
struct context_under_test
{
    Context ctx;

    template <class... Arguments>
    explicit context_under_test(const Arguments&... arguments) : ctx(arguments...)
    {
    }

    boost::asio::any_io_executor executor() { return ctx.get_executor(); }

    bool run()
    {
        ctx.restart();
        ctx.run_for(most_patience);
        return ctx.stopped();
    }

    /// Runs until a condition holds.
    template <class Condition>
    bool run_until(Condition condition)
    {
        const auto end = std::chrono::steady_clock::now() + most_patience;
        while (!condition() && std::chrono::steady_clock::now() < end)
        {
            ctx.restart();
            ctx.poll();
            std::this_thread::yield();
        }
        return condition();
    }

    /// Lets what has been started get as far as it gets by itself.
    void settle()
    {
        for (int i = 0; i < 4; ++i)
        {
            ctx.restart();
            ctx.poll();
        }
    }
};

struct plain_context : context_under_test<boost::asio::io_context>
{
};

/// On a ring, or a plain io_context where there is none.
struct ring_context : context_under_test<zsync::uring_context>
{
};

struct ring_context_of_one_thread : context_under_test<zsync::uring_context>
{
    ring_context_of_one_thread() : context_under_test(zsync::uring_options{.one_thread = true}) {}
};

struct fibers_context : context_under_test<zsync::fiber_context>
{
};

struct fibers_on_epoll_context : context_under_test<zsync::fiber_context>
{
    fibers_on_epoll_context() : context_under_test(zsync::fiber_options{.engine = zsync::engine_kind::reactor}) {}
};

using contexts =
    std::tuple<plain_context, ring_context, ring_context_of_one_thread, fibers_context, fibers_on_epoll_context>;

/// What an operation told its handler. Must outlive the handler.
struct reply
{
    int calls = 0;
    boost::system::error_code error;
    std::size_t bytes = 0;

    auto handler()
    {
        return [this](boost::system::error_code ec, std::size_t count = 0)
        {
            ++calls;
            error = ec;
            bytes = count;
        };
    }

    bool succeeded() const { return calls == 1 && !error; }

    template <class Error>
    bool failed_with(Error value) const
    {
        return calls == 1 && error == value;
    }

    friend std::ostream& operator<<(std::ostream& out, const reply& told)
    {
        return out << told.calls << " calls, " << told.error.message() << ", " << told.bytes << " bytes";
    }
};

/// The same of an operation that yields something.
template <class T>
struct reply_with
{
    reply told;
    std::optional<T> value;

    auto handler()
    {
        return [this](boost::system::error_code ec, T item)
        {
            told.handler()(ec);
            value.emplace(std::move(item));
        };
    }
};

/// Counts itself while it lives: held by a handler, it says when that was destroyed.
class live_count
{
public:
    explicit live_count(int& count) : count_(&count) { ++count; }
    live_count(const live_count& other) : count_(other.count_) { ++*count_; }
    live_count& operator=(const live_count&) = delete;
    ~live_count() { --*count_; }

private:
    int* count_;
};

} // namespace test
