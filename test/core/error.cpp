// SPDX-License-Identifier: BSL-1.0
#include <zsync/core/error.hpp>

#include <boost/test/unit_test.hpp>

#include <boost/asio/error.hpp>
#include <boost/system/errc.hpp>
#include <boost/system/system_error.hpp>

#include <string>
#include <system_error>

using zsync::error;

BOOST_AUTO_TEST_SUITE(core_error)

BOOST_AUTO_TEST_CASE(an_enumerator_converts_to_a_failed_code_of_our_category)
{
    const boost::system::error_code ec = error::concurrency_unavailable;
    BOOST_TEST(ec.failed());
    BOOST_TEST(ec.value() == 1);
    BOOST_TEST((ec.category() == zsync::error_category()));
    BOOST_TEST(std::string(ec.category().name()) == "zsync");
    BOOST_TEST((ec == error::concurrency_unavailable));
    BOOST_TEST((ec != error::timed_out));
}

BOOST_AUTO_TEST_CASE(every_code_has_a_message_of_its_own_and_both_forms_agree)
{
    const std::string unknown = zsync::error_category().message(12345);
    std::string previous;
    for (auto code : {error::concurrency_unavailable, error::timed_out, error::channel_closed, error::lagged})
    {
        const boost::system::error_code ec = code;
        char buffer[64];
        BOOST_TEST(ec.message() != unknown);
        BOOST_TEST(ec.message() != previous);
        BOOST_TEST(ec.message() == ec.message(buffer, sizeof buffer));
        previous = ec.message();
    }
    BOOST_TEST(!unknown.empty());
}

BOOST_AUTO_TEST_CASE(timed_out_equals_the_generic_condition_but_not_the_kernels_code)
{
    const boost::system::error_code ours = error::timed_out;
    BOOST_TEST((ours == boost::system::errc::timed_out));
    const boost::system::error_code kernels = boost::asio::error::timed_out;
    BOOST_TEST((ours != kernels));
    BOOST_TEST((kernels == boost::system::errc::timed_out));
}

BOOST_AUTO_TEST_CASE(concurrency_unavailable_equals_no_generic_condition)
{
    const boost::system::error_code ec = error::concurrency_unavailable;
    BOOST_TEST((ec != boost::system::errc::resource_unavailable_try_again));
    BOOST_TEST((ec != boost::system::errc::operation_not_supported));
    BOOST_TEST((ec.default_error_condition().category() == zsync::error_category()));
}

BOOST_AUTO_TEST_CASE(it_travels_in_an_exception_and_as_a_std_error_code)
{
    const boost::system::system_error thrown(make_error_code(error::timed_out));
    BOOST_TEST((thrown.code() == error::timed_out));
    const std::error_code converted = make_error_code(error::timed_out);
    BOOST_TEST((converted == std::errc::timed_out));
    BOOST_TEST(std::string(converted.category().name()) == "zsync");
}

BOOST_AUTO_TEST_SUITE_END()
