// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/sync/detail/agent_wait.hpp>
#include <zsync/sync/detail/handler_wait.hpp>
#include <zsync/sync/detail/notice.hpp>
#include <zsync/sync/detail/ring_buffer.hpp>

#include <boost/asio/async_result.hpp>
#include <boost/asio/error.hpp>
#include <boost/system/error_code.hpp>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <iterator>
#include <limits>
#include <mutex>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

namespace zsync
{

namespace detail
{

/// A wait for an item.
template <class T>
class receive_request : public wait_node
{
public:
    using wait_node::wait_node;

    std::optional<T> item; // written by whoever takes the node out, with the lock held

    std::tuple<boost::system::error_code, T> results() noexcept requires std::is_nothrow_default_constructible_v<T>
    {
        return {result, item ? std::move(*item) : T()};
    }

protected:
    ~receive_request() = default;
};

/// A wait for room, or for a receiver. The item is with the waiting agent, or here, with a handler's.
template <class T>
class send_request : public wait_node
{
public:
    virtual T& item() noexcept = 0;

protected:
    using wait_node::wait_node;
    ~send_request() = default;
};

template <class T>
class agent_send_request : public send_request<T>
{
public:
    agent_send_request(wait_node::complete_function complete, T& item) noexcept : send_request<T>(complete), item_(item)
    {
    }
    T& item() noexcept override { return item_; }

protected:
    ~agent_send_request() = default;

private:
    T& item_;
};

template <class T>
class handler_send_request : public send_request<T>
{
public:
    handler_send_request(wait_node::complete_function complete, T&& item) noexcept
        : send_request<T>(complete), item_(std::move(item))
    {
    }
    T& item() noexcept override { return item_; }
    std::tuple<boost::system::error_code> results() noexcept { return {this->result}; }

protected:
    ~handler_send_request() = default;

private:
    T item_;
};

} // namespace detail

template <class T>
class oneshot;

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
class channel : private detail::wait_queue
{
    static_assert(std::is_object_v<T> && std::is_nothrow_move_constructible_v<T> && std::is_nothrow_destructible_v<T>);

public:
    using value_type = T;

    /// A capacity without bound: sending never waits.
    static constexpr std::size_t unbounded = std::numeric_limits<std::size_t>::max();

    /// Makes an empty channel. Its memory grows as it is needed, up to the capacity, and is kept.
    explicit channel(std::size_t capacity) noexcept : buffer_(capacity) {}

    /// Sends an item. Suspends the fiber or blocks the thread until there is room, or a receiver.
    /// @throws boost::system::system_error with error::channel_closed, or as mutex::lock(); std::bad_alloc. The item
    /// has
    ///         then not been moved from.
    void send(T&& item) { detail::throw_failed(send_until_(item, detail::no_deadline), "channel::send"); }
    void send(const T& item) requires std::copy_constructible<T> { send(T(item)); }

    /// The same; stores the error, or success.
    void send(T&& item, boost::system::error_code& ec) { ec = send_until_(item, detail::no_deadline); }

    /// Sends an item, or returns false if that takes longer than given. @throws as send().
    bool try_send_until(T&& item, detail::sync_clock::time_point deadline)
    {
        return detail::in_time(send_until_(item, deadline), "channel::try_send_until");
    }

    template <class Rep, class Period>
    bool try_send_for(T&& item, const std::chrono::duration<Rep, Period>& time)
    {
        return try_send_until(std::move(item), detail::deadline_after(time));
    }

    /// The same; stores the error: error::timed_out, or what send() reports. Returns whether it has been sent.
    bool try_send_until(T&& item, detail::sync_clock::time_point deadline, boost::system::error_code& ec)
    {
        ec = send_until_(item, deadline);
        return !ec;
    }

    /// Sends an item if that is possible at once: false if there is no room, or the channel is closed; then the item
    /// has not been moved from. Never blocks. @throws std::bad_alloc.
    bool try_send(T&& item)
    {
        boost::system::error_code ec;
        return offer(item, nullptr, ec) && !ec;
    }
    bool try_send(const T& item) requires std::copy_constructible<T> { return try_send(T(item)); }

    /// Receives an item. Suspends the fiber or blocks the thread until there is one.
    /// @throws boost::system::system_error with error::channel_closed, or as mutex::lock().
    T receive()
    {
        boost::system::error_code ec;
        std::optional<T> item = receive_until_(detail::no_deadline, ec);
        detail::throw_failed(ec, "channel::receive");
        return std::move(*item);
    }

    /// The same; stores the error, and then returns nothing.
    std::optional<T> receive(boost::system::error_code& ec) { return receive_until_(detail::no_deadline, ec); }

    /// Receives an item, or nothing if that takes longer than given. @throws as receive().
    std::optional<T> try_receive_until(detail::sync_clock::time_point deadline)
    {
        boost::system::error_code ec;
        std::optional<T> item = receive_until_(deadline, ec);
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
        return receive_until_(deadline, ec);
    }

