// SPDX-License-Identifier: BSL-1.0
#pragma once

// Asio's internals, for whoever hosts its scheduler or its reactor: all of them that the library needs outside the I/O
// objects, under names of our own. Tested with Boost 1.81 (Asio 1.26).

#include <zsync/core/abi.hpp>

// First: Asio's internals include each other in a circle that only its public headers enter at the right place.
#include <boost/asio/execution_context.hpp>
#include <boost/asio/io_context.hpp>

#include <boost/asio/detail/concurrency_hint.hpp>
#include <boost/asio/detail/epoll_reactor.hpp>
#include <boost/asio/detail/op_queue.hpp>
#include <boost/asio/detail/scheduler.hpp>
#include <boost/asio/detail/scheduler_operation.hpp>
#include <boost/asio/detail/scheduler_task.hpp>

#if defined(BOOST_ASIO_HAS_IO_URING_AS_DEFAULT) || !defined(BOOST_ASIO_HAS_EPOLL)
#    error                                                                                                             \
        "zsync hosts Asio's epoll reactor: compile without BOOST_ASIO_HAS_IO_URING_AS_DEFAULT and BOOST_ASIO_DISABLE_EPOLL"
#endif

namespace zsync::detail
{

using scheduler = boost::asio::detail::scheduler;
using scheduler_operation = boost::asio::detail::scheduler_operation;
using scheduler_task = boost::asio::detail::scheduler_task;
using scheduler_queue = boost::asio::detail::op_queue<scheduler_operation>;
using epoll_reactor = boost::asio::detail::epoll_reactor;

template <class Service>
using service_base = boost::asio::detail::execution_context_service_base<Service>;

// Private members are reached by explicit instantiation: access is not checked in its arguments ([temp.spec]/6).
template <class Tag, typename Tag::type Member>
struct expose_member
{
    friend constexpr typename Tag::type exposed(Tag) noexcept { return Member; }
};

struct epoll_descriptor_member
{
    using type = int epoll_reactor::*;
    friend constexpr type exposed(epoll_descriptor_member) noexcept;
};

struct task_factory_member
{
    using type = scheduler::get_task_func_type scheduler::*;
    friend constexpr type exposed(task_factory_member) noexcept;
};

template struct expose_member<epoll_descriptor_member, &epoll_reactor::epoll_fd_>;
template struct expose_member<task_factory_member, &scheduler::get_task_>;

/// Returns the epoll descriptor of Asio's reactor. It changes in the child of a fork.
inline int epoll_descriptor(const epoll_reactor& reactor) noexcept
{
    return reactor.*exposed(epoll_descriptor_member{});
}

/// Makes the scheduler wait in the task that `factory` returns. To be called before its first I/O object.
inline void replace_task(scheduler& target, scheduler::get_task_func_type factory) noexcept
{
    target.*exposed(task_factory_member{}) = factory;
}

/// Says whether Asio locks its scheduler under this concurrency hint.
constexpr bool hint_locks_scheduler(int hint) noexcept
{
    return BOOST_ASIO_CONCURRENCY_HINT_IS_LOCKING(SCHEDULER, hint);
}

/// Says whether Asio locks the state of I/O objects under this concurrency hint.
constexpr bool hint_locks_io(int hint) noexcept
{
    return BOOST_ASIO_CONCURRENCY_HINT_IS_LOCKING(REACTOR_IO, hint);
}

} // namespace zsync::detail
