// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/agent.hpp>

#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>

#include <chrono>

/// What a case does to the task it runs in, and sees of it.
namespace test
{

constexpr auto for_ever = std::chrono::hours(24 * 365);

/// What the running task would get from another: a request to end.
inline void request_cancel()
{
    zsync::agent::current().cancellation().request();
}

/// Returns the code of what a function throws, or success.
boost::system::error_code error_of(auto&& function)
{
    try
    {
        function();
    }
    catch (const boost::system::system_error& e)
    {
        return e.code();
    }
    return {};
}

} // namespace test
