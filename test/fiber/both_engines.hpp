// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/fiber/fiber_context.hpp>

#include <boost/system/system_error.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/unit_test.hpp>

#include <memory>
#include <string>

namespace test
{

/// The engines of a fiber_context: BOOST_DATA_TEST_CASE(name, test::both_engines, engine).
inline const auto both_engines = boost::unit_test::data::make({"io_uring", "epoll"});

/// Makes a context on one of them. None, and a reported skip, where it is not to be had.
inline std::unique_ptr<zsync::fiber_context> make_on(const std::string& engine)
{
    const auto kind = engine == "epoll" ? zsync::engine_kind::reactor : zsync::engine_kind::uring;
    try
    {
        return std::make_unique<zsync::fiber_context>(zsync::fiber_options{.engine = kind});
    }
    catch (const boost::system::system_error& e)
    {
        BOOST_TEST_MESSAGE("skipped: no " << engine << " here: " << e.what());
        return nullptr;
    }
}

} // namespace test
