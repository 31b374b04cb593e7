// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "support/contexts.hpp"
#include "support/needs_ring.hpp"

#include <boost/asio/executor_work_guard.hpp>

#include <tuple>

namespace test
{

/// The contexts whose engine has operations with many results, where there is a ring, and those that never have.
using ring_contexts = std::tuple<ring_context, ring_context_of_one_thread, fibers_context>;
using contexts_without_ring = std::tuple<plain_context, fibers_on_epoll_context>;

/// Lets the kernel do what it can, and takes note of it: a source is no work, for want of which poll() does nothing.
template <class Context>
void let_arrive(Context& context)
{
    const auto work = boost::asio::make_work_guard(context.executor());
    context.settle();
}

} // namespace test
