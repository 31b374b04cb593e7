// SPDX-License-Identifier: BSL-1.0
#include <zsync/core/cancellation.hpp>

#include <boost/test/unit_test.hpp>

#include <boost/asio/cancellation_signal.hpp>
#include <boost/system/errc.hpp>

#include <array>
#include <atomic>
#include <barrier>
#include <latch>
#include <memory>
#include <optional>
#include <stop_token>
#include <thread>
#include <type_traits>
#include <vector>

using boost::asio::cancellation_type;
using boost::system::error_code;
using zsync::cancellation_callback;
using zsync::cancellation_source;
using zsync::cancellation_token;

namespace
{

const error_code aborted = boost::asio::error::operation_aborted;
const error_code timed_out = boost::asio::error::timed_out;

error_code numbered(int value)
{
    return {value, boost::system::generic_category()};
}

} // namespace

BOOST_AUTO_TEST_SUITE(core_cancellation)

BOOST_AUTO_TEST_CASE(a_default_token_is_never_cancelled)
{
    cancellation_token token;
    BOOST_TEST(!token.can_be_cancelled());
    BOOST_TEST(!token.cancel_requested());
    BOOST_TEST(!token.reason().failed());
    BOOST_TEST(!token.stop_token().stop_possible());
    bool called = false;
    cancellation_callback callback(token, [&] { called = true; });
    BOOST_TEST(!called);
}

BOOST_AUTO_TEST_CASE(a_request_reaches_every_token_with_the_default_reason)
{
    cancellation_source source;
    auto token = source.token();
    auto copy = token;
    BOOST_TEST(token.can_be_cancelled());
    BOOST_TEST(!token.cancel_requested());
    BOOST_TEST(!token.reason().failed());
    BOOST_TEST(source.request_cancel());
    BOOST_TEST(source.cancel_requested());
    BOOST_TEST(copy.cancel_requested());
    BOOST_TEST((copy.reason() == aborted));
    BOOST_TEST((source.token().reason() == aborted));
}

BOOST_AUTO_TEST_CASE(the_first_reason_wins)
{
    cancellation_source source;
    auto copy = source;
    BOOST_TEST(source.request_cancel(timed_out));
    BOOST_TEST(!copy.request_cancel());
    BOOST_TEST(!source.request_cancel());
    BOOST_TEST((source.token().reason() == timed_out));
}

BOOST_AUTO_TEST_CASE(a_token_outlives_its_source)
{
    cancellation_token token;
    {
        cancellation_source source;
        token = source.token();
        source.request_cancel(timed_out);
    }
    BOOST_TEST((token.reason() == timed_out));
}

BOOST_AUTO_TEST_CASE(a_callback_runs_once_with_the_reason_before_the_request_returns)
{
    cancellation_source source;
    int calls = 0;
    error_code seen;
    bool requested = false;
    cancellation_callback callback(source.token(),
                                   [&](error_code reason)
                                   {
                                       ++calls;
                                       seen = reason;
                                       requested = source.cancel_requested();
                                   });
    source.request_cancel(timed_out);
    source.request_cancel();
    BOOST_TEST(calls == 1);
    BOOST_TEST((seen == timed_out));
    BOOST_TEST(requested);
}

BOOST_AUTO_TEST_CASE(a_late_callback_runs_at_once_and_a_destroyed_one_never)
{
    cancellation_source source;
    bool early = false, late = false;
    {
        cancellation_callback callback(source.token(), [&] { early = true; });
    }
    source.request_cancel();
    cancellation_callback callback(source.token(), [&](error_code reason) { late = reason == aborted; });
    BOOST_TEST(!early);
    BOOST_TEST(late);
    static_assert(!std::is_copy_constructible_v<decltype(callback)> &&
                  !std::is_move_constructible_v<decltype(callback)>);
}

BOOST_AUTO_TEST_CASE(a_callback_may_destroy_itself_its_source_and_the_last_token)
{
    auto source = std::make_unique<cancellation_source>();
    struct on_cancel
    {
        std::optional<cancellation_callback<on_cancel>>* self;
        std::unique_ptr<cancellation_source>* source;
        int* calls;

        void operator()() const
        {
            auto copy = *this;
            copy.source->reset();
            copy.self->reset();
            ++*copy.calls;
        }
    };
    int calls = 0, others = 0;
    std::optional<cancellation_callback<on_cancel>> callback;
    callback.emplace(source->token(), on_cancel{&callback, &source, &calls});
    // The rest still learn the reason, whichever order they run in.
    cancellation_callback other(source->token(), [&](error_code reason) { others += reason == timed_out; });
    cancellation_callback another(source->token(), [&](error_code reason) { others += reason == timed_out; });
    source->request_cancel(timed_out);
    BOOST_TEST(calls == 1);
    BOOST_TEST(others == 2);
    BOOST_TEST(!source);
}

