// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/sync/channel.hpp>

#include <boost/system/error_code.hpp>

namespace zsync
{

/// A channel for one item: the first send() is the last, and closes it. So a receiver has either the item, or
/// error::channel_closed, because the channel was closed without one.
template <class T>
class oneshot final : private channel<T>
{
public:
    using value_type = T;

    oneshot() noexcept : channel<T>(1) {}

    /// Sends the item. False: there has been one, or the channel is closed. Never blocks. @throws std::bad_alloc.
    bool send(T item)
    {
        boost::system::error_code ec;
        return this->offer(item, nullptr, ec, true) && !ec;
    }

    using channel<T>::async_receive;
    using channel<T>::close;
    using channel<T>::is_closed;
    using channel<T>::receive;
    using channel<T>::receiving;
    using channel<T>::try_receive;
    using channel<T>::try_receive_for;
    using channel<T>::try_receive_until;
};

} // namespace zsync
