// SPDX-License-Identifier: BSL-1.0
#include <zsync/sync/select.hpp>

#include "models.hpp"

#include <zsync/sync/event.hpp>

#include <boost/asio/buffer.hpp>
#include <boost/asio/deferred.hpp>

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

BOOST_AUTO_TEST_SUITE_END()
