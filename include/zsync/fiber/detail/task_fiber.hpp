// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/loop_executor.hpp>
#include <zsync/fiber/detail/fiber_loop.hpp>

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>

#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

namespace zsync::detail
{

/// What the function of a fiber has come to, and how its handler learns of it.
template <class Result>
struct task_result
{
    using signature = void(std::exception_ptr, Result);

    template <class Function>
    void set_from(Function& function)
    {
        value.emplace(std::move(function)());
    }

    template <class Handler>
    void deliver(Handler&& handler)
    {
        std::move(handler)(std::move(failure), value ? std::move(*value) : Result());
    }

    std::exception_ptr failure;
    std::optional<Result> value;
};

template <>
struct task_result<void>
{
    using signature = void(std::exception_ptr);

    template <class Function>
    void set_from(Function& function)
    {
        std::move(function)();
    }

    template <class Handler>
    void deliver(Handler&& handler)
    {
        std::move(handler)(std::move(failure));
    }

    std::exception_ptr failure;
};

/// Where the fibers of an executor start and go on. Queued by their loop; through a strand, slice by slice.
inline fiber_loop& loop_of(const loop_executor& executor) noexcept
{
    return static_cast<fiber_loop&>(executor.owner());
}

template <class Allocator, unsigned Bits>
fiber_loop& loop_of(const boost::asio::strand<basic_loop_executor<Allocator, Bits>>& strand) noexcept
{
    return static_cast<fiber_loop&>(strand.get_inner_executor().owner());
}

/// A fiber that calls a function and completes a handler with its result. Both live on its stack.
template <class Function, class Handler, class Executor>
class task_fiber final : public fiber
{
    using result_type = task_result<std::invoke_result_t<Function>>;

public:
    template <class F>
    task_fiber(fiber_loop& owner, stack_view stack, std::byte* top, const asio_call_stacks& calls,
               const Executor& executor, F&& function, Handler&& handler)
        : fiber(owner, stack, top, [](execution& self) noexcept { static_cast<task_fiber&>(self).run_function(); },
                calls),
          parts_{executor, std::forward<F>(function), std::move(handler)}
    {
        if constexpr (!std::is_same_v<Executor, loop_executor>)
            schedule = &task_fiber::schedule_slice;
        auto slot = boost::asio::get_associated_cancellation_slot(parts_.handler);
        if (slot.is_connected())
            slot.assign([this](boost::asio::cancellation_type) { cancellation().request(); });
    }

    ~task_fiber() {} // run_function() destroys the parts

private:
    struct parts
    {
        Executor executor;
        Function function;
        Handler handler;
    };

    void run_function() noexcept
    {
        try
        {
            finish();
        }
        catch (const fiber_unwind&)
        {
        }
        catch (...)
        {
            owner().fail(); // the handler's own: to whoever called run()
        }
        owner().end(*this);
    }

    void finish()
    {
        struct destroy
        {
            parts& of;
            ~destroy() { of.~parts(); }
        } const at_exit{parts_};
        result_type result;
        try
        {
            if (owner().ending())
                throw fiber_unwind();
            result.set_from(parts_.function);
        }
        catch (const fiber_unwind&)
        {
            clear_slot();
            throw;
        }
        catch (...)
        {
            result.failure = std::current_exception();
        }
        clear_slot();
        complete(std::move(result));
    }

    void clear_slot() noexcept
    {
        auto slot = boost::asio::get_associated_cancellation_slot(parts_.handler);
        if (slot.is_connected())
            slot.clear();
    }

    void complete(result_type result)
    {
        const auto executor = boost::asio::get_associated_executor(parts_.handler, parts_.executor);
        boost::asio::dispatch(executor,
                              [result = std::move(result), handler = std::move(parts_.handler)]() mutable
                              { result.deliver(std::move(handler)); });
    }

    // One slice: it ends when the fiber waits again, and so does its hold on the strand.
    struct slice
    {
        task_fiber* self;
        void operator()() const { self->owner().run_slice(*self); }
    };

    static void schedule_slice(fiber& self)
    {
        auto& task = static_cast<task_fiber&>(self);
        boost::asio::post(task.parts_.executor, slice{&task});
    }

    union
    {
        parts parts_;
    };
};

/// Makes the fiber on its loop's thread: at once, or in an item that is sent there.
template <class Executor>
class initiate_spawn
{
public:
    using executor_type = Executor;

    explicit initiate_spawn(const Executor& executor) noexcept : executor_(executor) {}

    executor_type get_executor() const noexcept { return executor_; }

    template <class Handler, class Function>
    void operator()(Handler&& handler, Function&& function) const
    {
        fiber_loop& owner = loop_of(executor_);
        if (owner.running_here())
        {
            start(owner, executor_, std::forward<Function>(function), std::forward<Handler>(handler));
            return;
        }
        auto elsewhere = [executor = executor_, function = std::forward<Function>(function),
                          handler = std::forward<Handler>(handler)]() mutable
        { start(loop_of(executor), executor, std::move(function), std::move(handler)); };
        owner.post(function_item<decltype(elsewhere), std::allocator<void>>::make(std::move(elsewhere), {}));
    }

private:
    template <class Function, class Handler>
    static void start(fiber_loop& owner, const Executor& executor, Function&& function, Handler&& handler)
    {
        using task = task_fiber<std::decay_t<Function>, std::decay_t<Handler>, Executor>;
        stack_view stack;
        try
        {
            stack = owner.take_stack();
        }
        catch (...)
        {
            task_result<std::invoke_result_t<std::decay_t<Function>>> result;
            result.failure = std::current_exception();
            const auto where = boost::asio::get_associated_executor(handler, executor);
            boost::asio::post(where, [result = std::move(result), handler = std::move(handler)]() mutable
                              { result.deliver(std::move(handler)); });
            return;
        }
        owner.template make_fiber<task>(stack, executor, std::forward<Function>(function), std::move(handler)).ready();
    }

    Executor executor_;
};

} // namespace zsync::detail
