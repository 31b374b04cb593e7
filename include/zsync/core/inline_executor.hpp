// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/execution.hpp>

#include <utility>

namespace zsync
{

/// Runs a function at once, on whatever thread hands it in: the executor of handlers that do no more than unpark.
///
/// It takes require(blocking.never), and all the same runs the function inside execute(). Asio asks for that property
/// so that no handler runs inside the function that initiates its operation, where it could call its caller's code
/// again while a lock is held. A handler that only stores its arguments and notifies an agent runs no code of its
/// caller's, so there is nothing to protect it from; and a queue on the way would cost what the handler costs. Do not
/// bind anything else to it by asio::bind_executor(). By asio::bind_immediate_executor() (Boost 1.82) it suits whoever
/// wants to be called inside the initiating function when the operation completes there.
///
/// A value without state: all copies are equal. Has no execution context, so nothing waits for its functions. All
/// members may be called from any thread; none blocks unless the function does.
class inline_executor
{
public:
    /// Calls the function. Throws what it throws.
    template <class Function>
    void execute(Function&& function) const
    {
        std::forward<Function>(function)();
    }

    static constexpr boost::asio::execution::mapping_t query(boost::asio::execution::mapping_t) noexcept
    {
        return boost::asio::execution::mapping.thread;
    }

    static constexpr boost::asio::execution::blocking_t query(boost::asio::execution::blocking_t) noexcept
    {
        return boost::asio::execution::blocking.possibly;
    }

    constexpr inline_executor require(boost::asio::execution::blocking_t::possibly_t) const noexcept { return *this; }
    constexpr inline_executor require(boost::asio::execution::blocking_t::never_t) const noexcept { return *this; }

    friend constexpr bool operator==(inline_executor, inline_executor) noexcept { return true; }
    friend constexpr bool operator!=(inline_executor, inline_executor) noexcept { return false; }
};

} // namespace zsync