    /// Receives an item if there is one. Never blocks.
    std::optional<T> try_receive()
    {
        std::optional<T> item;
        boost::system::error_code ec;
        take(item, nullptr, ec);
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
                start(waiting::make(std::decay_t<Handler>(std::forward<Handler>(handler)), *this, std::move(moved)));
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
                start(waiting::make(std::decay_t<Handler>(std::forward<Handler>(handler)), *this));
            },
            token);
    }

    /// Closes it; a second time does nothing. Never blocks; any thread.
    void close() noexcept
    {
        detail::woken_list woken;
        {
            const std::lock_guard held(lock_);
            closed_ = true;
            woken.push_all(senders_, error::channel_closed);
            woken.push_all(receivers_, error::channel_closed);
        }
        woken.complete();
    }

    bool is_closed() const noexcept
    {
        const std::lock_guard held(lock_);
        return closed_;
    }

    /// How many items are in the channel, as it was just now.
    std::size_t size() const noexcept
    {
        const std::lock_guard held(lock_);
        return buffer_.size();
    }

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

private:
    friend class oneshot<T>;

    using sender = detail::send_request<T>;
    using receiver = detail::receive_request<T>;

    // While somebody waits to receive, nothing is in the buffer, and nobody waits to send; while somebody waits to
    // send, the buffer is full. When it is closed, nobody waits.

    // True: it is done, or closed. False: it has to wait, and the node, if there is one, is in the list.
    // The last item closes the channel.
    bool offer(T& item, sender* waiting, boost::system::error_code& ec, bool last = false)
    {
        detail::woken_list woken;
        {
            const std::lock_guard held(lock_);
            if (closed_)
                ec = error::channel_closed;
            else if (detail::wait_node* const taker = receivers_.pop_front())
            {
                static_cast<receiver*>(taker)->item.emplace(std::move(item));
                woken.push(taker);
            }
            else if (!buffer_.full())
                buffer_.push(std::move(item));
            else
            {
                if (waiting)
                    senders_.push_back(*waiting);
                return false;
            }
            if (last && !closed_)
            {
                closed_ = true;
                woken.push_all(receivers_, error::channel_closed);
            }
        }
        woken.complete();
        return true;
    }

    bool take(std::optional<T>& item, receiver* waiting, boost::system::error_code& ec) noexcept
    {
        detail::woken_list woken;
        {
            const std::lock_guard held(lock_);
            detail::wait_node* const giver = senders_.pop_front();
            woken.push(giver);
            if (!buffer_.empty())
            {
                item.emplace(buffer_.pop());
                if (giver)
                    buffer_.push(std::move(static_cast<sender*>(giver)->item())); // there was room for as many
            }
            else if (giver)
                item.emplace(std::move(static_cast<sender*>(giver)->item()));
            else if (closed_)
                ec = error::channel_closed;
            else
            {
                if (waiting)
                    receivers_.push_back(*waiting);
                return false;
            }
        }
        woken.complete();
        return true;
    }

    boost::system::error_code send_until_(T& item, detail::sync_clock::time_point deadline)
    {
        boost::system::error_code ec;
        if (offer(item, nullptr, ec))
            return ec;
        agent& self = agent::current();
        using wait_type = detail::agent_wait<detail::agent_send_request<T>>;
        ec = wait_type::refusal(self);
        if (ec)
            return ec;
        wait_type waiting(self, *this, item);
        return offer(item, &waiting, ec) ? ec : waiting.wait_until(deadline);
    }

    std::optional<T> receive_until_(detail::sync_clock::time_point deadline, boost::system::error_code& ec)
    {
        ec.clear();
        std::optional<T> item;
        if (take(item, nullptr, ec))
            return item;
        agent& self = agent::current();
        ec = detail::agent_wait<receiver>::refusal(self);
        if (ec)
            return item;
        detail::agent_wait<receiver> waiting(self, *this);
        if (take(item, &waiting, ec))
            return item;
        ec = waiting.wait_until(deadline);
        return std::move(waiting.item);
    }

    void start(sender& node)
    {
        bool done = true;
        try
        {
            done = offer(node.item(), &node, node.result);
        }
        catch (const std::bad_alloc&)
        {
            node.result = make_error_code(boost::system::errc::not_enough_memory);
        }
        if (done)
            complete(node);
    }

    void start(receiver& node) noexcept
    {
        if (take(node.item, &node, node.result))
            complete(node);
    }

    detail::ring_buffer<T> buffer_;
    detail::wait_list senders_;
    detail::wait_list receivers_;
    bool closed_ = false;
};

/// A channel without bound, in which sending never waits. What is not received in time stays in memory.
template <class T>
class unbounded_channel : public channel<T>
{
public:
    unbounded_channel() noexcept : channel<T>(channel<T>::unbounded) {}
};

/// A channel for one item: the first send() is the last, and closes it. So a receiver has either the item, or
/// error::channel_closed, because the channel was closed without one.
template <class T>
class oneshot : private channel<T>
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
    using channel<T>::try_receive;
    using channel<T>::try_receive_for;
    using channel<T>::try_receive_until;
};

} // namespace zsync
