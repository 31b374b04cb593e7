// SPDX-License-Identifier: BSL-1.0
#include <zsync/core/loop_executor.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/defer.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/require.hpp>
#include <boost/test/unit_test.hpp>

#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

namespace asio = boost::asio;
namespace execution = boost::asio::execution;
using zsync::loop;
using zsync::loop_executor;
using zsync::work_item;

static_assert(execution::is_executor<loop_executor>::value);
static_assert(std::is_nothrow_copy_constructible_v<loop_executor>);
namespace
{

/// A loop whose queue is run by hand.
struct test_context : asio::execution_context
{
    struct manual_loop final : loop
    {
        explicit manual_loop(asio::execution_context& context) : loop(context) {}

        zsync::engine& io() noexcept override { std::abort(); }
        zsync::helper_threads& helpers() noexcept override { std::abort(); }
        zsync::timer_wheel* timers() noexcept override { return nullptr; }
        void post(work_item& item) noexcept override { queue.push(item); }
        void work_started() noexcept override { ++work; }
        void work_finished() noexcept override { --work; }
        bool may_run_inline() const noexcept override { return running_here() && !in_guest; }

        zsync::work_queue queue;
        int work = 0;
        bool in_guest = false;
    };

    ~test_context()
    {
        run(false);
        shutdown();
        destroy();
    }

    int run(bool invoke = true)
    {
        struct scope
        {
            loop* outer;
            ~scope() { zsync::detail::set_current_loop(outer); }
        } const inside{zsync::detail::set_current_loop(&owner)};
        int count = 0;
        for (; work_item* const item = owner.queue.pop(); ++count)
            item->run(*item, invoke);
        return count;
    }

    loop_executor get_executor() { return loop_executor(owner); }

    manual_loop owner{*this};
};

/// Counts what it gives out.
template <class T>
struct counting_allocator
{
    using value_type = T;

    explicit counting_allocator(int& counter) noexcept : live(&counter) {}
    template <class U>
    counting_allocator(const counting_allocator<U>& other) noexcept : live(other.live)
    {
    }

    T* allocate(std::size_t n)
    {
        ++*live;
        return std::allocator<T>().allocate(n);
    }
    void deallocate(T* p, std::size_t n) noexcept
    {
        --*live;
        std::allocator<T>().deallocate(p, n);
    }
    template <class U>
    bool operator==(const counting_allocator<U>& other) const noexcept
    {
        return live == other.live;
    }

    int* live;
};

} // namespace

BOOST_AUTO_TEST_SUITE(core_loop_executor)

BOOST_AUTO_TEST_CASE(a_context_is_asked_for_its_loop)
{
    test_context ours;
    asio::execution_context other;
    BOOST_TEST(loop::of(ours) == &ours.owner);
    BOOST_TEST(!loop::of(other));
    BOOST_TEST(&asio::query(ours.get_executor(), execution::context) == &ours);
}

BOOST_AUTO_TEST_CASE(required_properties_are_what_is_queried)
{
    test_context context;
    const auto ex = context.get_executor();
    BOOST_TEST((asio::query(ex, execution::blocking) == execution::blocking.possibly));
    BOOST_TEST((asio::query(ex, execution::relationship) == execution::relationship.fork));
    BOOST_TEST((asio::query(ex, execution::outstanding_work) == execution::outstanding_work.untracked));
    const auto never = asio::require(ex, execution::blocking.never, execution::relationship.continuation);
    BOOST_TEST((asio::query(never, execution::blocking) == execution::blocking.never));
    BOOST_TEST((asio::query(never, execution::relationship) == execution::relationship.continuation));
    BOOST_TEST((asio::require(never, execution::blocking.possibly, execution::relationship.fork) == ex));
}

BOOST_AUTO_TEST_CASE(post_and_defer_queue_on_the_loop_too)
{
    test_context context;
    std::vector<int> order;
    asio::post(context.get_executor(),
               [&]
               {
                   asio::post(context.get_executor(), [&] { order.push_back(2); });
                   asio::defer(context.get_executor(), [&] { order.push_back(3); });
                   order.push_back(1);
               });
    BOOST_TEST(order.empty());
    BOOST_TEST(context.run() == 3);
    BOOST_TEST((order == std::vector{1, 2, 3}));
}

