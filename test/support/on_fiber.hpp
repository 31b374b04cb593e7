// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/fiber/fiber_context.hpp>
#include <zsync/fiber/spawn.hpp>

#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>
#include <boost/test/unit_test.hpp>

#include <chrono>
#include <exception>

namespace test
{

/// Runs a function on a fiber of a context, which it gets, until there is nothing left to do. Throws what it throws.
template <class Function>
void run_on_fiber(Function function)
{
    zsync::fiber_context ctx;
    bool ended = false;
    zsync::spawn(
        ctx, [&] { function(ctx); },
        [&](std::exception_ptr failure)
        {
            ended = true;
            if (failure)
                std::rethrow_exception(failure);
        });
    ctx.run_for(std::chrono::seconds(60));
    BOOST_TEST(ended);
    BOOST_TEST(ctx.stopped());
}

/// The code of the system_error that a function throws; success if it throws nothing.
template <class Function>
boost::system::error_code error_of(Function function)
{
    try
    {
        function();
    }
    catch (const boost::system::system_error& error)
    {
        return error.code();
    }
    return {};
}

/// Tests that a function throws a system_error with this code.
template <class Function>
void expect_error(boost::system::error_code code, Function function)
{
    using boost::system::system_error;
    BOOST_CHECK_EXCEPTION(function(), system_error, [&](const system_error& e) { return e.code() == code; });
}

} // namespace test
