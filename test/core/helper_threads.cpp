// SPDX-License-Identifier: BSL-1.0
#include <zsync/core/helper_threads.hpp>

#include <boost/test/unit_test.hpp>

#include <boost/asio/error.hpp>
#include <boost/system/errc.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <barrier>
#include <csignal>
#include <deque>
#include <filesystem>
#include <functional>
#include <iterator>
#include <latch>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

using zsync::helper_threads;
using zsync::job;

namespace
{

struct test_job : job
{
    explicit test_job(std::function<void()> f = {}) : job{&test_job::call, &test_job::give_up}, function(std::move(f))
    {
    }

    static void call(job& j) noexcept
    {
        auto& self = static_cast<test_job&>(j);
        if (self.function)
            self.function();
        ++self.ran;
        self.done.count_down();
    }

    static void give_up(job& j) noexcept
    {
        auto& self = static_cast<test_job&>(j);
        ++self.abandoned;
        self.done.count_down();
    }

    std::function<void()> function;
    std::atomic<int> ran{0};
    std::atomic<int> abandoned{0};
    std::latch done{1};
};

std::size_t threads_of_process()
{
    namespace fs = std::filesystem;
    return static_cast<std::size_t>(std::distance(fs::directory_iterator("/proc/self/task"), {}));
}

// While it lives, a new thread asks for a stack that no address space has room for.
class no_more_threads
{
public:
    no_more_threads()
    {
        ::pthread_attr_init(&before_);
        ::pthread_getattr_default_np(&before_);
        ::pthread_attr_t huge;
        ::pthread_attr_init(&huge);
        ::pthread_attr_setstacksize(&huge, std::size_t(1) << 50);
        ::pthread_setattr_default_np(&huge);
        ::pthread_attr_destroy(&huge);
    }

    ~no_more_threads()
    {
        ::pthread_setattr_default_np(&before_);
        ::pthread_attr_destroy(&before_);
    }

private:
    ::pthread_attr_t before_;
};

} // namespace

BOOST_AUTO_TEST_SUITE(core_helper_threads)

BOOST_AUTO_TEST_CASE(no_thread_starts_before_the_first_job_and_none_is_left_after_stop)
{
    // Counted from the second on: a sanitizer may start a thread of its own beside the first.
    {
        test_job first;
        helper_threads helpers;
        BOOST_TEST(!helpers.post(first));
        first.done.wait();
    }
    const auto before = threads_of_process();
    test_job j;
    {
        helper_threads helpers;
        BOOST_TEST(helpers.started() == 0u);
        BOOST_TEST(helpers.max() == helper_threads::default_max);
        BOOST_TEST(threads_of_process() == before);
        BOOST_TEST(!helpers.post(j));
        j.done.wait();
        BOOST_TEST(helpers.started() == 1u);
        BOOST_TEST(threads_of_process() == before + 1);
    }
    BOOST_TEST(threads_of_process() == before);
    BOOST_TEST(j.ran == 1);
}

BOOST_AUTO_TEST_CASE(jobs_that_wait_for_each_other_each_get_a_thread_up_to_the_maximum)
{
    helper_threads helpers(3);
    std::barrier<> meeting(3);
    auto meet = [&] { meeting.arrive_and_wait(); };
    test_job a(meet), b(meet), c(meet), d(meet), e(meet), f(meet);
    for (test_job* j : {&a, &b, &c, &d, &e, &f})
        BOOST_TEST(!helpers.post(*j));
    for (test_job* j : {&a, &b, &c, &d, &e, &f})
        j->done.wait();
    BOOST_TEST(helpers.started() == 3u);
}

BOOST_AUTO_TEST_CASE(one_thread_runs_jobs_in_the_order_of_their_posting)
{
    helper_threads helpers(1);
    std::vector<int> order;
    std::deque<test_job> jobs;
    for (int i = 0; i != 100; ++i)
        BOOST_TEST(!helpers.post(jobs.emplace_back([&order, i] { order.push_back(i); })));
    jobs.back().done.wait();
    BOOST_TEST(order.size() == 100u);
    BOOST_TEST(std::is_sorted(order.begin(), order.end()));
    BOOST_TEST(helpers.started() == 1u);
}