BOOST_AUTO_TEST_CASE(a_child_is_cancelled_with_its_parent_and_for_its_reason)
{
    cancellation_source parent;
    cancellation_source child(parent.token());
    cancellation_source grandchild(child.token());
    error_code seen;
    cancellation_callback callback(grandchild.token(), [&](error_code reason) { seen = reason; });
    BOOST_TEST(parent.request_cancel(timed_out));
    BOOST_TEST((seen == timed_out));
    BOOST_TEST((child.token().reason() == timed_out));
    BOOST_TEST(!child.request_cancel());
    cancellation_source late(parent.token());
    BOOST_TEST((late.token().reason() == timed_out));
}

BOOST_AUTO_TEST_CASE(a_child_cancels_neither_its_parent_nor_its_siblings)
{
    cancellation_source parent;
    cancellation_source child(parent.token());
    cancellation_source sibling(parent.token());
    BOOST_TEST(child.request_cancel(timed_out));
    BOOST_TEST(!parent.cancel_requested());
    BOOST_TEST(!sibling.cancel_requested());
    BOOST_TEST(parent.request_cancel());
    BOOST_TEST((child.token().reason() == timed_out));
    BOOST_TEST((sibling.token().reason() == aborted));
}

BOOST_AUTO_TEST_CASE(a_child_of_a_default_token_is_on_its_own)
{
    cancellation_source child{cancellation_token()};
    BOOST_TEST(child.token().can_be_cancelled());
    BOOST_TEST(child.request_cancel());
}

BOOST_AUTO_TEST_CASE(a_callback_of_a_child_may_drop_the_child)
{
    cancellation_source parent;
    auto child = std::make_unique<cancellation_source>(parent.token());
    struct on_cancel
    {
        std::unique_ptr<cancellation_source>* child;
        std::optional<cancellation_callback<on_cancel>>* self;

        void operator()() const
        {
            auto copy = *this;
            copy.child->reset();
            copy.self->reset();
        }
    };
    std::optional<cancellation_callback<on_cancel>> callback;
    callback.emplace(child->token(), on_cancel{&child, &callback});
    BOOST_TEST(parent.request_cancel());
    BOOST_TEST(!child);
    BOOST_TEST(!callback);
}

BOOST_AUTO_TEST_CASE(a_standard_token_cancels_a_source_chained_to_it)
{
    std::stop_source standard;
    cancellation_source source(standard.get_token());
    BOOST_TEST(!source.cancel_requested());
    standard.request_stop();
    BOOST_TEST((source.token().reason() == aborted));
    cancellation_source late(standard.get_token());
    BOOST_TEST(late.cancel_requested());
    cancellation_source unstoppable{std::stop_token()};
    BOOST_TEST(!unstoppable.cancel_requested());
}

BOOST_AUTO_TEST_CASE(code_that_knows_standard_tokens_is_stopped)
{
    cancellation_source source;
    const std::stop_token standard = source.token().stop_token();
    error_code seen;
    std::stop_callback callback(standard, [&] { seen = source.token().reason(); });
    BOOST_TEST(standard.stop_possible());
    BOOST_TEST(!standard.stop_requested());
    source.request_cancel(timed_out);
    BOOST_TEST(standard.stop_requested());
    BOOST_TEST((seen == timed_out));
}

BOOST_AUTO_TEST_CASE(each_type_of_an_asio_signal_requests_cancellation)
{
    for (auto type : {cancellation_type::terminal, cancellation_type::partial, cancellation_type::total})
    {
        boost::asio::cancellation_signal signal;
        cancellation_source source;
        BOOST_TEST(source.connect(signal.slot()));
        signal.emit(cancellation_type::none);
        BOOST_TEST(!source.cancel_requested());
        signal.emit(type);
        BOOST_TEST((source.token().reason() == aborted));
    }
}

BOOST_AUTO_TEST_CASE(a_filter_leaves_other_types_alone)
{
    boost::asio::cancellation_signal signal;
    cancellation_source source;
    BOOST_TEST(source.connect(signal.slot(), cancellation_type::terminal | cancellation_type::partial));
    signal.emit(cancellation_type::total);
    BOOST_TEST(!source.cancel_requested());
    signal.emit(cancellation_type::partial);
    BOOST_TEST(source.cancel_requested());
}

