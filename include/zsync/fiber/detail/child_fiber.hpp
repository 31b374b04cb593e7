// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/fiber/detail/child_task.hpp>
#include <zsync/fiber/detail/fiber_loop.hpp>

#include <new>
#include <optional>
#include <type_traits>
#include <utility>

namespace zsync::detail
{

/// A task that stands, with its function and its result, on the stack of its fiber.
template <class Function>
class local_task final : public fiber, public task_state<std::invoke_result_t<Function>>
{
    using state = task_state<std::invoke_result_t<Function>>;

public:
    local_task(fiber_loop& owner, stack_view stack, std::byte* top, const asio_call_stacks& calls, Function&& function)
        : fiber(
              owner, stack, top,
              [](execution& self) noexcept -> execution& { return static_cast<local_task&>(self).main(); }, calls),
          state(owner),
          function_(std::move(function))
    {
        kept = true;
        this->attach(*this);
    }

    ~local_task() {} // main() destroys the function

private:
    execution& main() noexcept
    {
        run_for(this->outcome, owner().ending(), std::move(function_));
        function_.~Function();
        end_function(); // before anybody is told
        this->finish();
        if (released_) // perhaps before there was a result
            this->outcome.reset();
        return owner().end(*this);
    }

    // The result first: it may have a destructor that waits, and so must not be left to the switch that ends a fiber.
    void free() noexcept override
    {
        this->outcome.reset();
        released_ = true;
        owner().release(*this);
    }

    bool released_ = false;
    union
    {
        Function function_;
    };
};

/// A task that was made on another thread: in free memory, until the loop has a stack for it.
template <class Function>
class remote_task final : public task_state<std::invoke_result_t<Function>>, private work_item
{
    using state = task_state<std::invoke_result_t<Function>>;

public:
    remote_task(fiber_loop& owner, Function&& function)
        : state(owner), function_(std::move(function)), deadline_(agent::current().cancellation().deadline())
    {
        run = [](work_item& self, bool invoke) { static_cast<remote_task&>(self).start(invoke); };
        owner.post(*this);
    }

private:
    class runner final : public fiber
    {
    public:
        runner(fiber_loop& owner, stack_view stack, std::byte* top, const asio_call_stacks& calls,
               remote_task& work) noexcept
            : fiber(
                  owner, stack, top,
                  [](execution& self) noexcept -> execution& { return static_cast<runner&>(self).main(); }, calls),
              work_(work)
        {
            work.attach(*this);
        }

    private:
        execution& main() noexcept
        {
            work_.main(owner().ending(), this);
            return owner().end(*this);
        }

        remote_task& work_;
    };

    ~remote_task() = default;

    fiber_loop& owner() const noexcept { return static_cast<fiber_loop&>(this->home()); }

    void start(bool invoke) noexcept
    {
        if (!invoke)
            return main(true, nullptr);
        try
        {
            runner& made = owner().template make_fiber<runner>(owner().take_stack(sizeof(runner)), *this);
            made.cancellation().limit(deadline_);
            made.ready();
        }
        catch (const std::bad_alloc&)
        {
            run_on_loop_fiber();
        }
    }

    // Which has nothing else to do as long as it runs this item, and starts the next one without its requests.
    void run_on_loop_fiber() noexcept
    {
        fiber& self = owner().running();
        this->attach(self);
        const auto former = self.cancellation().limit(deadline_);
        main(false, &self);
        self.cancellation().restore_limit(former);
    }

    void main(bool ending, fiber* own) noexcept
    {
        run_for(this->outcome, ending, std::move(*function_));
        function_.reset();
        if (own)
            own->end_function(); // before anybody is told
        this->finish();
        if (std::exchange(left_, true))
            delete this;
    }

    // The fiber and the owner: whoever leaves last frees it.
    void free() noexcept override
    {
        this->outcome.reset();
        if (std::exchange(left_, true))
            delete this;
    }

    std::optional<Function> function_;
    const task_cancellation::clock::time_point deadline_; // of whoever made it
    bool left_ = false;
};

/// Starts a function on a fiber. Returns null if there is no memory for it; `function` is then as it was. Where the
/// fiber is made at once, and `id` is none, that becomes its id.
template <class Function>
task_state<std::invoke_result_t<Function>>* start_fiber(loop& on, Function& function, this_fiber::id* id = nullptr)
{
    auto& owner = static_cast<fiber_loop&>(on);
    try
    {
        if (!owner.running_here())
            return new remote_task<Function>(owner, std::move(function));
        const stack_view stack = owner.take_stack(sizeof(local_task<Function>));
        auto& made = owner.template make_fiber<local_task<Function>>(stack, std::move(function));
        if (id && *id == this_fiber::id())
            *id = made.number;
        made.ready();
        return &made;
    }
    catch (const std::bad_alloc&)
    {
        return nullptr;
    }
}

} // namespace zsync::detail
