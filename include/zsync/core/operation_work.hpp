// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/detail/bound_executor.hpp>
#include <zsync/core/detail/forget_cancellation.hpp>
#include <zsync/core/detail/immediate.hpp>
#include <zsync/core/detail/recycling_allocator.hpp>
#include <zsync/core/inline_executor.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/defer.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/execution/executor.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>

#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>

namespace zsync::detail
{

/// A handler's memory: its own allocator, else recycled blocks.
template <class Handler, class T>
auto memory_of(const Handler& handler)
{
    using associated = boost::asio::associated_allocator_t<Handler, recycling_allocator<void>>;
    return typename std::allocator_traits<associated>::template rebind_alloc<T>(
        boost::asio::get_associated_allocator(handler, recycling_allocator<void>()));
}

/// An executor that counts as work while it lives: a plain one that tracks, or a guard for those of before Asio 1.18.
template <class Executor, bool = boost::asio::execution::is_executor<Executor>::value>
class working_executor
{
public:
    explicit working_executor(const Executor& executor) noexcept
        : executor_(boost::asio::prefer(executor, boost::asio::execution::outstanding_work.tracked))
    {
    }
    const auto& get() const noexcept { return executor_; }

private:
    std::decay_t<decltype(boost::asio::prefer(std::declval<const Executor&>(),
                                              boost::asio::execution::outstanding_work.tracked))>
        executor_;
};

template <class Executor>
class working_executor<Executor, false>
{
public:
    explicit working_executor(const Executor& executor) noexcept : guard_(executor) {}
    Executor get() const noexcept { return guard_.get_executor(); }

private:
    boost::asio::executor_work_guard<Executor> guard_;
};

/// Stands for "none of its own" where the type of a handler is asked for its executor.
struct unspecified_executor : inline_executor
{
};

/// By its type the handler runs on the executor of the object whose operation it ends.
template <class Handler>
inline constexpr bool follows_the_object =
    std::is_same_v<boost::asio::associated_executor_t<Handler, unspecified_executor>, unspecified_executor>;

/// By its type the handler may be called by whoever completes the operation: see inline_executor.
template <class Handler>
inline constexpr bool runs_anywhere =
    std::is_same_v<boost::asio::associated_executor_t<Handler, unspecified_executor>, inline_executor>;

/// Calls a handler with what it is told. On its executor, where cancelling is the user's to serialize with this.
template <class Handler, class Results>
void call_told(Handler&& handler, Results&& results)
{
    forget_cancellation(boost::asio::get_associated_cancellation_slot(handler));
    std::apply(std::move(handler), std::move(results));
}

/// A handler and what it is told, as a function for its executor. It keeps that working until it is called: a context
/// whose turn queues it may not have counted it yet when the operation lets go of its work.
template <class Handler, class Work, class Results>
struct told_handler
{
    using allocator_type = boost::asio::associated_allocator_t<Handler, recycling_allocator<void>>;

    Handler handler;
    Work work;
    Results results;

    allocator_type get_allocator() const noexcept
    {
        return boost::asio::get_associated_allocator(handler, recycling_allocator<void>());
    }

    void operator()() { call_told(std::move(handler), std::move(results)); }
};

/// The executors of an operation in flight, the object's and its handler's: both count it as work, as Asio's own
/// operations have it.
template <class Handler>
class operation_work
{
public:
    operation_work(const Handler& handler, const bound_executor& io) : io_work_(io), handler_work_(handler, io) {}

    /// The loop that is to run the handler, if that follows an object of a loop of ours.
    loop* owner() const noexcept { return follows_the_object<Handler> ? io_work_.owner() : nullptr; }

    /// Leaves the work of that loop to the caller.
    loop& release() noexcept { return *io_work_.release(); }

    /// Queues the handler: never calls it here, unless it may be called anywhere.
    template <class Results>
    void tell(Handler&& handler, Results&& results, bool from_turn)
    {
        if constexpr (runs_anywhere<Handler>)
            call_told(std::move(handler), std::forward<Results>(results));
        else if constexpr (follows_the_object<Handler>)
        {
            loop* const ours = io_work_.owner();
            const boost::asio::any_io_executor other = io_work_.executor();
            told_handler<Handler, bound_work, std::decay_t<Results>> told{std::move(handler), std::move(io_work_),
                                                                          std::forward<Results>(results)};
            if (ours) [[likely]]
                queue(loop_executor(*ours), std::move(told), from_turn);
            else
                queue(other, std::move(told), from_turn);
        }
        else
        {
            const auto executor = handler_work_.get();
            queue(executor,
                  told_handler<Handler, handler_work, std::decay_t<Results>>{
                      std::move(handler), std::move(handler_work_), std::forward<Results>(results)},
                  from_turn);
        }
    }

    /// Hands the handler of an operation that completes within its initiating function to its immediate executor, and
    /// from there to its own executor if it has one: that may call it here. Throws what it throws. Tells a handler
    /// without immediate executor as ever.
    template <class Results>
    void tell_at_once(Handler&& handler, Results&& results, [[maybe_unused]] const boost::asio::any_io_executor& io)
    {
        using result_type = std::decay_t<Results>;
        if constexpr (!has_immediate_executor<Handler, boost::asio::any_io_executor>)
        {
            tell(std::move(handler), std::forward<Results>(results), false);
        }
        else if constexpr (follows_the_object<Handler> || runs_anywhere<Handler>)
        {
            const auto immediate = immediate_executor_of(handler, io);
            boost::asio::dispatch(
                immediate, told_handler<Handler, bound_work, result_type>{std::move(handler), std::move(io_work_),
                                                                          std::forward<Results>(results)});
        }
        else
        {
            const auto immediate = immediate_executor_of(handler, io);
            const auto executor = handler_work_.get();
            boost::asio::dispatch(immediate,
                                  boost::asio::bind_executor(executor, told_handler<Handler, handler_work, result_type>{
                                                                           std::move(handler), std::move(handler_work_),
                                                                           std::forward<Results>(results)}));
        }
    }

private:
    // What an engine's turn delivers goes on where the turn was taken, if that thread may run it.
    template <class Executor, class Told>
    static void queue(const Executor& executor, Told&& told, bool from_turn)
    {
        if (from_turn)
            boost::asio::defer(executor, std::move(told));
        else
            boost::asio::post(executor, std::move(told));
    }

    /// Of a handler's own executor, if it may have one.
    struct no_work
    {
        no_work(const Handler&, const bound_executor&) noexcept {}
    };

    using own_executor = working_executor<boost::asio::associated_executor_t<Handler, boost::asio::any_io_executor>>;

    struct own_work : own_executor
    {
        own_work(const Handler& handler, const bound_executor& io)
            : own_executor(boost::asio::get_associated_executor(handler, io.get()))
        {
        }
    };

    using handler_work = std::conditional_t<follows_the_object<Handler> || runs_anywhere<Handler>, no_work, own_work>;

    bound_work io_work_;
    [[no_unique_address]] handler_work handler_work_;
};

} // namespace zsync::detail
