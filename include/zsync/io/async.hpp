// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/error.hpp>
#include <zsync/fiber/detail/child_fiber.hpp>
#include <zsync/io/detail/task_function.hpp>
#include <zsync/io/future.hpp>
#include <zsync/io/io.hpp>

#include <boost/system/errc.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>

#include <type_traits>
#include <utility>

namespace zsync
{

namespace detail
{

/// Starts a function so that it makes progress by itself, or says why that cannot be. Then it has not been moved from.
template <class Function>
future<std::invoke_result_t<Function>> start_concurrent(const io& where, Function& function,
                                                        boost::system::error_code& ec)
{
    using access = future_access<std::invoke_result_t<Function>>;
    loop& on = where.owner();
    ec = error::concurrency_unavailable;
    if (where.model() == model::blocking)
        return {};
    if (auto* const started = start_fiber(on, function))
    {
        ec = {};
        return access::of_task(on, *started);
    }
    ec = make_error_code(boost::system::errc::not_enough_memory);
    return {};
}

/// Starts a function: concurrently if that can be, else it has run when this returns.
template <class Function>
future<std::invoke_result_t<Function>> start_async(const io& where, Function&& function)
{
    using access = future_access<std::invoke_result_t<Function>>;
    boost::system::error_code ec;
    auto started = start_concurrent(where, function, ec);
    return started.valid() ? std::move(started) : access::run_inline(where.owner(), std::move(function));
}

template <class Operation>
auto start_operation(const io& where, Operation&& op)
{
    return start_async(where, [op = std::forward<Operation>(op)]() mutable { return op.await(); });
}

} // namespace detail

template <class Function>
auto io::async(Function&& function) const
{
    return detail::start_async(*this, detail::task_function(*this, std::forward<Function>(function)));
}

template <class Function>
auto io::concurrent(Function&& function) const
{
    detail::task_function bound(*this, std::forward<Function>(function));
    boost::system::error_code ec;
    auto started = detail::start_concurrent(*this, bound, ec);
    if (ec)
        throw boost::system::system_error(ec, "io::concurrent");
    return started;
}

/// The same as io.concurrent(function), but stores the error in `ec`; the future is then not valid().
template <class Function>
auto concurrent(const io& where, Function&& function, boost::system::error_code& ec)
{
    detail::task_function bound(where, std::forward<Function>(function));
    return detail::start_concurrent(where, bound, ec);
}

} // namespace zsync
