// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/cancellation_type.hpp>

namespace zsync::detail
{

/// Puts nothing in the place of an operation's cancellation handler, when the operation is over. clear() would give the
/// slot's memory up, which the next operation needs again; the place of a handler has room for one that does nothing.
template <class Slot>
void forget_cancellation(Slot slot)
{
    struct nothing
    {
        void operator()(boost::asio::cancellation_type) const noexcept {}
    };

    if (slot.is_connected() && slot.has_handler())
        slot.assign(nothing());
}

} // namespace zsync::detail
