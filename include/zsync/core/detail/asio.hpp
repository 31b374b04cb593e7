// SPDX-License-Identifier: BSL-1.0
#pragma once

// Asio's internals, for whoever hosts its scheduler or its reactor: all of them that the library needs outside the I/O
// objects, under names of our own. For the Boost versions that are tested see docs/testing.md.

#include <zsync/core/abi.hpp>

// First: Asio's internals include each other in a circle that only its public headers enter at the right place.
#include <boost/asio/execution_context.hpp>
#include <boost/asio/io_context.hpp>

#include <boost/asio/detail/concurrency_hint.hpp>
#include <boost/asio/detail/epoll_reactor.hpp>
#include <boost/asio/detail/memory.hpp>
#include <boost/asio/detail/op_queue.hpp>
#include <boost/asio/detail/scheduler.hpp>
#include <boost/asio/detail/scheduler_operation.hpp>
#include <boost/asio/detail/scheduler_task.hpp>
#include <boost/asio/detail/strand_executor_service.hpp>
#include <boost/asio/detail/strand_service.hpp>
#include <boost/asio/detail/thread_context.hpp>
#include <boost/asio/detail/thread_info_base.hpp>

#include <memory>

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
using scheduler_links = boost::asio::detail::op_queue_access; // what such a queue links its operations by
using epoll_reactor = boost::asio::detail::epoll_reactor;

template <class Service>
using service_base = boost::asio::detail::execution_context_service_base<Service>;

// Private members are reached by explicit instantiation: access is not checked in its arguments ([temp.spec]/6).
template <class Tag, typename Tag::type Member>
struct expose_member
{
    friend constexpr typename Tag::type exposed(Tag) noexcept { return Member; }
};

