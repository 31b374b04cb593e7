// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/cancel_protection.hpp>
#include <zsync/fiber/detail/child_task.hpp>
#include <zsync/io/detail/future_wait.hpp>

#include <boost/asio/async_result.hpp>
#include <boost/asio/error.hpp>
#include <boost/system/errc.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/result.hpp>
#include <boost/system/system_error.hpp>

#include <type_traits>
#include <utility>

namespace zsync
{

/// The result, to come or there already, of a function that was started: by io::async(), io::concurrent(), or the
/// start() of an operation.
///
/// It owns the function: the destructor cancels it and waits for its end. So nothing that a function refers to by
/// reference goes before it does, if that was there before the future.
///
/// await() and cancel() may be called any number of times, in any order: each gives the result. As lvalues' members
/// they return a reference to it, valid until the future is destroyed or assigned to; `std::move(future).await()`, or
/// await() on what async() returns, moves it out. R is any type that can be moved, a reference, or void.
///
/// @par Cancellation
/// Waiting is a cancellation point, unless the result is there. A request of the waiting task goes on to the function,
/// for whose end it waits all the same: its result counts. If the function ends with operation_aborted, the waiting
/// task's request has been delivered with that; with any other result it stays pending.
///
/// @par Thread safety
/// Distinct futures: safe. One future: one thread at a time, but request_cancel() and is_ready() may be called by
/// others while one waits. Each thread may wait; off the loop's thread somebody has to run the loop.
///
/// @par Lifetime
/// It must not outlive the context of the io that it came from.
template <class R>
class [[nodiscard]] future
{
public:
    using value_type = R;

    /// Makes a future without a function: it can be destroyed, assigned to and asked whether it is valid().
    future() noexcept = default;

    /// Moves the function's ownership. References to its result stay valid unless it has run inline. Never blocks.
    future(future&& other) noexcept
        : loop_(std::exchange(other.loop_, nullptr)),
          task_(std::exchange(other.task_, nullptr)),
          inline_(std::move(other.inline_))
    {
    }

    /// First cancels and joins what it owns, as the destructor does.
    future& operator=(future&& other) noexcept
    {
        if (this != &other)
        {
            abandon();
            loop_ = std::exchange(other.loop_, nullptr);
            task_ = std::exchange(other.task_, nullptr);
            inline_ = std::move(other.inline_);
        }
        return *this;
    }

    /// Cancels the function and waits for its end, protected from the cancellation of its own task. Suspends the
    /// fiber, or blocks the thread. Where nothing may wait (below a handler of a stock object that runs inline), a
    /// function that has not ended leaves no way out: the process is ended, as by std::thread's destructor.
    ~future() { abandon(); }

    /// Says whether it owns a function. Never blocks.
    bool valid() const noexcept { return loop_ != nullptr; }

    /// Says whether the function has ended: nothing below has to wait then. Never blocks.
    bool is_ready() const noexcept { return !task_ || task_->is_done(); }

    /// Asks the function to end. Does not wait, never blocks.
    void request_cancel(boost::system::error_code reason = boost::asio::error::operation_aborted) const noexcept
    {
        if (task_)
            task_->request_cancel(reason);
    }

    /// Waits for the function and returns its result. Suspends the fiber, or blocks the thread.
    /// @throws what the function has thrown; system_error with resource_deadlock_would_occur where nothing may wait,
    ///         with error::timed_out if the deadline of a deadline_scope has ended the function, and with
    ///         invalid_argument if this is not valid(): made without a function, moved from, or handed to a token.
    std::add_lvalue_reference_t<R> await() & { return awaited().get(); }
    R await() && { return std::move(awaited()).get(); }

    /// The same with an error code in place of a system_error; then it returns R made by default. Other exceptions are
    /// thrown.
    R await(boost::system::error_code& ec) &
    {
        return value_or_error(ec, [&]() -> R { return await(); });
    }
    R await(boost::system::error_code& ec) &&
    {
        return value_or_error(ec, [&]() -> R { return std::move(*this).await(); });
    }

    /// The same with the value, or the code of a system_error, as a boost::system::result.
    boost::system::result<R> try_await() & requires(!std::is_reference_v<R>)
    {
        return value_or_code([&]() -> R { return await(); });
    }
    boost::system::result<R> try_await() && requires(!std::is_reference_v<R>)
    {
        return value_or_code([&]() -> R { return std::move(*this).await(); });
    }

    /// Asks the function to end, waits for that, and returns its result or throws. Not a cancellation point: requests
    /// of the calling task are deferred. Suspends the fiber, or blocks the thread.
    /// @throws system_error with resource_deadlock_would_occur where nothing may wait, and in the function itself;
    ///         with invalid_argument as await().
    std::add_lvalue_reference_t<R> cancel() & { return cancelled().get(); }
    R cancel() && { return std::move(cancelled()).get(); }

    /// Hands the result to a completion token: completes when the function has ended, with what it has thrown or else
    /// returned. The signature is spawn()'s: void(std::exception_ptr) or void(std::exception_ptr, R), where R is made
    /// by default after an exception, or is a std::optional if it has no default. Never blocks. The operation owns the
    /// function from then on.
    ///
    /// Cancellation: every type of the token's slot makes a request of the function. The handler runs on its executor,
    /// the loop's by default, never within this call.
    /// @throws system_error with invalid_argument as await().
    template <class Token>
        requires(!std::is_reference_v<R>)
    auto operator()(Token&& token) &&
    {
        require_valid();
        return boost::asio::async_initiate<Token, detail::future_signature<R>>(detail::initiate_future_wait(*loop_),
                                                                               token, std::move(*this));
    }

private:
    template <class>
    friend class detail::future_access;

    detail::task_outcome<R>& outcome() noexcept { return task_ ? task_->outcome : inline_; }

    void require_valid() const
    {
        if (!valid()) [[unlikely]]
            throw boost::system::system_error(make_error_code(boost::system::errc::invalid_argument),
                                              "future: it has no function");
    }

    detail::task_outcome<R>& awaited()
    {
        require_valid();
        if (task_)
        {
            const bool in_time = task_->join();
            detail::settle_request(task_->outcome.failure(), in_time);
        }
        return outcome();
    }

    detail::task_outcome<R>& cancelled()
    {
        require_valid();
        if (task_)
        {
            const cancel_protection protect;
            task_->request_cancel(boost::asio::error::operation_aborted);
            task_->join();
        }
        return outcome();
    }

    void abandon() noexcept
    {
        if (!task_)
            return;
        if (!task_->is_done())
            detail::cancel_and_join(*task_);
        task_->release();
    }

    template <class Function>
    static R value_or_error(boost::system::error_code& ec, Function function)
    {
        ec = {};
        try
        {
            return function();
        }
        catch (const boost::system::system_error& e)
        {
            ec = e.code();
            return R();
        }
    }

    template <class Function>
    static boost::system::result<R> value_or_code(Function function)
    {
        try
        {
            if constexpr (std::is_void_v<R>)
                return function(), boost::system::result<R>();
            else
                return function();
        }
        catch (const boost::system::system_error& e)
        {
            return e.code();
        }
    }

    loop* loop_ = nullptr;
    detail::task_state<R>* task_ = nullptr; // null: it has run inline
    detail::task_outcome<R> inline_;
};

} // namespace zsync
