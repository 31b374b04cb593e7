// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/net/endpoint.hpp>

#include "support/descriptors.hpp"

#include <boost/test/unit_test.hpp>

#include <sys/socket.h>

namespace test
{

/// Returns a socket that is connected to a listener, without any context.
inline descriptor connect_to(const zsync::endpoint& where, int flags = 0)
{
    descriptor peer(::socket(where.family(), SOCK_STREAM | SOCK_CLOEXEC | flags, 0));
    BOOST_REQUIRE_EQUAL(::connect(peer.get(), where.data(), static_cast<socklen_t>(where.size())), 0);
    return peer;
}

} // namespace test
