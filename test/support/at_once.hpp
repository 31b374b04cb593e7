// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/inline_executor.hpp>

#include "support/contexts.hpp"

#include <boost/asio/bind_immediate_executor.hpp> // Boost 1.82

namespace test
{

/// A reply's handler, to be called inside the initiating function where the operation completes there.
inline auto at_once(reply& told)
{
    return boost::asio::bind_immediate_executor(zsync::inline_executor(), told.handler());
}

} // namespace test