BOOST_AUTO_TEST_CASE(dispatch_runs_at_once_where_the_loop_allows_it)
{
    test_context context;
    int ran = 0;
    asio::dispatch(context.get_executor(), [&] { ++ran; });
    BOOST_TEST(ran == 0);
    asio::post(context.get_executor(),
               [&]
               {
                   ran = 0;
                   BOOST_TEST(context.get_executor().running_in_this_thread());
                   asio::dispatch(context.get_executor(), [&] { ++ran; });
                   BOOST_TEST(ran == 1);
                   context.owner.in_guest = true;
                   asio::dispatch(context.get_executor(), [&] { ++ran; });
                   BOOST_TEST(ran == 1);
                   context.owner.in_guest = false;
               });
    context.run();
    BOOST_TEST(ran == 2);
    BOOST_TEST(!context.get_executor().running_in_this_thread());
}

BOOST_AUTO_TEST_CASE(work_is_counted_by_those_that_track_it)
{
    test_context context;
    BOOST_TEST(context.owner.work == 0);
    {
        auto tracked = asio::require(context.get_executor(), execution::outstanding_work.tracked);
        BOOST_TEST(context.owner.work == 1);
        const auto copy = tracked;
        BOOST_TEST(context.owner.work == 2);
        const auto moved = std::move(tracked);
        BOOST_TEST(context.owner.work == 2);
        const auto untracked = asio::require(moved, execution::outstanding_work.untracked);
        BOOST_TEST(context.owner.work == 2);
        auto assigned = asio::require(context.get_executor(), execution::outstanding_work.tracked);
        assigned = copy;
        BOOST_TEST(context.owner.work == 3);
        asio::executor_work_guard<loop_executor> guard(context.get_executor());
        BOOST_TEST(context.owner.work == 4);
        guard.reset();
        BOOST_TEST(context.owner.work == 3);
    }
    BOOST_TEST(context.owner.work == 0);
}

BOOST_AUTO_TEST_CASE(executors_of_one_context_are_equal)
{
    test_context one, two;
    BOOST_TEST((one.get_executor() == one.get_executor()));
    BOOST_TEST((one.get_executor() != two.get_executor()));
    auto changed = one.get_executor();
    changed = two.get_executor();
    BOOST_TEST((changed == two.get_executor()));
}

BOOST_AUTO_TEST_CASE(an_erased_executor_keeps_what_it_is)
{
    test_context context;
    asio::any_io_executor erased = context.get_executor();
    BOOST_TEST((erased == asio::any_io_executor(context.get_executor())));
    BOOST_TEST(erased.target<loop_executor>());
    int ran = 0;
    asio::post(erased, [&] { ++ran; });
    BOOST_TEST(context.run() == 1);
    BOOST_TEST(ran == 1);
    erased = asio::prefer(erased, execution::outstanding_work.tracked);
    BOOST_TEST(context.owner.work == 1);
    erased = {};
    BOOST_TEST(context.owner.work == 0);
}

BOOST_AUTO_TEST_CASE(a_function_lives_in_the_memory_of_its_allocator_and_leaves_it_before_it_runs)
{
    test_context context;
    int live = 0;
    const counting_allocator<void> memory(live);
    int during = -1;
    asio::post(context.get_executor(), asio::bind_allocator(memory, [&] { during = live; }));
    BOOST_TEST(live == 1);
    context.run();
    BOOST_TEST(during == 0);
    BOOST_TEST(live == 0);
}

BOOST_AUTO_TEST_CASE(a_function_that_does_not_run_is_destroyed)
{
    auto held = std::make_shared<int>();
    {
        test_context context;
        asio::post(context.get_executor(), [held] { BOOST_ERROR("ran"); });
        BOOST_TEST(held.use_count() == 2);
    }
    BOOST_TEST(held.use_count() == 1);
}

BOOST_AUTO_TEST_CASE(functions_may_be_move_only_and_may_throw)
{
    test_context context;
    int seen = 0;
    asio::post(context.get_executor(), [&, value = std::make_unique<int>(7)] { seen = *value; });
    asio::post(context.get_executor(), [] { throw std::runtime_error("on purpose"); });
    BOOST_CHECK_THROW(context.run(), std::runtime_error);
    BOOST_TEST(seen == 7);
    BOOST_TEST(!loop::current());
}

BOOST_AUTO_TEST_SUITE_END()
