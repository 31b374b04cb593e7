// SPDX-License-Identifier: BSL-1.0
// Handlers with an immediate executor: called within the initiating function if the operation completes there.
#include <zsync/io/operation.hpp>

#include "models.hpp"

#if __has_include(<boost/asio/bind_immediate_executor.hpp>) // Boost 1.82
#    include "support/at_once.hpp"

#    include <array>
#    include <span>
#    include <string>

using namespace test;

BOOST_AUTO_TEST_SUITE(io_immediate)

BOOST_DATA_TEST_CASE(what_need_not_wait_completes_inside_its_initiating_function, each_cell)
{
    run_in(sample,
           [](const scene& at)
           {
               auto [near, far] = stream_pair(at.io);
               reply written;
               at.io.write(near, "hello")(at_once(written));
               BOOST_TEST(written.succeeded(), written);
               BOOST_TEST(written.bytes == 5u);
               std::array<char, 8> data{};
               reply read;
               at.io.read_exactly(far, std::span(data).first(5))(at_once(read));
               BOOST_TEST(read.succeeded(), read);
               BOOST_TEST(read.bytes == 5u);

               near.close();
               reply refused;
               at.io.write(near, "hello")(at_once(refused));
               BOOST_TEST(refused.failed_with(boost::asio::error::bad_descriptor), refused);
           });
}

BOOST_DATA_TEST_CASE(what_has_to_wait_is_queued_as_ever, each_green)
{
    run_in(sample,
           [](const scene& at)
           {
               auto [near, far] = stream_pair(at.io);
               std::array<char, 8> data{};
               at.io.write(far, "hel").await();
               reply read;
               at.io.read_exactly(near, std::span(data).first(5))(at_once(read));
               BOOST_TEST(read.calls == 0); // though three bytes have been read by now
               at.io.write(far, "lo").await();
               BOOST_TEST(at.until([&] { return read.calls == 1; }));
               BOOST_TEST(read.bytes == 5u);
               BOOST_TEST(std::string(data.data(), 5) == "hello");
           });
}

BOOST_DATA_TEST_CASE(without_an_immediate_executor_the_handler_is_posted, each_cell)
{
    run_in(sample,
           [](const scene& at)
           {
               auto [near, far] = stream_pair(at.io);
               reply written;
               at.io.write(near, "hello")(written.handler());
               BOOST_TEST(written.calls == 0);
               BOOST_TEST(at.until([&] { return written.calls == 1; }));
           });
}

BOOST_AUTO_TEST_SUITE_END()

#else

BOOST_AUTO_TEST_CASE(io_immediate)
{
    BOOST_TEST_MESSAGE("skipped: immediate executors, which Boost has since 1.82");
}

#endif
