// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/detail/forget_cancellation.hpp>
#include <zsync/core/loop_executor.hpp>
#include <zsync/fiber/detail/fiber_loop.hpp>
#include <zsync/fiber/detail/handler_work.hpp>
#include <zsync/fiber/detail/slot_request.hpp>
#include <zsync/fiber/detail/task_outcome.hpp>

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>

#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

namespace zsync::detail
{

/// What the function of a fiber has come to, and how its handler learns of it.
template <class Result>
struct task_result
{
    using told = told_result<Result>;
    using signature = void(std::exception_ptr, told);

    template <class Function>
    void set_from(Function& function)
    {
        value.emplace(std::move(function)());
    }

    template <class Handler>
    void deliver(Handler&& handler)
    {
        std::move(handler)(std::move(failure), value ? told(std::move(*value)) : told());
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

/// A fiber that calls a function and completes a handler with its result. Both live on its stack.
template <class Function, class Handler, class Executor>
class task_fiber final : public fiber
{
    using result_type = task_result<std::invoke_result_t<Function>>;

public:
    template <class F>
    task_fiber(fiber_loop& owner, stack_view stack, std::byte* top, const asio_call_stacks& calls,
               const Executor& executor, F&& function, Handler&& handler, handler_work<Handler, Executor>&& work,
               slot_request_owner&& request)
        : fiber(
              owner, stack, top,
              [](execution& self) noexcept -> execution& { return static_cast<task_fiber&>(self).run_function(); },
              calls),
          parts_{executor, std::forward<F>(function), std::move(handler), std::move(work), std::move(request)}
    {
        if constexpr (!std::is_same_v<Executor, loop_executor>)
            schedule = &task_fiber::schedule_slice;
        parts_.request.attach(*this);
        parts_.noted_work = is_work_of(owner, parts_.work.get_executor());
        owner.note_fiber_work(parts_.noted_work);
    }

    ~task_fiber() {} // run_function() destroys the parts

private:
    struct parts
    {
        Executor executor;
        Function function;
        Handler handler;
        handler_work<Handler, Executor> work;
        slot_request_owner request;
        int noted_work = 0;
    };

    execution& run_function() noexcept
    {
        try
        {
            finish();
        }
        catch (const fiber_unwind&)
        {
            cancellation().unwound();
        }
        catch (...)
        {
            owner().fail(); // the handler's own: to whoever called run()
        }
        return owner().end(*this);
    }

    void finish()
    {
        struct destroy
        {
            task_fiber& of;
            ~destroy()
            {
                of.owner().note_fiber_work(-of.parts_.noted_work);
                of.parts_.~parts();
            }
        } const at_exit{*this};
        result_type result;
        try
        {
            if (owner().ending())
                throw fiber_unwind();
            result.set_from(parts_.function);
        }
        catch (const fiber_unwind&)
        {
            throw;
        }
        catch (...)
        {
            result.failure = std::current_exception();
        }
        end_function();
        // Of a context that is being destroyed no handler is called, whatever the function has made of it; and the
        // slot's signal may be gone.
        if (owner().ending())
            return;
        parts_.request.end();
        if constexpr (requires { parts_.handler.emits_on(owner()); }) // ours: it needs no executor, and clears its slot
            result.deliver(std::move(parts_.handler));
        else
            complete(std::move(result));
    }

    void complete(result_type result)
    {
        boost::asio::dispatch(parts_.work.get_executor(),
                              [result = std::move(result), handler = std::move(parts_.handler)]() mutable
                              {
                                  // On the handler's executor, where cancelling is the user's to serialize with this.
                                  forget_cancellation(boost::asio::get_associated_cancellation_slot(handler));
                                  result.deliver(std::move(handler));
                              });
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

} // namespace zsync::detail
