// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/detail/hosted_scheduler.hpp>
#include <zsync/core/loop.hpp>
#include <zsync/fiber/detail/fiber.hpp>
#include <zsync/fiber/fiber_options.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace zsync
{

struct stack_usage;

} // namespace zsync

namespace zsync::detail
{

class dump_signal;
class pressure_watch;
class stall_watch;

/// The loop of a fiber_context: runs items, resumes fibers, turns the engine.
///
/// The loop itself runs on a fiber, so that an item may wait: then the fiber it waits on is left as it stands, and a
/// spare one goes on with the loop. Exactly one fiber at a time is the loop (`loop_`), running or suspended in the
/// switch to the fiber it resumed; when a fiber that once was the loop comes back from its item, it becomes a spare.
/// The function of a loop fiber keeps nothing on its stack from item to item, so it does not matter which one goes on.
///
/// A fiber that waits switches to the next ready fiber at once, without a detour over the loop, as often as `budget_`
/// allows. Everything is done by the thread inside run(), but where a function says otherwise.
class fiber_loop final : public loop, private scheduler_host
{
public:
    fiber_loop(boost::asio::execution_context& context, const fiber_options& options);
    ~fiber_loop();

    // What a loop does for everybody; see there.
    engine& io() noexcept override { return *engine_; }
    timer_wheel* timers() noexcept override { return &timers_; }
    helper_threads& helpers() noexcept override { return helpers_; }
    void post(work_item& item) noexcept override;
    void work_started() noexcept override { work_.fetch_add(1, std::memory_order_relaxed); }
    void work_finished() noexcept override;
    void complete(work_item& item) noexcept override
    {
        ready_.push(item);
        work_.fetch_sub(1, std::memory_order_relaxed); // not the end of all: the item is there
    }

    /// Tells that so much of the work that executors track is a spawned fiber's own: that of its handler, which ends
    /// when the fiber does, and wakes nobody. On the loop's thread.
    void note_fiber_work(int change) noexcept { work_of_fibers_ += change; }
    bool may_run_inline() const noexcept override { return running_here() && !guest_->running(); }

    /// Bounds of a call of run_until().
    struct limits
    {
        std::optional<std::chrono::steady_clock::time_point> deadline{}; // none: as long as there is work
        bool wait = true;
        bool one = false;
    };

    /// Runs until there is no more work, or a limit. @return how many items and slices of fibers it ran.
    /// @throws what a function run by it throws; system_error with device_or_resource_busy if a thread is inside.
    std::size_t run(const limits& bounds);

    void stop() noexcept;                                                              // any thread
    bool stopped() const noexcept { return stopped_.load(std::memory_order_acquire); } // any thread
    void restart() noexcept { stopped_.store(false, std::memory_order_release); }

    /// Cancels all fibers and runs until their frames have unwound.
    void end_fibers() noexcept;

    /// Destroys what is queued, and ends what is in flight. To be called when no fiber is left, before the context
    /// destroys its services, and again after that.
    void shutdown() noexcept;

    /// Destroys what is queued.
    void destroy_items() noexcept;

    /// Carries the exception being handled to whoever called run(), which returns.
    void fail() noexcept;

    // For fibers.

    /// Takes a stack for make_fiber(), for a fiber object of so many bytes. @throws std::bad_alloc, also if the object
    /// would not leave a page to the function.
    stack_view take_stack(std::size_t object_bytes)
    {
        if (object_bytes + least_room > stacks_.stack_bytes())
            throw std::bad_alloc();
        return stacks_.take();
    }

    /// Makes a fiber of type F at the upper end of a stack. F derives from fiber, and is constructed from (loop, stack,
    /// top, call stacks, args...). It inherits the deadline of the running one.
    /// @throws what that throws; the stack has then been given back.
    template <class F, class... Args>
    F& make_fiber(stack_view stack, Args&&... args)
    {
        static_assert(alignof(F) <= 64);
        std::byte* const place = stack.top() - (sizeof(F) + 63) / 64 * 64;
        try
        {
            F& made = *::new (place) F(*this, stack, place, memory_.call_stacks(), std::forward<Args>(args)...);
            made.cancellation().limit(running().cancellation().deadline());
            link(made, alive_fibers_);
            ++alive_;
            return made;
        }
        catch (...)
        {
            stacks_.give_back(stack);
            throw;
        }
    }

    /// Queues an item on the loop's own thread. Not counted as work: for fibers, which count by being alive.
    void enqueue(work_item& item) noexcept { ready_.push(item); }

