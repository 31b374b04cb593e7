// SPDX-License-Identifier: BSL-1.0
#include <zsync/io/run.hpp>

#include <boost/test/unit_test.hpp>

#include <stdexcept>

using zsync::io;

namespace
{

void nothing(io) {}

int seven()
{
    return 7;
}

} // namespace

BOOST_AUTO_TEST_SUITE(io_run)

BOOST_AUTO_TEST_CASE(every_way_in_returns_the_result_or_zero)
{
    BOOST_TEST(zsync::run(nothing) == 0);
    BOOST_TEST(zsync::run_blocking(nothing) == 0);
    BOOST_TEST(zsync::run_green(nothing) == 0);
    BOOST_TEST(zsync::run_high_perf(nothing) == 0);
    BOOST_TEST(zsync::run(seven) == 7);
    BOOST_TEST(zsync::run_blocking(seven) == 7);
    BOOST_TEST(zsync::run_green(seven) == 7);
    BOOST_TEST(zsync::run_high_perf(seven) == 7);
}

BOOST_AUTO_TEST_CASE(each_has_its_model)
{
    const auto model = [](io io) { return io.model(); };
    BOOST_TEST((zsync::run(model) == zsync::model::green));
    BOOST_TEST((zsync::run_blocking(model) == zsync::model::blocking));
    BOOST_TEST((zsync::run_green(model) == zsync::model::green));
    BOOST_TEST((zsync::run(model, {.model = zsync::model::blocking}) == zsync::model::blocking));
    const auto engine = [](io io) { return io.engine(); };
    BOOST_TEST((zsync::run_green(engine, {.engine = zsync::engine_kind::reactor}) == zsync::engine_kind::reactor));
}

BOOST_AUTO_TEST_CASE(exceptions_come_through)
{
    const auto failing = [] { throw std::runtime_error("mine"); };
    BOOST_CHECK_THROW(zsync::run(failing), std::runtime_error);
    BOOST_CHECK_THROW(zsync::run_blocking(failing), std::runtime_error);
}

BOOST_AUTO_TEST_SUITE_END()
