// SPDX-License-Identifier: BSL-1.0
#include <zsync/io/runtime.hpp>

#include <zsync/core/detail/sanitizers.hpp>
#include <zsync/fiber/spawn.hpp>
#include <zsync/io/task_set.hpp>

#include "cells.hpp"
#include "support/child_process.hpp"

#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>

#include <chrono>
#include <csignal>
#include <memory>
#include <stdexcept>

using namespace std::chrono_literals;
using boost::asio::error::operation_aborted;
using boost::system::error_code;
using boost::system::system_error;
using io_test::each_cell;
using io_test::run_in;
using test::child_voice;
using zsync::io;

namespace
{

zsync::runtime_options with_signals(const io_test::cell& where, std::chrono::steady_clock::duration deadline)
{
    zsync::runtime_options options = where.options();
    options.shutdown_on_signals = true;
    options.shutdown_deadline = deadline;
    return options;
}

// ThreadSanitizer loses signals, and refuses threads, in the child of a process that has had threads.
constexpr bool child_can_have_signals = !ZSYNC_HAS_TSAN;

bool available(const io_test::cell& where)
{
    return where.engine != zsync::engine_kind::uring || zsync::probe_ring().meets_minimum();
}

error_code error_of(zsync::io where)
{
    error_code ec;
    where.sleep(24h).await(ec);
    return ec;
}

} // namespace

BOOST_AUTO_TEST_SUITE(io_runtime)

BOOST_DATA_TEST_CASE(the_functions_result_comes_back, each_cell, where)
{
    if (!available(where))
        return;
    const zsync::runtime runtime(where.options());
    BOOST_TEST(runtime.run([](io) { return 42; }) == 42);
    BOOST_TEST(runtime.run([] {}) == 0);
    BOOST_TEST(*runtime.run([] { return std::make_unique<int>(1); }) == 1);
    BOOST_CHECK_THROW(runtime.run([](io) -> int { throw std::runtime_error("mine"); }), std::runtime_error);
    runtime.run([&](io io) { BOOST_TEST((io.model() == where.model)); });
    if (where.engine)
        runtime.run([&](io io) { BOOST_TEST((io.engine() == *where.engine)); });
}

BOOST_DATA_TEST_CASE(what_is_left_unwinds, each_cell, where)
{
    if (!where.is_green())
        return;
    bool unwound = false;
    run_in(where,
           [&](io io)
           {
               zsync::spawn(
                   zsync::loop_executor(io.get_executor()),
                   [&unwound, io]
                   {
                       struct at_exit
                       {
                           bool& flag;
                           ~at_exit() { flag = true; }
                       } const mine{unwound};
                       io.sleep(24h).await();
                   },
                   boost::asio::detached);
               io.sleep(1ms).await();
           });
    BOOST_TEST(unwound);
}

BOOST_DATA_TEST_CASE(an_exception_of_a_handler_unwinds_the_root, each_cell, where)
{
    if (!where.is_green() || !available(where))
        return;
    bool unwound = false;
    const auto root = [&](io io)
    {
        struct at_exit
        {
            bool& flag;
            ~at_exit() { flag = true; }
        } const mine{unwound};
        boost::asio::post(io.get_executor(), [] { throw std::runtime_error("a handler's"); });
        io.sleep(24h).await();
    };
    BOOST_CHECK_THROW(zsync::runtime(where.options()).run(root), std::runtime_error);
    BOOST_TEST(unwound);
}

BOOST_DATA_TEST_CASE(a_signal_cancels_the_root_and_is_restored, each_cell, where)
{
    if (!child_can_have_signals || !available(where))
        return;
    for (const int number : {SIGINT, SIGTERM})
    {
        const auto result = test::run_in_child(
            [&](const child_voice& voice)
            {
                static volatile std::sig_atomic_t seen = 0;
                std::signal(number, [](int) { seen = 1; });
                bool ok = zsync::runtime(with_signals(where, 24h))
                              .run(
                                  [&](io io)
                                  {
                                      std::raise(number);
                                      return voice.check(error_of(io) == operation_aborted, "the root is cancelled");
                                  });
                ok = voice.check(seen == 0, "the former action has not run") && ok;
                std::raise(number);
                return voice.check(seen == 1, "the former action is restored") && ok ? 0 : 1;
            });
        BOOST_TEST(result.ok(), result);
    }
}

BOOST_DATA_TEST_CASE(a_set_lets_its_tasks_finish, each_cell, where)
{
    if (!child_can_have_signals || !where.is_green() || !available(where))
        return;
    const auto result = test::run_in_child(
        [&](const child_voice& voice)
        {
            bool finished = false;
            zsync::runtime(with_signals(where, 24h))
                .run(
                    [&](io io)
                    {
                        zsync::task_set set(io);
                        set.async(
                            [&](zsync::io inner)
                            {
                                std::raise(SIGTERM);
                                inner.sleep(20ms).await();
                                finished = true;
                            });
                        error_of(io);
                    });
            return voice.check(finished, "the task has finished") ? 0 : 1;
        });
    BOOST_TEST(result.ok(), result);
}

BOOST_DATA_TEST_CASE(the_deadline_and_a_second_signal_cancel_everything, each_cell, where)
{
    if (!child_can_have_signals || !where.is_green() || !available(where))
        return;
    for (const bool twice : {false, true})
    {
        const auto result = test::run_in_child(
            [&](const child_voice& voice)
            {
                error_code ec;
                zsync::runtime(with_signals(where, twice ? std::chrono::steady_clock::duration(24h) : 10ms))
                    .run(
                        [&](io io)
                        {
                            zsync::task_set set(io);
                            set.async(
                                [&](zsync::io inner)
                                {
                                    std::raise(SIGTERM);
                                    inner.sleep(5ms).await();
                                    if (twice)
                                        std::raise(SIGTERM);
                                    ec = error_of(inner);
                                });
                            error_of(io);
                        });
                return voice.check(ec == operation_aborted, "the task is cancelled") ? 0 : 1;
            });
        BOOST_TEST(result.ok(), result);
    }
}

BOOST_AUTO_TEST_SUITE_END()