BOOST_AUTO_TEST_CASE(a_slot_without_a_signal_is_not_connected_and_a_cleared_one_no_longer)
{
    cancellation_source source;
    BOOST_TEST(!source.connect(boost::asio::cancellation_slot()));
    boost::asio::cancellation_signal signal;
    BOOST_TEST(source.connect(signal.slot()));
    signal.slot().clear();
    signal.emit(cancellation_type::all);
    BOOST_TEST(!source.cancel_requested());
}

BOOST_AUTO_TEST_CASE(a_connected_signal_outlives_the_source_and_may_clear_its_slot_when_emitting)
{
    boost::asio::cancellation_signal signal;
    cancellation_token token;
    {
        cancellation_source source;
        source.connect(signal.slot());
        token = source.token();
    }
    cancellation_callback callback(token, [&] { signal.slot().clear(); });
    signal.emit(cancellation_type::terminal);
    BOOST_TEST(token.cancel_requested());
}

BOOST_AUTO_TEST_CASE(of_many_requests_at_once_one_wins_and_all_see_its_reason)
{
    constexpr int requesters = 3, rounds = 500;
    std::array<std::optional<cancellation_source>, rounds> sources;
    for (auto& s : sources)
        s.emplace();
    std::barrier<> start(requesters + 1);
    std::atomic<int> winners{0}, wrong{0};
    std::array<std::atomic<int>, rounds> winner{};
    std::vector<std::thread> threads;
    for (int r = 1; r <= requesters; ++r)
        threads.emplace_back(
            [&, r]
            {
                for (std::size_t i = 0; i != rounds; ++i)
                {
                    start.arrive_and_wait();
                    if (sources[i]->request_cancel(numbered(r)))
                    {
                        ++winners;
                        winner[i] = r;
                    }
                    wrong += !sources[i]->cancel_requested();
                    wrong += !sources[i]->token().reason().failed();
                }
            });
    for (std::size_t i = 0; i != rounds; ++i)
    {
        const auto token = sources[i]->token();
        error_code told;
        std::atomic<bool> called{false};
        cancellation_callback callback(token,
                                       [&](error_code reason)
                                       {
                                           told = reason;
                                           called.store(true, std::memory_order_release);
                                       });
        start.arrive_and_wait();
        while (!token.cancel_requested())
            std::this_thread::yield();
        const auto seen = token.reason();
        while (!called.load(std::memory_order_acquire))
            std::this_thread::yield();
        wrong += !seen.failed() || told != seen || token.reason() != seen;
    }
    for (auto& t : threads)
        t.join();
    for (std::size_t i = 0; i != rounds; ++i)
        wrong += sources[i]->token().reason() != numbered(winner[i]);
    BOOST_TEST(winners == rounds);
    BOOST_TEST(wrong == 0);
}

BOOST_AUTO_TEST_CASE(destroying_a_callback_waits_for_its_call_on_another_thread)
{
    for (int round = 0; round != 100; ++round)
    {
        cancellation_source source;
        std::latch inside(1);
        bool finished = false; // not atomic: the destructor must order it
        auto body = [&]
        {
            inside.count_down();
            for (int i = 0; i != 100; ++i)
                std::this_thread::yield();
            finished = true;
        };
        std::optional<cancellation_callback<decltype(body)>> callback;
        callback.emplace(source.token(), body);
        std::thread requester([&] { source.request_cancel(); });
        inside.wait();
        callback.reset();
        BOOST_TEST(finished);
        requester.join();
    }
}

BOOST_AUTO_TEST_CASE(children_come_and_go_while_the_parent_is_cancelled)
{
    constexpr int rounds = 300, children = 8;
    std::atomic<int> wrong{0};
    for (int round = 0; round != rounds; ++round)
    {
        cancellation_source parent;
        std::latch ready(3);
        auto family = [&]
        {
            const auto token = parent.token();
            ready.arrive_and_wait();
            for (int i = 0; i != children; ++i)
            {
                cancellation_source child(token);
                cancellation_callback callback(child.token(), [&](error_code reason)
                                               { wrong += reason != timed_out && reason != aborted; });
                if (i % 3 == 0)
                    child.request_cancel();
                if (token.cancel_requested())
                {
                    cancellation_source late(token);
                    wrong += late.token().reason() != timed_out && late.cancel_requested();
                }
            }
        };
        std::thread a(family), b(family);
        ready.arrive_and_wait();
        parent.request_cancel(timed_out);
        a.join();
        b.join();
    }
    BOOST_TEST(wrong == 0);
}

BOOST_AUTO_TEST_SUITE_END()
