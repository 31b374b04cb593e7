// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/error.hpp>
#include <zsync/sync/detail/agent_wait.hpp>
#include <zsync/sync/detail/ring_buffer.hpp>

#include <boost/system/error_code.hpp>

#include <cstddef>
#include <mutex>
#include <new>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

namespace zsync::detail
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

/// What a channel does, whoever waits.
template <class T>
class channel_core : public wait_queue
{
    static_assert(std::is_object_v<T> && std::is_nothrow_move_constructible_v<T> && std::is_nothrow_destructible_v<T>);

public:
    using sender = send_request<T>;
    using receiver = receive_request<T>;

    explicit channel_core(std::size_t capacity) noexcept : buffer_(capacity) {}

    /// True: it is done, or closed. False: it has to wait, and the node, if there is one, is in the list. The last item
    /// closes the channel.
    bool offer(T& item, sender* waiting, boost::system::error_code& ec, bool last = false)
    {
        woken_list woken;
        {
            const std::lock_guard held(lock_);
            if (!offer_locked(item, ec, woken))
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

    /// Likewise.
    bool take(std::optional<T>& item, receiver* waiting, boost::system::error_code& ec) noexcept
    {
        woken_list woken;
        {
            const std::lock_guard held(lock_);
            if (!take_locked(item, ec, woken))
            {
                if (waiting)
                    receivers_.push_back(*waiting);
                return false;
            }
        }
        woken.complete();
        return true;
    }

    // With the lock held. True: it is done, or closed.

    bool offer_locked(T& item, boost::system::error_code& ec, woken_list& woken)
    {
        if (closed_)
            ec = error::channel_closed;
        else if (wait_node* const taker = receivers_.pop_front())
        {
            static_cast<receiver*>(taker)->item.emplace(std::move(item));
            woken.push(taker);
        }
        else if (!buffer_.full())
            buffer_.push(std::move(item));
        else
            return false;
        return true;
    }

    bool take_locked(std::optional<T>& item, boost::system::error_code& ec, woken_list& woken) noexcept
    {
        wait_node* const giver = senders_.pop_front();
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
            return false;
        return true;
    }

    void enter(sender& waiting) noexcept { senders_.push_back(waiting); }
    void enter(receiver& waiting) noexcept { receivers_.push_back(waiting); }

    // For an agent.

    boost::system::error_code send_until(T& item, sync_clock::time_point deadline)
    {
        boost::system::error_code ec;
        if (offer(item, nullptr, ec))
            return ec;
        agent& self = agent::current();
        using wait_type = agent_wait<agent_send_request<T>>;
        ec = wait_type::refusal(self);
        if (ec)
            return ec;
        wait_type waiting(self, *this, item);
        return offer(item, &waiting, ec) ? ec : waiting.wait_until(deadline);
    }

    std::optional<T> receive_until(sync_clock::time_point deadline, boost::system::error_code& ec)
    {
        ec.clear();
        std::optional<T> item;
        if (take(item, nullptr, ec))
            return item;
        agent& self = agent::current();
        ec = agent_wait<receiver>::refusal(self);
        if (ec)
            return item;
        agent_wait<receiver> waiting(self, *this);
        if (take(item, &waiting, ec))
            return item;
        ec = waiting.wait_until(deadline);
        return std::move(waiting.item);
    }

    // For a handler.

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

    void close() noexcept
    {
        woken_list woken;
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

    std::size_t size() const noexcept
    {
        const std::lock_guard held(lock_);
        return buffer_.size();
    }

private:
    // While somebody waits to receive, nothing is in the buffer, and nobody waits to send; while somebody waits to
    // send, the buffer is full. When it is closed, nobody waits.
    ring_buffer<T> buffer_;
    wait_list senders_;
    wait_list receivers_;
    bool closed_ = false;
};

} // namespace zsync::detail
