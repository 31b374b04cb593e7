// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/system/error_code.hpp>

namespace zsync::detail
{

/// The error_code of an errno.
inline boost::system::error_code from_errno(int number) noexcept
{
    return {number, boost::system::system_category()};
}

} // namespace zsync::detail
