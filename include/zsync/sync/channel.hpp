// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/sync/detail/channel_cases.hpp>
#include <zsync/sync/detail/channel_core.hpp>
#include <zsync/sync/detail/handler_wait.hpp>
#include <zsync/sync/detail/notice.hpp>

#include <boost/asio/async_result.hpp>
#include <boost/system/error_code.hpp>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <iterator>
#include <limits>
#include <optional>
#include <type_traits>
#include <utility>

namespace zsync
{

/// Carries items from those who send to those who receive, in order; for fibers, threads and handlers alike.
///
/// A channel has room for so many items. With a capacity of zero it is a rendezvous: an item passes from hand to hand
/// when both are there. Each item goes to one receiver; senders, and receivers, are served first come, first served.
///
/// @par Closing
/// After close() nothing can be sent. Items that are in the channel are still received, then receiving fails with
/// error::channel_closed. Whoever waits to send, as the channel is closed, fails and has its item back.
///
/// @par Cancellation and deadlines
/// Sending and receiving are cancellation points where they have to wait; what is possible at once is done in spite of
/// a request or a deadline passed. No item is lost: one that has been taken is delivered, and a request that came at
/// the same time stays pending; one that was not sent is still the sender's.
///
/// @par Thread safety
/// All may be called by several threads at once. The channel must outlive every wait.
///
/// @tparam T movable, without throwing. It is moved with a lock held: its move must not use the channel.
template <class T>
class channel : private detail::channel_core<T>
{
    using core = detail::channel_core<T>;

public:
    using value_type = T;

    /// A capacity without bound: sending never waits.
    static constexpr std::size_t unbounded = std::numeric_limits<std::size_t>::max();

    /// Makes an empty channel. Its memory grows as it is needed, up to the capacity, and is kept.
    explicit channel(std::size_t capacity) noexcept : core(capacity) {}

    virtual ~channel() = default;

    /// Sends an item. Suspends the fiber or blocks the thread until there is room, or a receiver.
    /// @throws boost::system::system_error with error::channel_closed, or as mutex::lock(); std::bad_alloc. The item
    ///         has then not been moved from.
    void send(T&& item) { detail::throw_failed(this->send_until(item, detail::no_deadline), "channel::send"); }
    void send(const T& item) requires std::copy_constructible<T> { send(T(item)); }

    /// The same; stores the error, or success.
    void send(T&& item, boost::system::error_code& ec) { ec = this->send_until(item, detail::no_deadline); }

    /// Sends an item, or returns false if that takes longer than given. @throws as send().
    bool try_send_until(T&& item, detail::sync_clock::time_point deadline)
    {
        return detail::in_time(this->send_until(item, deadline), "channel::try_send_until");
    }

    template <class Rep, class Period>
    bool try_send_for(T&& item, const std::chrono::duration<Rep, Period>& time)
    {
        return try_send_until(std::move(item), detail::deadline_after(time));
    }

    /// The same; stores the error: error::timed_out, or what send() reports. Returns whether it has been sent.
    bool try_send_until(T&& item, detail::sync_clock::time_point deadline, boost::system::error_code& ec)
    {
        ec = this->send_until(item, deadline);
        return !ec;
    }

    /// Sends an item if that is possible at once: false if there is no room, or the channel is closed; then the item
    /// has not been moved from. Never blocks. @throws std::bad_alloc.
    bool try_send(T&& item)
    {
        boost::system::error_code ec;
        return this->offer(item, nullptr, ec) && !ec;
    }
    bool try_send(const T& item) requires std::copy_constructible<T> { return try_send(T(item)); }

    /// Receives an item. Suspends the fiber or blocks the thread until there is one.
    /// @throws boost::system::system_error with error::channel_closed, or as mutex::lock().
    T receive()
    {
        boost::system::error_code ec;
        std::optional<T> item = this->receive_until(detail::no_deadline, ec);
        detail::throw_failed(ec, "channel::receive");
        return std::move(*item);
    }

    /// The same; stores the error, and then returns nothing.
    std::optional<T> receive(boost::system::error_code& ec) { return this->receive_until(detail::no_deadline, ec); }

    /// Receives an item, or nothing if that takes longer than given. @throws as receive().
    std::optional<T> try_receive_until(detail::sync_clock::time_point deadline)
    {
        boost::system::error_code ec;
        std::optional<T> item = this->receive_until(deadline, ec);
        detail::in_time(ec, "channel::try_receive_until");
        return item;
    }

