// SPDX-License-Identifier: BSL-1.0
#include <zsync/sync/select.hpp>

#include "docs/examples/allocations.hpp"
#include "models.hpp"

#include <zsync/core/detail/sanitizers.hpp>
#include <zsync/sync/event.hpp>

#include <boost/asio/buffer.hpp>
#include <boost/asio/deferred.hpp>

#include <cstdint>
#include <string_view>
#include <tuple>

namespace asio = boost::asio;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(io_select)

BOOST_DATA_TEST_CASE(an_operation_of_an_io_ends_a_select, test::each_cell)
{
    test::run_in(sample,
                 [](const test::scene& at)
                 {
                     auto [near, far] = test::stream_pair(at.io);
                     zsync::event never;
                     std::array<char, 4> data;
                     at.io.write(far, "abc").await();
                     const auto [which, nothing, read, late] =
                         zsync::select(never.waiting(), at.io.read(near, data), zsync::after(1h));
                     BOOST_TEST(which == 1u);
                     BOOST_TEST(!std::get<0>(*read));
                     BOOST_TEST(std::string_view(data.data(), std::get<1>(*read)) == "abc");
                 });
}

BOOST_DATA_TEST_CASE(a_read_that_loses_takes_nothing_from_the_stream, test::each_green)
{
    test::run_in(sample,
                 [](const test::scene& at)
                 {
                     auto [near, far] = test::stream_pair(at.io);
                     std::array<char, 4> data;
                     const auto loses = [](const auto& result)
                     {
                         BOOST_TEST(std::get<0>(result) == 0u);
                         BOOST_TEST((std::get<0>(*std::get<2>(result)) == asio::error::operation_aborted));
                         BOOST_TEST(std::get<1>(*std::get<2>(result)) == 0u);
                     };
                     loses(zsync::select(zsync::after(1ms), at.io.read(near, data)));
                     loses(zsync::select(zsync::after(1ms), near.async_read_some(asio::buffer(data), asio::deferred)));
                     at.io.write(far, "xyz").await();
                     BOOST_TEST(at.io.read(near, data).await() == 3u);
                 });
}

// An operation in a select has a slot, and needs no fiber for that; the slot's memory is the waiting fiber's.
BOOST_DATA_TEST_CASE(a_select_of_a_read_and_a_timer_allocates_nothing, test::each_green)
{
    test::run_in(sample,
                 [](const test::scene& at)
                 {
                     auto [near, far] = test::stream_pair(at.io);
                     std::array<char, 4> data;
                     std::uint64_t before = 0;
                     std::size_t wrong = 0;
                     for (int round = 0; round != 64; ++round)
                     {
                         if (round == 32)
                             before = allocations();
                         at.io.write(far, "abc").await();
                         wrong += std::get<0>(zsync::select(at.io.read(near, data), zsync::after(1h))) != 0;
                         // One that has to wait, and loses.
                         wrong += std::get<0>(zsync::select(at.io.read(near, data), zsync::after(10us))) != 1;
                     }
                     if (!ZSYNC_HAS_ASAN) // which recycles nothing, to see each use after the free: here, of records
                         BOOST_TEST(allocations() == before);
                     BOOST_TEST(wrong == 0u);
                 });
}

BOOST_AUTO_TEST_SUITE_END()