BOOST_AUTO_TEST_CASE(a_helper_blocks_every_signal_and_bears_its_name)
{
    helper_threads helpers(1, "a name that is too long");
    bool blocked = true;
    std::array<char, 16> name{};
    test_job j(
        [&]
        {
            ::sigset_t mask;
            ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
            for (int signal : {SIGINT, SIGTERM, SIGCHLD, SIGUSR1, SIGALRM, SIGPIPE, SIGRTMIN})
                blocked = blocked && ::sigismember(&mask, signal) == 1;
            ::pthread_getname_np(::pthread_self(), name.data(), name.size());
        });
    ::sigset_t before, after;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &before);
    BOOST_TEST(!helpers.post(j));
    ::pthread_sigmask(SIG_SETMASK, nullptr, &after);
    j.done.wait();
    BOOST_TEST(blocked);
    BOOST_TEST(std::string(name.data()) == "a name that is ");
    for (int signal : {SIGINT, SIGTERM, SIGUSR1})
        BOOST_TEST(::sigismember(&before, signal) == ::sigismember(&after, signal));
}

BOOST_AUTO_TEST_CASE(stop_finishes_what_runs_abandons_what_waits_and_refuses_what_comes)
{
    helper_threads helpers(1);
    std::latch running(1), release(1);
    test_job first(
        [&]
        {
            running.count_down();
            release.wait();
        });
    test_job second([&] { BOOST_TEST(false); });
    BOOST_TEST(!helpers.post(first));
    running.wait();
    BOOST_TEST(!helpers.post(second));
    std::thread stopper([&] { helpers.stop(); });
    second.done.wait();
    BOOST_TEST(second.abandoned == 1);
    BOOST_TEST(second.ran == 0);
    test_job third;
    BOOST_TEST((helpers.post(third) == boost::asio::error::operation_aborted));
    release.count_down();
    stopper.join();
    BOOST_TEST(first.ran == 1);
    BOOST_TEST(first.abandoned == 0);
    BOOST_TEST(third.ran + third.abandoned == 0);
    BOOST_TEST(helpers.started() == 0u);
    helpers.stop();
}

BOOST_AUTO_TEST_CASE(a_job_may_free_itself_and_post_another)
{
    struct chain : job
    {
        chain(helper_threads& h, int n, std::latch& l) : job{&step, &drop}, helpers(h), left(n), end(l) {}

        static void step(job& j) noexcept
        {
            std::unique_ptr<chain> self(static_cast<chain*>(&j));
            if (self->left == 0)
                return self->end.count_down();
            auto next = std::make_unique<chain>(self->helpers, self->left - 1, self->end);
            if (!self->helpers.post(*next))
                (void)next.release();
        }

        static void drop(job& j) noexcept { delete static_cast<chain*>(&j); }

        helper_threads& helpers;
        int left;
        std::latch& end;
    };
    helper_threads helpers(2);
    std::latch end(1);
    auto first = std::make_unique<chain>(helpers, 1000, end);
    BOOST_REQUIRE(!helpers.post(*first));
    (void)first.release();
    end.wait();
}

BOOST_AUTO_TEST_CASE(without_any_thread_a_post_fails_and_takes_nothing)
{
    helper_threads helpers;
    test_job j;
    {
        no_more_threads guard;
        BOOST_TEST((helpers.post(j) == boost::system::errc::resource_unavailable_try_again));
    }
    BOOST_TEST(helpers.started() == 0u);
    BOOST_TEST(j.ran + j.abandoned == 0);
    BOOST_TEST(!helpers.post(j));
    j.done.wait();
    BOOST_TEST(j.ran == 1);
}

BOOST_AUTO_TEST_CASE(without_another_thread_a_job_waits_for_the_ones_there_are)
{
    helper_threads helpers(2);
    std::latch running(1), release(1);
    test_job first(
        [&]
        {
            running.count_down();
            release.wait();
        });
    test_job second;
    BOOST_TEST(!helpers.post(first));
    running.wait();
    {
        no_more_threads guard;
        BOOST_TEST(!helpers.post(second));
    }
    BOOST_TEST(helpers.started() == 1u);
    BOOST_TEST(second.ran == 0);
    release.count_down();
    second.done.wait();
    BOOST_TEST(second.ran == 1);
}

