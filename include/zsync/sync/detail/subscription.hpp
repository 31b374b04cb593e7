// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/sync/detail/agent_wait.hpp>
#include <zsync/sync/detail/broadcast_state.hpp>
#include <zsync/sync/detail/handler_wait.hpp>
#include <zsync/sync/detail/notice.hpp>
#include <zsync/sync/detail/selected_wait.hpp>

#include <boost/asio/async_result.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/result.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

namespace zsync::detail
{

/// Somebody who reads a broadcast_state, one item after the other: what the receivers of broadcast_channel and watch
/// have in common.
///
/// A copy reads on, by itself, from where this is. One wait at a time, and no other call meanwhile; distinct receivers
/// may be used by several threads at once. It must outlive every wait, until the handler is called; what it receives
/// from need not.
template <class T, bool ReportsLag>
class subscription
{
public:
    using value_type = T;

    /// Receives an item. Suspends the fiber or blocks the thread until there is one.
    /// @throws boost::system::system_error with error::channel_closed, error::lagged where that is reported, or as
    ///         mutex::lock(); what copying the item throws, and then it can be received again.
    T receive()
    {
        boost::system::error_code ec;
        std::optional<T> item = receive_until(no_deadline, ec);
        throw_failed(ec, "receive");
        return std::move(*item);
    }

    /// The same; stores the error, and then returns nothing.
    std::optional<T> receive(boost::system::error_code& ec) { return receive_until(no_deadline, ec); }

    /// Receives an item, or nothing if that takes longer than given. @throws as receive().
    std::optional<T> try_receive_until(sync_clock::time_point deadline)
    {
        boost::system::error_code ec;
        std::optional<T> item = receive_until(deadline, ec);
        in_time(ec, "try_receive_until");
        return item;
    }

    template <class Rep, class Period>
    std::optional<T> try_receive_for(const std::chrono::duration<Rep, Period>& time)
    {
        return try_receive_until(deadline_after(time));
    }

    /// The same; stores the error: error::timed_out, or what receive() reports.
    std::optional<T> try_receive_until(sync_clock::time_point deadline, boost::system::error_code& ec)
    {
        return receive_until(deadline, ec);
    }

    /// Receives an item if there is one. Never blocks. Reports no lag: see missed(). @throws what copying throws.
    std::optional<T> try_receive()
    {
        std::optional<T> item;
        boost::system::error_code ec;
        state_->read(place_, false, item, ec);
        return item;
    }

    /// Receives for a handler: `void(error_code, T)`, with a T made by default if there is an error. As
    /// channel::async_receive(). The item is copied when the handler is called; where that throws, the error is
    /// not_enough_memory, and the item can be received again.
    template <BOOST_ASIO_COMPLETION_TOKEN_FOR(void(boost::system::error_code, T)) Token>
        requires std::is_nothrow_default_constructible_v<T>
    auto async_receive(Token&& token)
    {
        return boost::asio::async_initiate<Token, void(boost::system::error_code, T)>(
            [this]<class Handler>(Handler&& handler)
            {
                using waiting = handler_wait<read_request, std::decay_t<Handler>>;
                state_->start(place_,
                              waiting::make(std::decay_t<Handler>(std::forward<Handler>(handler)), *state_, *this));
            },
            token);
    }

    /// What select() takes: receives. Its result<T> has the item, or the error that receive() reports. Copying the item
    /// throws std::bad_alloc as error not_enough_memory.
    auto receiving() noexcept { return receive_case(*this); }

    /// Says whether nothing more can be received but what is there already. Never blocks.
    bool is_closed() const noexcept { return state_->is_closed(); }

protected:
    explicit subscription(std::shared_ptr<broadcast_state<T>> state) noexcept
        : place_{state->end(), 0}, state_(std::move(state))
    {
    }

    broadcast_state<T>& state() const noexcept { return *state_; }

    broadcast_place place_;

private:
    // Reads what there is, without an exception.
    std::tuple<boost::system::error_code, std::optional<T>> read() noexcept
    {
        boost::system::error_code ec;
        std::optional<T> item;
        try
        {
            state_->read(place_, ReportsLag, item, ec);
        }
        catch (...)
        {
            ec = make_error_code(boost::system::errc::not_enough_memory);
        }
        return {ec, std::move(item)};
    }

    /// A handler's wait.
    class read_request : public wait_node
    {
    public:
        std::tuple<boost::system::error_code, T> results() noexcept
        {
            if (this->result)
                return {this->result, T()};
            auto [ec, item] = by_.read();
            return {ec, item ? std::move(*item) : T()};
        }

    protected:
        read_request(complete_function complete, subscription& by) noexcept : wait_node(complete), by_(by) {}
        ~read_request() = default;

    private:
        subscription& by_;
    };

    class receive_case
    {
    public:
        using result_type = boost::system::result<T>;

        explicit receive_case(subscription& by) noexcept : by_(&by) {}

        class wait_type final : public selected_wait<notice>
        {
        public:
            wait_type(receive_case& what, selection& of, std::size_t index) noexcept
                : selected_wait<notice>(of, index, *what.by_->state_), by_(*what.by_)
            {
            }

            bool try_now() const noexcept { return by_.state_->readable(by_.place_); }

            bool arm() noexcept
            {
                by_.state_->enter(*this);
                return false;
            }

            result_type take(bool chosen) noexcept
            {
                if (!chosen)
                    return {boost::system::in_place_error, aborted_by_another()};
                auto [ec, item] = by_.read();
                if (item)
                    return {boost::system::in_place_value, std::move(*item)};
                return {boost::system::in_place_error, ec};
            }

        private:
            subscription& by_;
        };

    private:
        subscription* by_;
    };

    std::optional<T> receive_until(sync_clock::time_point deadline, boost::system::error_code& ec)
    {
        ec.clear();
        std::optional<T> item;
        if (state_->read(place_, ReportsLag, item, ec))
            return item;
        agent& self = agent::current();
        ec = agent_wait_base::refusal(self);
        if (ec)
            return item;
        agent_wait<notice> waiting(self, *state_);
        if (state_->read(place_, ReportsLag, item, ec, &waiting))
            return item;
        ec = waiting.wait_until(deadline);
        if (!ec)
            state_->read(place_, ReportsLag, item, ec);
        return item;
    }

    std::shared_ptr<broadcast_state<T>> state_;
};

} // namespace zsync::detail
