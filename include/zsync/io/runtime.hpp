// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/fiber/detail/task_outcome.hpp>
#include <zsync/fiber/fiber_options.hpp>
#include <zsync/io/io.hpp>
#include <zsync/io/model.hpp>

#include <chrono>
#include <functional>
#include <optional>
#include <type_traits>
#include <utility>

namespace zsync
{

struct runtime_options
{
    /// How functions run. None: green; blocking is never chosen for you.
    std::optional<zsync::model> model{};

    /// What the green model's fibers run on. `fibers.engine` none: io_uring where a ring can be had, else epoll.
    fiber_options fibers{};

    /// Ends the program gracefully on SIGINT and SIGTERM, while run() runs; the signals' former actions are restored.
    ///
    /// Green: the first signal makes a cancellation request of the root function: what it waits in, as an accept, ends
    /// with operation_aborted. A task_set that goes because of that lets its tasks finish. `shutdown_deadline` later,
    /// or at a second signal, everything is asked to end; a third has the signal's default action.
    ///
    /// Blocking: one function at a time runs there, and so there is nothing to be let finish: the first signal ends the
    /// operation in progress, and those to come, with operation_aborted, and a second has its default action. It takes
    /// a thread that waits for signals (the only one that the blocking model ever starts), and each operation then
    /// polls first.
    bool shutdown_on_signals = false;

    /// How long work may go on after the first signal. Chosen: what supervisors usually grant before they kill, or
    /// less.
    std::chrono::steady_clock::duration shutdown_deadline = std::chrono::seconds(10);
};

namespace detail
{

template <class Function>
struct root_result : std::invoke_result<Function>
{
};

template <class Function>
    requires std::is_invocable_v<Function, io>
struct root_result<Function> : std::invoke_result<Function, io>
{
};

template <class Function>
concept root_callable = std::is_invocable_v<Function, io> || std::is_invocable_v<Function>;

} // namespace detail

/// Runs a function of an io, its root, on a context made for it: see run(). A value: holds options, and can run any
/// number of functions, one after another or on several threads.
class runtime
{
public:
    explicit runtime(runtime_options options = {}) : options_(std::move(options)) {}

    /// Calls function(io) or function(), and returns what it returns; 0 if that is void. Blocks the thread.
    ///
    /// In the green model the function runs on a fiber, on the calling thread. When it has returned, so does run():
    /// what it has started belongs to futures and sets of its own, which have joined it. Fibers that are left, made by
    /// spawn() or by handlers, unwind: they are cancelled and not waited for otherwise.
    ///
    /// @throws what the function throws; what handlers on its context throw (the function then unwinds); system_error
    ///         if the engine that was asked for cannot be had.
    template <class Function>
        requires detail::root_callable<Function>
    auto run(Function&& function) const
    {
        using result = typename detail::root_result<Function>::type;
        detail::task_outcome<result> outcome;
        const auto root = [&](const zsync::io& where)
        {
            outcome.set_from(
                [&]() -> result
                {
                    if constexpr (std::is_invocable_v<Function, zsync::io>)
                        return std::invoke(std::forward<Function>(function), zsync::io(where));
                    else
                        return std::invoke(std::forward<Function>(function));
                });
        };
        run_root([](const void* call, const zsync::io& where) { (*static_cast<decltype(root)*>(call))(where); }, &root);
        if constexpr (std::is_void_v<result>)
            return outcome.get(), 0;
        else
            return std::move(outcome).get();
    }

private:
    using root_function = void (*)(const void* call, const zsync::io& where);

    void run_root(root_function root, const void* call) const;
    void run_blocking(root_function root, const void* call) const;
    void run_green(root_function root, const void* call) const;

    runtime_options options_;
};

} // namespace zsync
