// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>

namespace zsync
{
class io; // whose header includes this one
}

namespace zsync::detail
{

/// A function that takes an io, or not, and further arguments, all kept here until the one call.
template <class Io, class Function, class... Args>
class task_function
{
public:
    template <class F, class... A>
    explicit task_function(const Io& where, F&& function, A&&... args)
        : io_(where), function_(std::forward<F>(function)), args_(std::forward<A>(args)...)
    {
    }

    decltype(auto) operator()() &&
    {
        return std::apply(
            [this](Args&&... args) -> decltype(auto)
            {
                if constexpr (std::is_invocable_v<Function, Io, Args...>)
                    return std::invoke(std::move(function_), std::move(io_), std::move(args)...);
                else
                    return std::invoke(std::move(function_), std::move(args)...);
            },
            std::move(args_));
    }

private:
    Io io_;
    Function function_;
    [[no_unique_address]] std::tuple<Args...> args_;
};

template <class Io, class Function, class... Args>
task_function(const Io&, Function&&, Args&&...) -> task_function<Io, std::decay_t<Function>, std::decay_t<Args>...>;

/// What io::async() and the like take: a function of (io, args...), or of (args...) alone.
template <class Function, class... Args>
concept task_callable = std::is_invocable_v<std::decay_t<Function>, io, std::decay_t<Args>...> ||
    std::is_invocable_v<std::decay_t<Function>, std::decay_t<Args>...>;

} // namespace zsync::detail
