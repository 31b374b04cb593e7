// SPDX-License-Identifier: BSL-1.0
#include <zsync/core/metrics.hpp>

#include <boost/test/unit_test.hpp>

#include <set>
#include <string>
#include <thread>
#include <type_traits>

BOOST_AUTO_TEST_SUITE(core_metrics)

BOOST_AUTO_TEST_CASE(a_counter_counts_by_one_and_by_n)
{
    zsync::counter count;
    BOOST_TEST(count.load() == 0u);
    ++count;
    count += 41;
    BOOST_TEST(count.load() == 42u);
    static_assert(!std::is_copy_constructible_v<zsync::counter>);
}

BOOST_AUTO_TEST_CASE(a_reader_on_another_thread_never_sees_a_count_go_down)
{
    constexpr std::uint64_t total = 100'000;
    zsync::counter count;
    std::thread writer(
        [&]
        {
            for (std::uint64_t i = 0; i != total; ++i)
                ++count;
        });
    std::uint64_t last = 0;
    bool monotonic = true;
    while (last != total)
    {
        const auto now = count.load();
        monotonic = monotonic && now >= last;
        last = now;
    }
    writer.join();
    BOOST_TEST(monotonic);
}

BOOST_AUTO_TEST_CASE(for_each_names_every_number_once)
{
    std::set<std::string> names;
    std::size_t visits = 0;
    zsync::metrics().for_each(
        [&](std::string_view name, std::uint64_t value)
        {
            ++visits;
            names.emplace(name);
            BOOST_TEST(value == 0u);
        });
    BOOST_TEST(names.size() == visits);
    // A field that for_each_metric forgot would make the snapshot larger than what was visited.
    BOOST_TEST(visits * sizeof(std::uint64_t) == sizeof(zsync::metrics));
}

BOOST_AUTO_TEST_CASE(summing_adds_each_number_to_its_own_kind)
{
    zsync::metrics first, second;
    std::uint64_t next = 0;
    zsync::for_each_metric([&](auto, std::uint64_t& value) { value = ++next; }, first);
    zsync::for_each_metric([&](auto, std::uint64_t& value) { value = 100 * ++next; }, second);
    auto sum = first;
    sum += second;
    zsync::for_each_metric([](auto, auto s, auto a, auto b) { BOOST_TEST(s == a + b); }, sum, first, second);
    BOOST_TEST((sum != first));
    BOOST_TEST(sum.operations_started == first.operations_started + second.operations_started);
}

BOOST_AUTO_TEST_CASE(a_snapshot_copies_each_counter_to_the_number_of_its_name)
{
    zsync::metric_counters live;
    std::uint64_t next = 0;
    zsync::for_each_metric([&](auto, zsync::counter& count) { count += ++next; }, live);
    const auto taken = live.snapshot();
    next = 0;
    taken.for_each([&](std::string_view, std::uint64_t value) { BOOST_TEST(value == ++next); });
    BOOST_TEST(taken.reactor_runs == live.reactor_runs.load());
    ++live.wakes;
    BOOST_TEST(live.snapshot().wakes == taken.wakes + 1);
}

BOOST_AUTO_TEST_SUITE_END()