    template <class Rep, class Period>
    std::optional<T> try_receive_for(const std::chrono::duration<Rep, Period>& time)
    {
        return try_receive_until(detail::deadline_after(time));
    }

    /// The same; stores the error: error::timed_out, or what receive() reports.
    std::optional<T> try_receive_until(detail::sync_clock::time_point deadline, boost::system::error_code& ec)
    {
        return this->receive_until(deadline, ec);
    }

    /// Receives an item if there is one. Never blocks.
    std::optional<T> try_receive()
    {
        std::optional<T> item;
        boost::system::error_code ec;
        this->take(item, nullptr, ec);
        return item;
    }

    /// Sends for a handler: `void(error_code)`. The item is kept with the handler meanwhile, and lost if sending fails.
    ///
    /// Never completes inline; never blocks. All types of cancellation end the wait with operation_aborted, and then
    /// the item has not been sent. The handler needs an associated executor.
    template <BOOST_ASIO_COMPLETION_TOKEN_FOR(void(boost::system::error_code)) Token>
    auto async_send(T item, Token&& token)
    {
        return boost::asio::async_initiate<Token, void(boost::system::error_code)>(
            [this]<class Handler>(Handler&& handler, T moved)
            {
                using waiting = detail::handler_wait<detail::handler_send_request<T>, std::decay_t<Handler>>;
                this->start(
                    waiting::make(std::decay_t<Handler>(std::forward<Handler>(handler)), *this, std::move(moved)));
            },
            token, std::move(item));
    }

    /// Receives for a handler: `void(error_code, T)`, with a T made by default if there is an error. As async_send().
    /// An item on its way to a handler is destroyed with it, where the handler's context is destroyed first.
    template <BOOST_ASIO_COMPLETION_TOKEN_FOR(void(boost::system::error_code, T)) Token>
        requires std::is_nothrow_default_constructible_v<T>
    auto async_receive(Token&& token)
    {
        return boost::asio::async_initiate<Token, void(boost::system::error_code, T)>(
            [this]<class Handler>(Handler&& handler)
            {
                using waiting = detail::handler_wait<detail::receive_request<T>, std::decay_t<Handler>>;
                this->start(waiting::make(std::decay_t<Handler>(std::forward<Handler>(handler)), *this));
            },
            token);
    }

    /// What select() takes: receives. Its result<T> has the item, or error::channel_closed.
    auto receiving() noexcept { return detail::receive_case<T>(*this); }

    /// What select() takes: sends. Its result<void> is success, or error::channel_closed. The item stays with what this
    /// returns until it has been sent, and if it never is: `item()`.
    auto sending(T item) noexcept { return detail::send_case<T>(*this, std::move(item)); }

    /// Closes it; a second time does nothing. Never blocks; any thread.
    using core::close;

    using core::is_closed;

    /// How many items are in the channel, as it was just now.
    using core::size;

    /// Receives item by item until the channel is closed. An input iterator; all iterators of one channel share it.
    class iterator
    {
    public:
        using iterator_concept = std::input_iterator_tag;
        using value_type = T;
        using difference_type = std::ptrdiff_t;

        iterator() noexcept = default;
        explicit iterator(channel& from) : from_(&from) { ++*this; }

        T& operator*() const noexcept { return *item_; }

        /// Receives the next. @throws as receive(), but for the end of the channel.
        iterator& operator++()
        {
            boost::system::error_code ec;
            item_ = from_->receive(ec);
            if (ec != error::channel_closed)
                detail::throw_failed(ec, "channel::iterator");
            return *this;
        }
        void operator++(int) { ++*this; }

        friend bool operator==(const iterator& at, std::default_sentinel_t) noexcept { return !at.item_; }

    private:
        channel* from_ = nullptr;
        mutable std::optional<T> item_;
    };

    iterator begin() { return iterator(*this); }
    std::default_sentinel_t end() const noexcept { return {}; }

protected:
    using core::offer; // for oneshot
};

/// A channel without bound, in which sending never waits. What is not received in time stays in memory.
template <class T>
class unbounded_channel final : public channel<T>
{
public:
    unbounded_channel() noexcept : channel<T>(channel<T>::unbounded) {}
};

} // namespace zsync
