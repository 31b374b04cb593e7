// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/detail/forget_cancellation.hpp>
#include <zsync/core/loop_executor.hpp>
#include <zsync/fiber/detail/fiber_loop.hpp>
#include <zsync/fiber/detail/slot_request.hpp>
#include <zsync/fiber/detail/task_outcome.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/execution.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/query.hpp>
#include <boost/asio/strand.hpp>
#include <boost/system/errc.hpp>
#include <boost/system/system_error.hpp>

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

/// Where the fibers of an executor start and go on. Queued by their loop; through a strand, slice by slice.
inline fiber_loop& loop_of(const loop_executor& executor) noexcept
{
    return static_cast<fiber_loop&>(executor.owner());
}

inline fiber_loop& loop_of(const boost::asio::any_io_executor& executor)
{
    return static_cast<fiber_loop&>(*loop::of(boost::asio::query(executor, boost::asio::execution::context)));
}

template <class Allocator, unsigned Bits>
fiber_loop& loop_of(const boost::asio::strand<basic_loop_executor<Allocator, Bits>>& strand) noexcept
{
    return static_cast<fiber_loop&>(strand.get_inner_executor().owner());
}

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
              owner, stack, top, [](execution& self) noexcept { static_cast<task_fiber&>(self).run_function(); },
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

    void run_function() noexcept
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
        owner().end(*this);
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
            auto work = work_of(handler, executor_);
            slot_request_owner request(owner, handler);
            start(executor_, std::forward<Function>(function), handler, std::move(work), std::move(request));
            return;
        }
        owner.post(*new message<std::decay_t<Function>, std::decay_t<Handler>>(
            executor_, std::forward<Function>(function), std::forward<Handler>(handler)));
    }

private:
    // On its way to the loop's thread.
    template <class Function, class Handler>
    struct message final : work_item
    {
        template <class F, class H>
        message(const Executor& to, F&& from, H&& then)
            : executor(to),
              deadline(agent::current().cancellation().deadline()),
              function(std::forward<F>(from)),
              handler(std::forward<H>(then)),
              work(work_of(handler, executor)),
              request(loop_of(executor), handler)
        {
            run = [](work_item& item, bool invoke)
            {
                const std::unique_ptr<message> self(static_cast<message*>(&item));
                if (!invoke)
                    return;
                const task_cancellation::own_limit inherited(loop_of(self->executor).running().cancellation(),
                                                             self->deadline);
                start(self->executor, std::move(self->function), self->handler, std::move(self->work),
                      std::move(self->request));
            };
        }

        Executor executor;
        task_cancellation::clock::time_point deadline; // of whoever spawns
        Function function;
        Handler handler;
        handler_work<Handler, Executor> work;
        slot_request_owner request;
    };

    template <class Function, class Handler>
    static void start(const Executor& executor, Function&& function, Handler& handler,
                      handler_work<Handler, Executor>&& work, slot_request_owner&& request)
    {
        fiber_loop& owner = loop_of(executor);
        using task = task_fiber<std::decay_t<Function>, Handler, Executor>;
        stack_view stack;
        try
        {
            stack = owner.take_stack(sizeof(task));
        }
        catch (...)
        {
            task_result<std::invoke_result_t<std::decay_t<Function>>> result;
            result.failure = std::current_exception();
            request.end();
            boost::asio::post(work.get_executor(),
                              [result = std::move(result), handler = std::move(handler)]() mutable
                              {
                                  forget_cancellation(boost::asio::get_associated_cancellation_slot(handler));
                                  result.deliver(std::move(handler));
                              });
            return;
        }
        owner
            .template make_fiber<task>(stack, executor, std::forward<Function>(function), std::move(handler),
                                       std::move(work), std::move(request))
            .ready();
    }

    Executor executor_;
};

/// The same for an executor of which only at run time is known what it is: the loop's own, or one that serializes, to
/// which then each slice is posted.
class initiate_spawn_on_any
{
public:
    using executor_type = boost::asio::any_io_executor;

    explicit initiate_spawn_on_any(const executor_type& executor) noexcept : executor_(executor) {}

    executor_type get_executor() const noexcept { return executor_; }

    template <class Handler, class Function>
    void operator()(Handler&& handler, Function&& function) const
    {
        auto* const owner =
            executor_
                ? dynamic_cast<fiber_loop*>(loop::of(boost::asio::query(executor_, boost::asio::execution::context)))
                : nullptr;
        if (!owner)
            throw boost::system::system_error(make_error_code(boost::system::errc::operation_not_supported),
                                              "spawn: an executor of no fiber_context");
        if (is_loop_executor(std::make_integer_sequence<unsigned, 8>()))
            start(initiate_spawn(loop_executor(*owner)), handler, function);
        else
            start(initiate_spawn(executor_), handler, function);
    }

private:
    template <class Initiation, class Handler, class Function>
    static void start(const Initiation& initiate, Handler& handler, Function& function)
    {
        initiate(std::move(handler), std::move(function));
    }

    template <unsigned... Bits>
    bool is_loop_executor(std::integer_sequence<unsigned, Bits...>) const noexcept
    {
        return (executor_.target<basic_loop_executor<std::allocator<void>, Bits>>() || ...);
    }

    executor_type executor_;
};

} // namespace zsync::detail