template <class Tag, auto Member>
struct expose_deduced_member
{
    friend constexpr auto exposed(Tag) noexcept { return Member; }
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

struct task_member
{
    using type = scheduler_task* scheduler::*;
    friend constexpr type exposed(task_member) noexcept;
};

struct outstanding_work_member
{
    using type = boost::asio::detail::atomic_count scheduler::*;
    friend constexpr type exposed(outstanding_work_member) noexcept;
};

struct concurrency_hint_member
{
    using type = const int scheduler::*;
    friend constexpr type exposed(concurrency_hint_member) noexcept;
};

template struct expose_member<concurrency_hint_member, &scheduler::concurrency_hint_>;
template struct expose_member<outstanding_work_member, &scheduler::outstanding_work_>;
template struct expose_member<epoll_descriptor_member, &epoll_reactor::epoll_fd_>;
template struct expose_member<task_factory_member, &scheduler::get_task_>;
template struct expose_member<task_member, &scheduler::task_>;

/// Returns the epoll descriptor of Asio's reactor. It changes in the child of a fork.
inline int epoll_descriptor(const epoll_reactor& reactor) noexcept
{
    return reactor.*exposed(epoll_descriptor_member{});
}

/// Makes the scheduler wait in `task`, which `factory` returns, from its next turn on. No thread may be waiting in the
/// one that it has, if it has one by now.
inline void replace_task(scheduler& target, scheduler_task& task, scheduler::get_task_func_type factory) noexcept
{
    target.*exposed(task_factory_member{}) = factory;
    if (target.*exposed(task_member{}))
        target.*exposed(task_member{}) = &task;
}

/// Counts what keeps a scheduler running. Any thread.
inline long outstanding_work(const scheduler& of) noexcept
{
    return of.*exposed(outstanding_work_member{});
}

/// Returns the hint that a scheduler was made with. Since Boost 1.87 it has no function for that.
inline int concurrency_hint(const scheduler& of) noexcept
{
    return of.*exposed(concurrency_hint_member{});
}

/// Installs a scheduler that starts no thread, waits in the task that `factory` returns, and is run by one thread at a
/// time. To be called before anything else can install one.
inline scheduler& install_scheduler(boost::asio::execution_context& context, scheduler::get_task_func_type factory)
{
#if BOOST_ASIO_VERSION >= 103200 // Boost 1.87: the hint has become a setting of the context
    auto made = std::make_unique<scheduler>(context, false, factory);
#else
    auto made = std::make_unique<scheduler>(context, 1, false, factory);
#endif
    boost::asio::add_service(context, made.get());
    return *made.release();
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

// What a thread is inside of: run functions of schedulers, and strands (those of executors, and io_context::strand).
using run_stack = boost::asio::detail::call_stack<boost::asio::detail::thread_context,
                                                  boost::asio::detail::thread_info_base>;
using strand_stack = boost::asio::detail::call_stack<boost::asio::detail::strand_executor_service::strand_impl>;
using old_strand_stack = boost::asio::detail::call_stack<boost::asio::detail::strand_service::strand_impl>;

struct run_top_member
{
    using type = boost::asio::detail::tss_ptr<run_stack::context>*;
    friend constexpr type exposed(run_top_member) noexcept;
};

struct strand_top_member
{
    using type = boost::asio::detail::tss_ptr<strand_stack::context>*;
    friend constexpr type exposed(strand_top_member) noexcept;
};

struct old_strand_top_member
{
    using type = boost::asio::detail::tss_ptr<old_strand_stack::context>*;
    friend constexpr type exposed(old_strand_top_member) noexcept;
};

template struct expose_member<run_top_member, &run_stack::top_>;
template struct expose_member<strand_top_member, &strand_stack::top_>;
template struct expose_member<old_strand_top_member, &old_strand_stack::top_>;

/// The tops of Asio's call stacks: they belong to what runs on a stack, and change with it.
struct asio_call_stacks
{
    run_stack::context* runs = nullptr;
    strand_stack::context* strands = nullptr;
    old_strand_stack::context* old_strands = nullptr;

    /// Reads those of the calling thread.
    static asio_call_stacks current() noexcept
    {
        return {*exposed(run_top_member{}), *exposed(strand_top_member{}),
                *exposed(old_strand_top_member{})};
    }

    /// Makes these the calling thread's.
    void install() const noexcept
    {
        *exposed(run_top_member{}) = runs;
        *exposed(strand_top_member{}) = strands;
        *exposed(old_strand_top_member{}) = old_strands;
    }

    bool in_same_strand(const asio_call_stacks& other) const noexcept
    {
        return strands == other.strands && old_strands == other.old_strands;
    }

    friend bool operator==(const asio_call_stacks&, const asio_call_stacks&) noexcept = default;
};

struct reusable_memory_member
{
    friend constexpr auto exposed(reusable_memory_member) noexcept; // an array, of a length of Asio's own
};

template struct expose_deduced_member<reusable_memory_member,
                                      &boost::asio::detail::thread_info_base::reusable_memory_>;

/// Returns where the calling thread's cache of memory for cancellation handlers keeps the block that is the next to be
/// taken, and, if there is none, to be given back; null: nothing runs here that has such a cache.
inline void** cached_signal_block() noexcept
{
    auto* const cache = run_stack::top();
    constexpr int first = boost::asio::detail::thread_info_base::cancellation_signal_tag::begin_mem_index;
    return cache ? &(cache->*exposed(reusable_memory_member{}))[first] : nullptr;
}

/// Frees what was taken out of such a cache.
inline void free_cached_block(void* block) noexcept
{
    boost::asio::aligned_delete(block);
}

/// Says whether a scheduler of Asio's is running below on the calling thread's stack.
inline bool inside_asio_run() noexcept
{
    return run_stack::top() != nullptr;
}

/// Says whether the calling thread is running the scheduler of a context, if it has one. Takes the context's lock.
inline bool can_dispatch(boost::asio::execution_context& context)
{
    return boost::asio::has_service<scheduler>(context) && boost::asio::use_service<scheduler>(context).can_dispatch();
}

/// Gives the functions that a loop of ours runs Asio's cache of handler memory, as a scheduler gives it to its own. For
/// one thread at a time.
class handler_memory
{
public:
    handler_memory() : frame_(&key_, memory_)
    {
        stacks_.runs = &frame_;
        *exposed(run_top_member{}) = aside_.top;
    }

    ~handler_memory() { aside_.top = *exposed(run_top_member{}); }

    handler_memory(const handler_memory&) = delete;
    handler_memory& operator=(const handler_memory&) = delete;

    /// The call stacks of a function that the loop runs.
    const asio_call_stacks& call_stacks() const noexcept { return stacks_; }

private:
    // The frame pushes itself when made, and pops itself when destroyed: neither is to be seen on the thread that
    // happens to do it, so its top stands aside meanwhile.
    struct aside
    {
        run_stack::context* top = *exposed(run_top_member{});
        aside() noexcept { *exposed(run_top_member{}) = nullptr; }
        ~aside() { *exposed(run_top_member{}) = top; }
    };

    struct key : boost::asio::detail::thread_context
    {
    };

    aside aside_;
    asio_call_stacks stacks_;
    key key_;
    boost::asio::detail::thread_info_base memory_;
    run_stack::context frame_;
};

} // namespace zsync::detail
