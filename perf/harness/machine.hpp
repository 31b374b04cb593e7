// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/json/object.hpp>

namespace perf
{

/// Describes what a result depends on: CPU, kernel, compiler and flags, Boost, date, and the commit if git can tell.
/// Blocks the thread.
boost::json::object describe_run();

} // namespace perf
