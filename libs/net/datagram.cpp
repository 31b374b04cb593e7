// SPDX-License-Identifier: BSL-1.0
#include <zsync/net/datagram.hpp>

#include <unistd.h>

namespace zsync
{

void datagram::open(int family)
{
    boost::system::error_code ec;
    open(family, ec);
    throw_if(ec, "open");
}

void datagram::take_over(int descriptor)
{
    boost::system::error_code ec;
    assign(descriptor, ec);
    if (!ec)
        return;
    ::close(descriptor);
    throw_if(ec, "datagram");
}

} // namespace zsync
