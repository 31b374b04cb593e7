// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/fiber/detail/fiber_loop.hpp>

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/execution.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/query.hpp>

#include <memory>
#include <type_traits>
#include <utility>

namespace zsync::detail
{

/// Keeps the context of an executor from running out of work.
template <class Executor>
class executor_work
{
public:
    explicit executor_work(const Executor& executor)
        : tracked_(boost::asio::prefer(executor, boost::asio::execution::outstanding_work.tracked))
    {
    }

    const auto& get_executor() const noexcept { return tracked_; }

private:
    std::decay_t<decltype(boost::asio::prefer(std::declval<const Executor&>(),
                                              boost::asio::execution::outstanding_work.tracked))>
        tracked_;
};

/// The same for an executor of the Networking TS.
template <class Executor>
    requires(!boost::asio::execution::is_executor<Executor>::value)
class executor_work<Executor> : public boost::asio::executor_work_guard<Executor>
{
    using boost::asio::executor_work_guard<Executor>::executor_work_guard;
};

/// The work of the context that a handler is to be called on, until it is there.
template <class Handler, class Executor>
using handler_work = executor_work<boost::asio::associated_executor_t<Handler, Executor>>;

template <class Handler, class Executor>
handler_work<Handler, Executor> work_of(const Handler& handler, const Executor& executor)
{
    return handler_work<Handler, Executor>(boost::asio::get_associated_executor(handler, executor));
}

/// Says whether such an executor of a handler's counts as work of this loop.
template <class Executor>
bool is_work_of(const fiber_loop& owner, const Executor& executor)
{
    namespace execution = boost::asio::execution;
    if constexpr (boost::asio::can_query_v<const Executor&, execution::outstanding_work_t>)
    {
        const execution::outstanding_work_t work = boost::asio::query(executor, execution::outstanding_work);
        if (work != execution::outstanding_work_t(execution::outstanding_work.tracked))
            return false;
    }
    if constexpr (boost::asio::can_query_v<const Executor&, execution::context_t>)
        return std::addressof(boost::asio::query(executor, execution::context)) == &owner.context();
    else if constexpr (requires { executor.context(); })
        return std::addressof(executor.context()) == &owner.context();
    else
        return false; // one that belongs to no context
}

} // namespace zsync::detail