BOOST_AUTO_TEST_CASE(every_job_is_run_or_abandoned_once_when_posters_race_with_stop)
{
    constexpr std::size_t posters = 4, jobs_each = 200;
    for (int round = 0; round != 20; ++round)
    {
        std::deque<test_job> jobs;
        for (std::size_t i = 0; i != posters * jobs_each; ++i)
            jobs.emplace_back();
        std::atomic<std::size_t> refused{0};
        std::latch begin(posters + 1), half(posters);
        {
            helper_threads helpers(3);
            std::vector<std::thread> threads;
            for (std::size_t p = 0; p != posters; ++p)
                threads.emplace_back(
                    [&, p]
                    {
                        begin.arrive_and_wait();
                        for (std::size_t i = 0; i != jobs_each; ++i)
                        {
                            if (i == jobs_each / 2)
                                half.count_down();
                            if (helpers.post(jobs[p * jobs_each + i]))
                                ++refused;
                        }
                    });
            begin.arrive_and_wait();
            half.wait();
            helpers.stop();
            for (auto& t : threads)
                t.join();
        }
        std::size_t ran = 0, abandoned = 0;
        bool at_most_once = true;
        for (auto& j : jobs)
        {
            ran += static_cast<std::size_t>(j.ran);
            abandoned += static_cast<std::size_t>(j.abandoned);
            at_most_once = at_most_once && j.ran + j.abandoned <= 1;
        }
        BOOST_TEST(at_most_once);
        BOOST_TEST(ran + abandoned + refused == jobs.size());
    }
}

BOOST_AUTO_TEST_CASE(two_stops_at_once_both_return_after_the_running_job)
{
    helper_threads helpers(1);
    std::latch running(1), release(1);
    test_job j(
        [&]
        {
            running.count_down();
            release.wait();
        });
    BOOST_TEST(!helpers.post(j));
    running.wait();
    std::array<int, 2> seen{};
    std::thread a(
        [&]
        {
            helpers.stop();
            seen[0] = j.ran;
        });
    std::thread b(
        [&]
        {
            helpers.stop();
            seen[1] = j.ran;
        });
    release.count_down();
    a.join();
    b.join();
    BOOST_TEST(seen[0] == 1);
    BOOST_TEST(seen[1] == 1);
}

BOOST_AUTO_TEST_CASE(across_fork_the_parent_keeps_the_queue_and_the_child_starts_anew)
{
    using boost::asio::execution_context;
    helper_threads helpers(1);
    std::latch running(1), release(1);
    test_job first(
        [&]
        {
            running.count_down();
            release.wait();
        });
    test_job second;
    BOOST_TEST(!helpers.post(first));
    running.wait();
    BOOST_TEST(!helpers.post(second));
    std::thread preparer([&] { helpers.notify_fork(execution_context::fork_prepare); });
    release.count_down();
    preparer.join();
    BOOST_TEST(first.ran == 1);
    BOOST_TEST(helpers.started() == 0u);
    const bool begun = second.ran == 1; // either way; what has not begun is the parent's

    const ::pid_t child = ::fork();
    if (child == 0)
    {
        helpers.notify_fork(execution_context::fork_child);
        bool good = begun ? second.abandoned == 0 : second.abandoned == 1;
        test_job own;
        good = good && !helpers.post(own);
        own.done.wait();
        helpers.stop();
        ::_exit(good && own.ran == 1 ? 0 : 1);
    }
    helpers.notify_fork(execution_context::fork_parent);
    second.done.wait();
    BOOST_TEST(second.ran == 1);
    BOOST_TEST(second.abandoned == 0);
    int status = -1;
    BOOST_TEST(::waitpid(child, &status, 0) == child);
    BOOST_TEST(status == 0);
}

BOOST_AUTO_TEST_SUITE_END()
