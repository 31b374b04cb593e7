// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/sync/detail/agent_wait.hpp>
#include <zsync/sync/detail/handler_wait.hpp>
#include <zsync/sync/detail/notice.hpp>

#include <boost/asio/associator.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>

#include <atomic>
#include <concepts>
#include <exception>
#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>

namespace zsync
{

namespace detail
{

class once_access;

/// A wait for somebody else's call. Its end: that has returned, or it is one's own turn.
class once_turn : public wait_node
{
public:
    using wait_node::wait_node;

    bool mine = false;

    std::tuple<boost::system::error_code, bool> results() noexcept { return {result, mine}; }

protected:
    ~once_turn() = default;
};

} // namespace detail

/// Says whether a function has been called that is to be called once: see call_once(). Must outlive all calls.
class once_flag final : private detail::wait_queue
{
public:
    once_flag() noexcept = default;

private:
    friend class detail::once_access;

    static constexpr int fresh = 0;
    static constexpr int running = 1;
    static constexpr int done = 2;

    bool begin(boost::system::error_code& ec);
    bool over_or_wait(detail::once_turn& node) noexcept;
    void start(detail::once_turn& node) noexcept;
    void end(bool succeeded) noexcept;

    // Written under the lock. Done: also read without it; what the function did is seen by whoever has read that.
    std::atomic<int> state_{fresh};
    detail::wait_list waiters_;
};

namespace detail
{

class once_access
{
public:
    static bool is_done(const once_flag& flag) noexcept
    {
        return flag.state_.load(std::memory_order_acquire) == once_flag::done;
    }

    static bool begin(once_flag& flag, boost::system::error_code& ec) { return flag.begin(ec); }

    /// Calls the function, and tells the flag.
    template <class Function>
    static void call(once_flag& flag, Function&& function)
    {
        struct ending
        {
            once_flag& of;
            bool succeeded = false;
            ~ending() { of.end(succeeded); }
        } ends{flag};
        std::forward<Function>(function)();
        ends.succeeded = true;
    }

    static wait_queue& queue_of(once_flag& flag) noexcept { return flag; }
    static void start(once_flag& flag, once_turn& node) noexcept { flag.start(node); }
};

/// Calls the function where the handler is to be called, if it is its turn.
template <class Function, class Handler>
struct once_handler
{
    once_flag* flag;
    Function function;
    Handler handler;

    void operator()(boost::system::error_code ec, bool mine)
    {
        std::exception_ptr failure;
        try
        {
            throw_failed(ec, "call_once");
            if (mine)
                once_access::call(*flag, std::move(function));
        }
        catch (const fiber_unwind&) // its context is being destroyed, and calls no handler
        {
            throw;
        }
        catch (...)
        {
            failure = std::current_exception();
        }
        std::move(handler)(std::move(failure));
    }
};

} // namespace detail

/// Calls a function, unless it has been called with this flag, by whomever; if it is being called, waits for that. A
/// call that throws does not count, and then the one that has waited longest makes its own.
///
/// Suspends the fiber or blocks the thread. A wait is a cancellation point.
/// @throws what the function throws; boost::system::system_error as mutex::lock().
template <class Function, class... Args>
    requires std::invocable<Function, Args...>
void call_once(once_flag& flag, Function&& function, Args&&... args)
{
    if (detail::once_access::is_done(flag)) [[likely]]
        return;
    boost::system::error_code ec;
    const bool mine = detail::once_access::begin(flag, ec);
    detail::throw_failed(ec, "call_once");
    if (mine)
        detail::once_access::call(flag,
                                  [&] { std::invoke(std::forward<Function>(function), std::forward<Args>(args)...); });
}

/// The same for a handler: `void(std::exception_ptr)`. Its own call, if it comes to that, is made on its associated
/// executor. All types of cancellation end a wait, with a system_error of operation_aborted.
///
/// Never completes inline; never blocks.
template <std::invocable Function, BOOST_ASIO_COMPLETION_TOKEN_FOR(void(std::exception_ptr)) Token>
auto async_call_once(once_flag& flag, Function&& function, Token&& token)
{
    return boost::asio::async_initiate<Token, void(std::exception_ptr)>(
        []<class Handler, class F>(Handler&& handler, once_flag* to, F&& called)
        {
            static_assert(!std::is_same_v<boost::asio::associated_executor_t<std::decay_t<Handler>>, inline_executor>,
                          "The function must not be called inside whatever ends the wait: use call_once().");
            using both = detail::once_handler<std::decay_t<F>, std::decay_t<Handler>>;
            using waiting = detail::handler_wait<detail::once_turn, both>;
            detail::once_access::start(*to,
                                       waiting::make(both{to, std::forward<F>(called), std::forward<Handler>(handler)},
                                                     detail::once_access::queue_of(*to)));
        },
        token, &flag, std::forward<Function>(function));
}

} // namespace zsync

template <template <class, class> class Associator, class Function, class Handler, class Default>
struct boost::asio::associator<Associator, zsync::detail::once_handler<Function, Handler>, Default>
    : Associator<Handler, Default>
{
    static typename Associator<Handler, Default>::type
    get(const zsync::detail::once_handler<Function, Handler>& from) noexcept
    {
        return Associator<Handler, Default>::get(from.handler);
    }

    static typename Associator<Handler, Default>::type get(const zsync::detail::once_handler<Function, Handler>& from,
                                                           const Default& otherwise) noexcept
    {
        return Associator<Handler, Default>::get(from.handler, otherwise);
    }
};
