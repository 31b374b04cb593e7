// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/loop_executor.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/prefer.hpp>

#include <utility>

namespace zsync::detail
{

/// The executor of an I/O object, as its operations carry it. That of a loop of ours is no more than the loop: to copy
/// and to ask a type-erased one costs more than all the rest of starting an operation.
class bound_executor
{
public:
    bound_executor(const boost::asio::any_io_executor& executor) noexcept
    {
        if (const auto* const ours = executor.target<loop_executor>()) [[likely]]
            loop_ = &ours->owner();
        else
            other_ = executor;
    }

    bound_executor(const loop_executor& executor) noexcept : loop_(&executor.owner()) {}

    /// The loop whose executor it is; null: it is another's.
    loop* owner() const noexcept { return loop_; }

    boost::asio::any_io_executor get() const { return loop_ ? loop_executor(*loop_) : other_; }

private:
    loop* loop_ = nullptr;
    boost::asio::any_io_executor other_; // empty if there is a loop
};

/// A unit of work of such an executor's context, for as long as it lives.
class bound_work
{
public:
    explicit bound_work(const bound_executor& executor) : loop_(executor.owner())
    {
        if (loop_) [[likely]]
            loop_->work_started();
        else
            other_ = boost::asio::prefer(executor.get(), boost::asio::execution::outstanding_work.tracked);
    }

    bound_work(bound_work&& other) noexcept : loop_(other.release()), other_(std::move(other.other_)) {}
    bound_work& operator=(bound_work&&) = delete;

    ~bound_work()
    {
        if (loop_)
            loop_->work_finished();
    }

    /// Null: it is another's, of executor().
    loop* owner() const noexcept { return loop_; }
    const boost::asio::any_io_executor& executor() const noexcept { return other_; }

    /// Leaves the unit of a loop to the caller.
    loop* release() noexcept { return std::exchange(loop_, nullptr); }

private:
    loop* loop_;
    boost::asio::any_io_executor other_; // empty if there is a loop
};

} // namespace zsync::detail