    /// Lets something else run until the running fiber is resumed.
    void suspend(fiber& self) noexcept;

    /// Lets whatever is ready run first.
    void yield(fiber& self) noexcept;

    /// Resumes a fiber from within an item, and returns when it next waits or has ended.
    void run_slice(fiber& slice) noexcept;

    /// The last thing a fiber does, when it has destroyed all that it holds but itself, which goes with its stack:
    /// nothing but returns may follow. @return what its main function is to return.
    execution& end(fiber& ended) noexcept;

    /// Says whether somebody can go on with the loop when this fiber waits: false if there is no memory for it.
    bool can_do_without(const fiber& waiting) noexcept;

    /// To be called after each switch: frees the fiber that made it, if that has ended and is not kept.
    void arrived_from(execution& from) noexcept;

    /// Frees a fiber that is kept, now or when it ends. The fiber may be the running one. On the loop's thread, or
    /// when no thread runs the loop any more.
    void release(fiber& held) noexcept;

    /// The running fiber has another name.
    void renamed() noexcept;

    /// Hands a first line, and what dump_fibers() would write, to whoever the options say. The running fiber is left
    /// out.
    void report_fibers(std::string_view why) const;

    /// For threads that wait for a fiber: after so long they report, if no thread has run the loop meanwhile. Any thread.
    std::chrono::microseconds unattended_after() const noexcept { return unattended_after_; }
    std::uint64_t runs() const noexcept { return runs_.load(); }
    void report_unattended(std::chrono::microseconds waited) const;

    /// Makes a cancellation request of every fiber there is, also of those that have had one.
    void cancel_fibers(boost::system::error_code reason) noexcept;

    /// Returns the fiber below whose stack an address is, in the guard; null: none. For the handler of a fault, on the
    /// loop's thread.
    const fiber* with_guard_at(std::uintptr_t address) const noexcept;

    /// Returns what a fiber has used of its stack.
    std::size_t high_water(const fiber& of) const noexcept
    {
        return (of.is_loop ? loop_stacks_ : stacks_).high_water(of.stack());
    }

    stack_usage stacks() const noexcept;
    void release_memory() noexcept;

    /// The same inside the engine's turn.
    void memory_is_short() noexcept;

    /// What it gives to all that it runs.
    const asio_call_stacks& call_stacks() const noexcept { return memory_.call_stacks(); }

    fiber& running() const noexcept { return static_cast<fiber&>(*current_); }
    bool in_guest() const noexcept { return guest_->running(); }
    bool ending() const noexcept { return ending_; }
    const std::string& why() const noexcept { return why_; }
    std::size_t alive() const noexcept { return alive_; }
    bool occupied() const noexcept { return occupied_.load(std::memory_order_acquire); } // any thread
    metrics counters() const noexcept;
    this_fiber::id make_id() noexcept { return ids_.make(); }

    /// The time of the loop's last turn, some milliseconds late: what a wait begins with, since a clock would cost more
    /// than a switch.
    std::chrono::steady_clock::time_point time() const noexcept { return time_; }

private:
    friend class loop_inspector;
    class loop_fiber;
    struct guest_poll : operation
    {
        hosted_scheduler* guest = nullptr;
    };

    // Written by the loop's thread, read by any: see publish_stacks().
    struct stacks_counted
    {
        std::atomic<std::uint64_t> made{0}; // with those of functions
        std::atomic<std::uint64_t> started{0};
        std::atomic<std::uint64_t> alive{0};
        std::atomic<std::uint64_t> peak{0};
        std::atomic<std::uint64_t> unguarded{0};
        counter releases;
    };

    void wait_for_guest(std::optional<std::chrono::microseconds> timeout) override;
    void wake_for_guest() noexcept override { engine_->wake(); }

    static void link(fiber& one, fiber*& list) noexcept
    {
        one.previous = nullptr;
        one.next = std::exchange(list, &one);
        if (one.next)
            one.next->previous = &one;
    }

    static void unlink(fiber& one, fiber*& list) noexcept
    {
        (one.previous ? one.previous->next : list) = one.next;
        if (one.next)
            one.next->previous = one.previous;
    }

    static void destroy(fiber& ended, stack_pool& from) noexcept;
    fiber& next() noexcept;
    fiber& take_spare() noexcept;
    fiber& make_spare();
    void put_spare(fiber& spare) noexcept;
    void leave_item(fiber& self) noexcept;
    void switch_from(fiber& from, fiber& to) noexcept;
    void exchange_call_stacks(fiber& from, const fiber& to) noexcept;

