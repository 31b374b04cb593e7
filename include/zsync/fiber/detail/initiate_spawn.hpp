// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/loop_executor.hpp>
#include <zsync/fiber/detail/task_fiber.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/execution.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/query.hpp>
#include <boost/asio/strand.hpp>
#include <boost/system/errc.hpp>
#include <boost/system/system_error.hpp>

#include <exception>
#include <memory>
#include <type_traits>
#include <utility>

namespace zsync::detail
{

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
