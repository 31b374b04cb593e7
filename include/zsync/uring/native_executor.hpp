// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/execution/allocator.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/require.hpp>

#include <memory>

namespace zsync
{

/// std::allocator under a name of our own. As the allocator of io_context's executor it makes that a distinct type
/// which behaves in no other way.
template <class T>
struct tag_allocator : std::allocator<T>
{
    template <class U>
    struct rebind
    {
        using other = tag_allocator<U>;
    };

    tag_allocator() = default;

    template <class U>
    tag_allocator(const tag_allocator<U>&) noexcept
    {
    }
};

/// The executor type that makes I/O objects native: io_context's executor in everything but its name. (One without
/// io_context's own template would have Asio queue each completion twice.)
using native_executor_type = boost::asio::io_context::basic_executor_type<tag_allocator<void>, 0>;

/// Returns that executor of a context, which should have a ring: a uring_context, or what attach() has given one. On
/// another, objects made with it are served by epoll. Never blocks; any thread.
inline native_executor_type native_executor(boost::asio::io_context& context) noexcept
{
    return boost::asio::require(context.get_executor(), boost::asio::execution::allocator(tag_allocator<void>()));
}

} // namespace zsync