    [[noreturn]] void run_items() noexcept;
    void run_function(work_item& item) noexcept;
    void turn() noexcept;
    void look_around();
    bool is_over() noexcept;
    bool out_of_work() const noexcept;
    std::optional<std::chrono::microseconds> longest_wait() const;
    void expire_timers() noexcept;
    void watch_guest();
    void note_stacks() noexcept;
    void publish_stacks() noexcept;
    void unwind_all() noexcept;
    static void unwinding_swallowed() noexcept;
    void report_swallowed(fiber& by) noexcept;

    // For those who look for a fault: see loop_debug.cpp.
    void enter_registry() noexcept;
    void leave_registry() noexcept;
    void note_time() noexcept;
    bool announce_next() noexcept;
    bool waits_for_others_here(const fiber& one) const noexcept;
    bool nothing_else_wakes() noexcept;
    void wait_for_deadlock();

    // Chosen: a switch takes some 10 ns, a turn of the engine without events 50.
    static constexpr int switches_between_turns = 64;

    // Chosen: how often a fiber may swallow its unwinding before the process is ended, which it keeps from going on.
    static constexpr unsigned most_swallowed = 1000;

    // Chosen: what a function of a spawned fiber has at least, one page and the rounding of the object's place.
    static constexpr std::size_t least_room = 4096 + 64;

    handler_memory memory_;
    hosted_scheduler* guest_; // the context's
    stack_pool stacks_;
    stack_pool loop_stacks_;
    timer_wheel timers_{timer_wheel::clock::now()};
    helper_threads helpers_;
    const fiber_options::swallowed_function on_swallowed_unwind_;
    std::unique_ptr<engine> engine_;
    std::string why_;
    guest_poll guest_poll_;

    work_queue ready_;
    work_inbox inbox_;                  // items of other threads, which wake the engine
    std::atomic<long> work_{0};         // what executors track
    long work_of_fibers_ = 0;           // the part of it that spawned fibers hold
    std::atomic<int> notifying_{0};     // other threads inside post() and work_finished(); the destructor reads it
    std::atomic<bool> stopped_{false};  // written by stop(), from any thread, and where work runs out
    std::atomic<bool> occupied_{false}; // a thread is inside run(), and owns all that follows

    execution* thread_ = nullptr; // the stack that called run()
    exception_state* exceptions_ = nullptr;
    agent* current_ = nullptr; // the fiber that runs; null outside run()
    fiber* loop_ = nullptr;    // null: the fiber that was it waits in its item
    fiber* spares_ = nullptr;
    fiber* alive_fibers_ = nullptr; // not those that run items
    fiber* waiting_ = nullptr;      // those that have waited in an item and not come back from it
    std::size_t alive_ = 0;
    std::size_t waiting_items_ = 0;
    int budget_ = 0;
    const bool reports_overflow_;
    bool leaving_ = false;
    bool ending_ = false;
    std::exception_ptr failure_;
    limits bounds_;
    std::size_t count_ = 0;

    this_fiber::detail::id_source ids_;
    std::chrono::steady_clock::time_point time_;
    std::unique_ptr<stall_watch> watch_; // null: nobody has asked for one
    int announced_ = 0;                  // with a watch: items that may run before the next turn
    std::unique_ptr<dump_signal> dump_signal_;
    std::unique_ptr<pressure_watch> pressure_; // null: too few stacks, or not wanted
    bool watches_pressure_;                    // will, when there are enough
    stacks_counted counted_;
    std::chrono::microseconds deadlock_after_; // max: never
    const std::chrono::microseconds unattended_after_;
    counter runs_; // calls of run()
    std::function<void(std::string_view)> report_;
    fiber_loop* newer_ = nullptr; // in the registry
    fiber_loop* older_ = nullptr;
};

/// All loops of the process, the newest first: for debuggers, which find the fibers from here in a core file, too. The
/// one thing here that is global, because a debugger knows no other way in; the library reads it for nothing else.
extern fiber_loop* debugged_loops;

inline void fiber_loop::note_stacks() noexcept
{
    if (counted_.made.load(std::memory_order_relaxed) != stacks_.taken() + loop_stacks_.taken() ||
        counted_.alive.load(std::memory_order_relaxed) != alive_)
        publish_stacks();
}

} // namespace zsync::detail

#include <zsync/fiber/detail/fiber_switch.hpp>
