// SPDX-License-Identifier: BSL-1.0
#include <zsync/core/multishot.hpp>

#include "support/descriptors.hpp"
#include "support/engines.hpp"
#include "support/needs_ring.hpp"
#include "support/uring_loop.hpp"

#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <cerrno>
#include <string>
#include <thread>
#include <vector>

#include <sys/socket.h>

using namespace std::chrono_literals;
using namespace test;

namespace test
{

/// A receive with many results, whose bytes are copied out as they are told, so that their buffers go back at once.
struct receiving : zsync::multishot_operation
{
    receiving(zsync::uring_engine& engine, int fd, zsync::buffer_pool_ptr into) : pool(std::move(into))
    {
        code = zsync::opcode::receive_many;
        descriptor = fd;
        buffers = pool.get();
        on_result = [](multishot_operation& op, std::int32_t bytes, std::uint32_t buffer) noexcept
        {
            auto& self = static_cast<receiving&>(op);
            self.text.append(self.pool->data(buffer), static_cast<std::size_t>(bytes));
            self.pool->give_back(buffer);
        };
        on_news = [](multishot_operation& op, void*) noexcept { ++static_cast<receiving&>(op).news; };
        on_complete = [](operation& op, void*) noexcept { ++static_cast<receiving&>(op).ends; };
        engine.start(*this, &in_flight);
    }

    zsync::buffer_pool_ptr pool;
    zsync::operation_id in_flight;
    std::string text;
    int news = 0;
    int ends = 0;
};

} // namespace test

BOOST_AUTO_TEST_SUITE(uring_multishot, *boost::unit_test::precondition(test::needs_ring))

BOOST_DATA_TEST_CASE(one_operation_has_many_results_and_one_end, modes)
{
    loop on(sample);
    BOOST_REQUIRE(on.engine.supports(zsync::opcode::receive_many));
    auto ends = test::make_socket_pair();
    receiving op(on.engine, ends.first.get(), on.engine.buffers());
    for (const char* text : {"one", "two", "three"})
    {
        const std::size_t before = op.text.size();
        put(ends.second, text);
        BOOST_TEST(on.until([&] { return op.text.size() > before; }));
    }
    on.turn();
    BOOST_TEST(op.text == "onetwothree");
    BOOST_TEST(op.news >= 1);
    BOOST_TEST(op.ends == 0);
    ends.second.reset();
    BOOST_TEST(on.until([&] { return op.ends == 1; }));
    BOOST_TEST(op.result == 0);
    const auto now = on.engine.counters();
    BOOST_TEST(now.multishot_results == 3u);
    BOOST_TEST(now.operations_completed == 1u);
}

BOOST_DATA_TEST_CASE(what_is_taken_back_begins_again_and_loses_nothing, modes)
{
    loop on(sample);
    auto ends = test::make_socket_pair();
    receiving op(on.engine, ends.first.get(), on.engine.make_buffers({.count = 2, .bytes = 256}));
    std::string sent;
    for (int i = 0; i < 20; ++i)
    {
        on.turn();
        const std::string part = std::to_string(i) + std::string(300, '-');
        put(ends.second, part);
        sent += part;
        on.take_back();
    }
    BOOST_TEST(on.until([&] { return op.text.size() == sent.size(); }));
    BOOST_TEST(op.text == sent);
    BOOST_TEST(op.ends == 0);
    on.engine.cancel(op.in_flight);
    BOOST_TEST(on.until([&] { return op.ends == 1; }));
    BOOST_TEST(op.result == -ECANCELED);
}

BOOST_AUTO_TEST_CASE(a_second_runner_gets_a_new_ring_with_the_same_buffers)
{
    loop on(mode::shared);
    auto ends = test::make_socket_pair();
    receiving op(on.engine, ends.first.get(), on.engine.make_buffers({.count = 4, .bytes = 256}));
    on.turn();
    put(ends.second, "first");
    BOOST_TEST(on.until([&] { return op.text == "first"; }));
    std::thread second(
        [&]
        {
            put(ends.second, "second");
            on.until([&] { return op.text == "firstsecond"; });
        });
    second.join();
    BOOST_TEST(op.text == "firstsecond");
    for (int i = 0; i < 20; ++i) // each buffer more than once
    {
        const std::size_t before = op.text.size();
        put(ends.second, "more");
        BOOST_TEST(on.until([&] { return op.text.size() == before + 4; }));
    }
    ends.second.reset();
    BOOST_TEST(on.until([&] { return op.ends == 1; }));
}

BOOST_DATA_TEST_CASE(shutdown_ends_what_is_in_flight_and_what_waits_for_buffers, modes)
{
    auto ends = test::make_socket_pair();
    auto dry = test::make_socket_pair();
    loop on(sample);
    receiving in_flight(on.engine, ends.first.get(), on.engine.buffers());
    receiving starved(on.engine, dry.first.get(), on.engine.make_buffers({.count = 1, .bytes = 256}));
    // Keeps the one buffer there is.
    starved.on_result = [](zsync::multishot_operation& op, std::int32_t, std::uint32_t) noexcept
    { static_cast<receiving&>(op).text += 'x'; };
    put(dry.second, std::string(600, 'x'));
    BOOST_TEST(on.until([&] { return on.engine.counters().buffers_dry == 1; }));
    on.engine.shutdown(nullptr);
    BOOST_TEST(in_flight.ends == 1);
    BOOST_TEST(starved.ends == 1);
    BOOST_TEST(starved.result == -ECANCELED);
}

BOOST_DATA_TEST_CASE(buffers_of_another_engine_are_refused, modes)
{
    loop on(sample), other(sample);
    auto ends = test::make_socket_pair();
    receiving op(on.engine, ends.first.get(), other.engine.buffers());
    BOOST_TEST(on.until([&] { return op.ends == 1; }));
    BOOST_TEST(op.result == -EINVAL);
}

BOOST_AUTO_TEST_SUITE_END()
