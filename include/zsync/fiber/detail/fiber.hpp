// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/agent.hpp>
#include <zsync/core/work_item.hpp>
#include <zsync/fiber/detail/local_values.hpp>
#include <zsync/fiber/detail/stack_switch.hpp>
#include <zsync/fiber/this_fiber.hpp>

#include <chrono>

namespace zsync::detail
{

class fiber_loop;

/// A fiber: an agent with a stack of its own, at whose upper end this object stands.
///
/// As an item it is queued to be resumed. It belongs to one loop for life. Everything here is called on the loop's
/// thread, but for notify().
class fiber : public agent, public work_item, public execution
{
public:
    /// What resumes a fiber that may not simply be queued: see spawn() into a strand.
    using schedule_function = void (*)(fiber& self);

    /// What a fiber runs. It returns what fiber_loop::end() has returned.
    using main_function = execution& (*)(execution& self) noexcept;

    /// Called by fiber_loop::make_fiber().
    fiber(fiber_loop& owner, stack_view stack, std::byte* top, main_function main,
          const asio_call_stacks& calls) noexcept;
    ~fiber() = default;

    fiber_loop& owner() const noexcept { return owner_; }

    boost::system::error_code may_wait() const noexcept override;

    /// The same as a question: something that must return first runs on this stack.
    bool must_return_first() const noexcept
    {
        if (is_plain()) [[likely]]
            return false;
        return strays_and_must_return();
    }

    /// Its call stacks are those that the loop gives to all that it runs: nothing of Asio's runs on this stack.
    bool is_plain() const noexcept;

    /// Makes the fiber go on. It must be suspended, and not be ready already.
    void ready() noexcept;

    /// Destroys what its function has made its own: to be called by the fiber itself, where it may still wait.
    void end_function() noexcept
    {
        if (marked) [[unlikely]]
            forget_function();
    }

    /// What the fiber is suspended for, and since when: at the precision of fiber_loop::time(). Null: it runs, or is
    /// ready to run.
    const waiter* awaited() const noexcept { return awaited_ && !awaited_->is_done() ? awaited_ : nullptr; }
    std::chrono::steady_clock::time_point waiting_since() const noexcept { return since_; }

    /// Says whether an item is a fiber to be resumed.
    static fiber* from(work_item& item) noexcept { return item.run == &resumed ? static_cast<fiber*>(&item) : nullptr; }

    // The loop's.
    fiber* next = nullptr; // of those alive, or of the spares
    fiber* previous = nullptr;
    fiber* return_to = nullptr; // whoever runs a slice of it; null: the loop goes on when it waits
    schedule_function schedule = nullptr;
    asio_call_stacks bottom; // what its function began with, or its slice
    bool strays = false;     // while it does not run: its call stacks may be others than the loop gives to all
    bool scheduled = false;  // by its schedule function, and not resumed yet
    bool is_loop = false;    // runs items, and may be waiting in one
    bool marked = false;     // its function has an id, a name or values of its own
    bool kept = false;       // stays where it is when it has ended, until fiber_loop::release()
    unsigned swallowed = 0;  // unwindings that were caught and not thrown on
    this_fiber::id number;   // of its function
    char name[32];           // ends with a zero
    local_values locals;

private:
    void forget_function() noexcept;
    void wait(waiter& w) noexcept override;
    bool wait_until(waiter& w, std::chrono::steady_clock::time_point deadline) noexcept override;
    void notify(waiter& w) noexcept override;
    void suspend(const waiter& w) noexcept;
    bool strays_and_must_return() const noexcept;
    static void resumed(work_item& item, bool invoke) noexcept;
    static execution& enter(execution& self, execution& from) noexcept;

    fiber_loop& owner_;
    const main_function main_;
    waiter* awaited_ = nullptr; // what the fiber is suspended for, if for a waiter
    std::chrono::steady_clock::time_point since_;
};

/// Makes a cancellation request of a fiber. On its loop's thread.
void request_cancel_of(agent& which, boost::system::error_code reason) noexcept;

} // namespace zsync::detail
