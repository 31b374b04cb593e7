// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/error.hpp>
#include <boost/system/error_code.hpp>

#include <atomic>
#include <memory>
#include <optional>
#include <stop_token>
#include <type_traits>
#include <utility>

namespace zsync
{

/// What a source and its tokens share: a std::stop_source, and why it was stopped. Not for direct use.
class cancellation_state
{
public:
    cancellation_state() = default;

    /// Follows `upstream`; `upstream_state`, if there is one, knows the reason.
    cancellation_state(std::stop_token upstream, std::shared_ptr<const cancellation_state> upstream_state);

    cancellation_state(const cancellation_state&) = delete;
    cancellation_state& operator=(const cancellation_state&) = delete;

    bool request(boost::system::error_code reason) noexcept;

    bool requested() const noexcept { return phase_.load(std::memory_order_acquire) == phase::requested; }

    boost::system::error_code reason() const noexcept { return requested() ? reason_ : boost::system::error_code(); }

    std::stop_token stop_token() const noexcept { return stop_.get_token(); }

private:
    enum class phase : unsigned char
    {
        idle,
        claimed,
        requested,
    };

    struct upstream_callback
    {
        cancellation_state* self;
        std::shared_ptr<const cancellation_state> upstream;
        void operator()() const noexcept;
    };

    // Written by the one request that moves it from idle, which owns reason_ until it stores `requested` with release
    // order. Whoever loads that with acquire order sees the reason. Callbacks run after the store, on the same thread
    // or, when registered later, on one that synchronised with the stop request that followed it.
    std::atomic<phase> phase_{phase::idle};
    boost::system::error_code reason_;
    std::stop_source stop_;
    // Last, so destroyed first: that waits for a request coming from upstream on another thread.
    std::optional<std::stop_callback<upstream_callback>> upstream_;
};

/// Tells whether, and why, something should end early. Cheap to copy; refers to a source, which it may outlive.
///
/// Default-constructed it is never cancelled. No function blocks. Thread-safe: distinct tokens of one source, and
/// const use of one token.
class cancellation_token
{
public:
    cancellation_token() noexcept = default;

    /// Follows a standard token: its stop becomes a request with operation_aborted. So whatever takes a
    /// cancellation_token takes a std::stop_token. Allocates, unless that can never be stopped.
    cancellation_token(std::stop_token parent);

    /// True once a request was made; its reason can then be read. Costs one load.
    [[nodiscard]] bool cancel_requested() const noexcept { return state_ && state_->requested(); }

    /// Returns the reason of the first request, no error before it.
    [[nodiscard]] boost::system::error_code reason() const noexcept
    {
        return state_ ? state_->reason() : boost::system::error_code();
    }

    /// False for a default-constructed token: there is no point in registering with it. True otherwise, even when all
    /// sources are gone.
    [[nodiscard]] bool can_be_cancelled() const noexcept { return state_ != nullptr; }

    /// Returns a token for code that knows the standard ones. It is stopped by the request that cancels this one, an
    /// instant after cancel_requested turns true; it cannot tell the reason.
    [[nodiscard]] std::stop_token stop_token() const noexcept
    {
        return state_ ? state_->stop_token() : std::stop_token();
    }

private:
    friend class cancellation_source;

    explicit cancellation_token(std::shared_ptr<const cancellation_state> state) noexcept : state_(std::move(state)) {}

    std::shared_ptr<const cancellation_state> state_;
};

/// Requests cancellation, of all who hold its tokens. Copies share one request; a moved-from source can only be
/// assigned to or destroyed. Thread-safe: distinct copies, and const use of one.
///
/// @code
/// cancellation_source source;
/// cancellation_callback wake(source.token(), [](boost::system::error_code reason) noexcept { ... });
/// source.request_cancel(zsync::error::timed_out);
/// @endcode
class cancellation_source
{
public:
    /// Makes a source of its own. Allocates, as the others do.
    cancellation_source();

    /// Makes a child: cancelled, for the same reason, when `parent` is; its own requests do not reach the parent.
    explicit cancellation_source(const cancellation_token& parent);

    /// Makes a source chained to a standard token, whose stop becomes a request with operation_aborted.
    explicit cancellation_source(std::stop_token parent);

    [[nodiscard]] cancellation_token token() const noexcept { return cancellation_token(state_); }

    /// Makes the request, unless there was one. True: this is the one, and its callbacks have all run, on this thread.
    /// False: another came first and cancel_requested is true, though its callbacks may still be running elsewhere.
    /// `reason` must be an error. Blocks only as long as a request at the same moment takes to store its reason, and
    /// as long as callbacks do.
    bool request_cancel(boost::system::error_code reason = boost::asio::error::operation_aborted) const noexcept;

    [[nodiscard]] bool cancel_requested() const noexcept { return state_->requested(); }

    /// Installs a handler in an Asio slot, replacing the one there: a signal emitted with one of the types in `filter`
    /// requests cancellation with operation_aborted. There is one kind of request; terminal, partial and total all
    /// become it, and none of them is lost by default. Code that can honour only some promises filters for them.
    /// The handler keeps the state alive until the slot is cleared or its signal destroyed. Returns false, and does
    /// nothing, if the slot belongs to no signal. As Asio's slots do, must not run concurrently with the signal.
    bool connect(boost::asio::cancellation_slot slot,
                 boost::asio::cancellation_type filter = boost::asio::cancellation_type::all) const;

private:
    std::shared_ptr<cancellation_state> state_;
};

/// What a cancellation_callback<F> is made from: something that constructs an F, which takes the reason or nothing.
template <class G, class F>
concept cancellation_function = std::is_constructible_v<F, G> &&
    (std::is_invocable_v<F&, boost::system::error_code> || std::is_invocable_v<F&>);

/// Calls a function once when cancellation is requested: at once, from the constructor, if the request has been made;
/// otherwise, also while it is being made, on the thread that makes it. The function takes the reason or nothing, and
/// must not throw.
///
/// The destructor waits for a call that is running on another thread: when it returns, the function is not and will
/// not be running. From within the call, on its own thread, destruction is allowed and does not wait. Allocates
/// nothing; neither copies nor moves.
template <class F>
class cancellation_callback
{
public:
    template <cancellation_function<F> G>
    cancellation_callback(cancellation_token token, G&& function)
        : token_(std::move(token)), function_(std::forward<G>(function)), callback_(token_.stop_token(), call{this})
    {
    }

    cancellation_callback(const cancellation_callback&) = delete;
    cancellation_callback& operator=(const cancellation_callback&) = delete;

private:
    struct call
    {
        cancellation_callback* self;

        void operator()() const noexcept
        {
            if constexpr (std::is_invocable_v<F&, boost::system::error_code>)
                self->function_(self->token_.reason());
            else
                self->function_();
        }
    };

    cancellation_token token_;
    F function_;
    std::stop_callback<call> callback_; // last: destroyed, and waited for, first
};

template <class F>
cancellation_callback(cancellation_token, F) -> cancellation_callback<F>;

} // namespace zsync
