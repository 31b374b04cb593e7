// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/error.hpp>
#include <zsync/sync/detail/wait_list.hpp>

#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>

#include <tuple>

namespace zsync::detail
{

/// A wait that is told no more than how it has ended.
class notice : public wait_node
{
public:
    using wait_node::wait_node;

    std::tuple<boost::system::error_code> results() noexcept { return {result}; }

protected:
    ~notice() = default;
};

/// Throws an error, if it is one.
inline void throw_failed(const boost::system::error_code& ec, const char* what)
{
    if (ec) [[unlikely]]
        throw boost::system::system_error(ec, what);
}

/// For waits with a deadline: false if that has passed; throws other errors.
inline bool in_time(const boost::system::error_code& ec, const char* what)
{
    if (ec == error::timed_out)
        return false;
    throw_failed(ec, what);
    return true;
}

} // namespace zsync::detail
