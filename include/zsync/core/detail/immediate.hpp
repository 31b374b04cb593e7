// SPDX-License-Identifier: BSL-1.0
#pragma once

// Immediate executors (asio::bind_immediate_executor): where a handler runs whose operation has completed within its
// initiating function. Since Boost 1.82; before, no handler has one.

#if __has_include(<boost/asio/associated_immediate_executor.hpp>)
#    include <boost/asio/associated_immediate_executor.hpp>
#endif

namespace zsync::detail
{

#if __has_include(<boost/asio/associated_immediate_executor.hpp>)

/// Says whether a handler has an immediate executor. An operation that starts for any other has no use for completing
/// at once.
template <class Handler, class IoExecutor>
concept has_immediate_executor = !requires
{
    typename boost::asio::associated_immediate_executor<
        Handler, IoExecutor>::asio_associated_immediate_executor_is_unspecialised;
};

template <class Handler, class IoExecutor>
auto immediate_executor_of(const Handler& handler, const IoExecutor& io_executor) noexcept
{
    return boost::asio::get_associated_immediate_executor(handler, io_executor);
}

#else

template <class Handler, class IoExecutor>
concept has_immediate_executor = false;

template <class Handler, class IoExecutor>
void immediate_executor_of(const Handler&, const IoExecutor&) = delete;

#endif

} // namespace zsync::detail
