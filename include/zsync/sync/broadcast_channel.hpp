// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/sync/detail/subscription.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

namespace zsync
{

/// Carries items to all who have subscribed, each of whom receives each; for fibers, threads and handlers alike.
///
/// Sending never waits: the channel keeps so many of the newest items. A receiver that has fallen further behind is
/// told so by error::lagged, once, and how many it has missed by missed(); then it goes on with the oldest that is
/// kept.
///
/// @par Closing
/// By close(), or the end of the channel's life, which receivers may outlive. They still receive what is kept, then
/// fail with error::channel_closed.
///
/// @par Cancellation and deadlines
/// As for channel. A wait that has been cancelled has received nothing.
///
/// @par Thread safety
/// All may be called by several threads at once; as for receivers, see there.
///
/// @tparam T copyable, and movable without throwing. It is copied with a lock held: neither may use the channel, and
///         what is large is better held by a std::shared_ptr.
template <class T>
class broadcast_channel
{
public:
    using value_type = T;

    /// Who has subscribed. See detail::subscription for what it does.
    class receiver : public detail::subscription<T, true>
    {
    public:
        /// How many items have been missed, as the last call that received, or reported it, has found.
        std::uint64_t missed() const noexcept { return this->place_.missed; }

    private:
        friend class broadcast_channel;

        explicit receiver(std::shared_ptr<detail::broadcast_state<T>> of) noexcept
            : detail::subscription<T, true>(std::move(of))
        {
        }
    };

    /// Makes a channel that keeps so many items, at least one. Its memory grows as it is needed, and is kept.
    explicit broadcast_channel(std::size_t capacity) : state_(std::make_shared<detail::broadcast_state<T>>(capacity)) {}

    broadcast_channel(const broadcast_channel&) = delete;
    broadcast_channel& operator=(const broadcast_channel&) = delete;
    ~broadcast_channel() { close(); }

    /// Makes a receiver of what is sent from now on. Never blocks.
    receiver subscribe() const noexcept { return receiver(state_); }

    /// Sends an item to all. False: the channel is closed. Never blocks. @throws std::bad_alloc.
    bool send(T item) { return state_->send(std::move(item)); }

    /// Closes it; a second time does nothing. Never blocks; any thread.
    void close() noexcept { state_->close(); }

    bool is_closed() const noexcept { return state_->is_closed(); }

private:
    std::shared_ptr<detail::broadcast_state<T>> state_;
};

} // namespace zsync
