// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/task_cancellation.hpp>

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>

#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

namespace zsync::detail
{

/// How a handler is told of a result beside an exception_ptr: as it is, or made by default after an exception. What has
/// no default comes in an optional, empty then.
template <class Result>
using told_result = std::conditional_t<std::is_default_constructible_v<Result>, Result, std::optional<Result>>;

/// What a function has come to: a value, a reference, nothing, or an exception.
template <class Result>
class task_outcome
{
    static_assert(!std::is_rvalue_reference_v<Result>, "a future cannot hold an rvalue reference: return a value");

    static constexpr bool is_reference = std::is_reference_v<Result>;
    static constexpr bool is_void = std::is_void_v<Result>;
    using stored = std::conditional_t<is_void, std::monostate,
                                      std::conditional_t<is_reference, std::remove_reference_t<Result>*, Result>>;

public:
    /// Calls the function and keeps what it returns or throws. Of all exceptions it lets fiber_unwind pass, and keeps
    /// operation_aborted then.
    template <class Function>
    void set_from(Function&& function)
    {
        try
        {
            if constexpr (is_void)
                std::forward<Function>(function)(), value_.emplace();
            else if constexpr (is_reference)
                value_ = std::addressof(std::forward<Function>(function)());
            else
                value_.emplace(std::forward<Function>(function)());
        }
        catch (const fiber_unwind&)
        {
            abort();
            throw;
        }
        catch (...)
        {
            failure_ = std::current_exception();
        }
    }

    /// Keeps operation_aborted: the function has not run to its end, or not begun.
    void abort()
    {
        failure_ = std::make_exception_ptr(boost::system::system_error(boost::asio::error::operation_aborted));
    }

    /// Destroys what is kept.
    void reset() noexcept
    {
        value_.reset();
        failure_ = nullptr;
    }

    bool has_value() const noexcept { return value_.has_value(); }
    const std::exception_ptr& failure() const noexcept { return failure_; }

    /// Returns the value where it stands, or throws.
    std::add_lvalue_reference_t<Result> get() &
    {
        if (failure_) [[unlikely]]
            std::rethrow_exception(failure_);
        if constexpr (is_reference)
            return **value_;
        else if constexpr (!is_void)
            return *value_;
    }

    /// Moves the value out, or throws.
    Result get() &&
    {
        if constexpr (is_void || is_reference)
            return get();
        else
            return std::move(get());
    }

private:
    std::optional<stored> value_;
    std::exception_ptr failure_;
};

} // namespace zsync::detail
