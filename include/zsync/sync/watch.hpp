// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/sync/detail/subscription.hpp>

#include <cstdint>
#include <memory>
#include <utility>

namespace zsync
{

/// A value that changes, and that others look at and wait for changes of; for fibers, threads and handlers alike. Of
/// several changes a receiver sees the last, whatever it was doing meanwhile.
///
/// Closed by close(), or at the end of its life, which receivers may outlive: they still have the last value, and then
/// receive error::channel_closed. Cancellation, deadlines, thread safety and requirements of T are as for
/// broadcast_channel.
template <class T>
class watch
{
public:
    using value_type = T;

    /// Who looks. See detail::subscription for what it does: receiving waits for a value that it has not seen yet.
    class receiver : public detail::subscription<T, false>
    {
    public:
        /// Returns the value as it is, and has seen it. Never blocks. @throws what copying it throws.
        T get() { return this->state().newest(this->place_); }

        /// Says whether there is a value that it has not seen yet. Never blocks.
        bool has_changed() const noexcept { return this->place_.next < this->state().end(); }

        /// How many changes there had been with the value that it has seen last.
        std::uint64_t version() const noexcept { return this->place_.next - 1; }

    private:
        friend class watch;

        explicit receiver(std::shared_ptr<detail::broadcast_state<T>> of) noexcept
            : detail::subscription<T, false>(std::move(of))
        {
        }
    };

    /// Makes one with a value, of version 0. @throws std::bad_alloc.
    explicit watch(T value) : state_(std::make_shared<detail::broadcast_state<T>>(1))
    {
        state_->send(std::move(value));
    }

    watch(const watch&) = delete;
    watch& operator=(const watch&) = delete;
    ~watch() { close(); }

    /// Makes a receiver, which has seen the value as it is now. Never blocks.
    receiver subscribe() const noexcept { return receiver(state_); }

    /// Changes the value. False: it is closed. Never blocks.
    bool set(T value) { return state_->send(std::move(value)); }

    /// Returns the value as it is. Never blocks. @throws what copying it throws.
    T get() const
    {
        detail::broadcast_place nowhere;
        return state_->newest(nowhere);
    }

    /// How often it has been changed.
    std::uint64_t version() const noexcept { return state_->end() - 1; }

    /// Leaves it as it is for good; a second time does nothing. Never blocks; any thread.
    void close() noexcept { state_->close(); }

    bool is_closed() const noexcept { return state_->is_closed(); }

private:
    std::shared_ptr<detail::broadcast_state<T>> state_;
};

} // namespace zsync
