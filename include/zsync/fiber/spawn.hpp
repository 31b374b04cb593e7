// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/fiber/detail/initiate_spawn.hpp>
#include <zsync/fiber/fiber_context.hpp>

#include <boost/asio/async_result.hpp>
#include <boost/asio/strand.hpp>

#include <concepts>
#include <type_traits>
#include <utility>

namespace zsync
{

/// The completion signature of spawn(): void(std::exception_ptr), or void(std::exception_ptr, R) for a function that
/// returns an R. Like asio::spawn's; but an R that has no default comes as a std::optional<R>, empty after an
/// exception.
template <class Function>
using spawn_signature = typename detail::task_result<std::invoke_result_t<Function>>::signature;

/// Runs a function on a fiber of its own.
///
/// Starts soon, never within this call. Completes when the function has returned or thrown, with what it has thrown or
/// else returned. Never blocks, and may be called from any thread; on another than the context's it allocates.
///
/// Cancellation: each type of the token's slot makes a request of the fiber's task_cancellation: it is delivered once,
/// as operation_aborted, from what the fiber waits in, or waits in next. What the function makes of that, it returns.
/// The signal may be emitted on any thread, if not at the same time as the handler runs, as always in Asio.
///
/// A deadline_scope of the caller holds for the fiber, too.
///
/// If the context is destroyed first, the fiber unwinds, and the handler is destroyed, not called.
///
/// @throws nothing; a lack of memory for a stack arrives as std::bad_alloc through the completion.
/// @code
/// auto answer = zsync::spawn(ctx, [] { return 42; }, boost::asio::use_future);
/// @endcode
template <class Allocator, unsigned Bits, class Function,
          BOOST_ASIO_COMPLETION_TOKEN_FOR(spawn_signature<std::decay_t<Function>>) Token>
    requires std::invocable<std::decay_t<Function>>
auto spawn(const basic_loop_executor<Allocator, Bits>& executor, Function&& function, Token&& token)
{
    return boost::asio::async_initiate<Token, spawn_signature<std::decay_t<Function>>>(
        detail::initiate_spawn<loop_executor>(loop_executor(executor.owner())), token,
        std::forward<Function>(function));
}

/// The same on a context.
template <class Function, BOOST_ASIO_COMPLETION_TOKEN_FOR(spawn_signature<std::decay_t<Function>>) Token>
    requires std::invocable<std::decay_t<Function>>
auto spawn(fiber_context& context, Function&& function, Token&& token)
{
    return spawn(context.get_executor(), std::forward<Function>(function), std::forward<Token>(token));
}

/// The same in a strand: between two waits the fiber holds the strand, as a handler does, and while it waits others may
/// have it. Within a slice of it nothing may be awaited below a function that another strand, or a private io_context,
/// runs inline: resource_deadlock_would_occur.
template <class Allocator, unsigned Bits, class Function,
          BOOST_ASIO_COMPLETION_TOKEN_FOR(spawn_signature<std::decay_t<Function>>) Token>
    requires std::invocable<std::decay_t<Function>>
auto spawn(const boost::asio::strand<basic_loop_executor<Allocator, Bits>>& strand, Function&& function, Token&& token)
{
    using strand_type = boost::asio::strand<basic_loop_executor<Allocator, Bits>>;
    return boost::asio::async_initiate<Token, spawn_signature<std::decay_t<Function>>>(
        detail::initiate_spawn<strand_type>(strand), token, std::forward<Function>(function));
}

/// The same on the executor of an I/O object, of which only at run time is known what it is: a fiber_context's, or a
/// strand over one, in which the fiber then runs.
/// @throws boost::system::system_error with operation_not_supported if it is of no fiber_context.
template <class Function, BOOST_ASIO_COMPLETION_TOKEN_FOR(spawn_signature<std::decay_t<Function>>) Token>
    requires std::invocable<std::decay_t<Function>>
auto spawn(const boost::asio::any_io_executor& executor, Function&& function, Token&& token)
{
    return boost::asio::async_initiate<Token, spawn_signature<std::decay_t<Function>>>(
        detail::initiate_spawn_on_any(executor), token, std::forward<Function>(function));
}

} // namespace zsync
