// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/io/async.hpp>
#include <zsync/io/io.hpp>

#include <cstddef>
#include <exception>
#include <functional>
#include <limits>
#include <utility>

namespace zsync
{

struct task_set_options
{
    /// Is called with what a task has thrown, on the task's fiber. Must not throw. None: errors are dropped. The
    /// operation_aborted of a task that was asked to end is no error.
    std::function<void(std::exception_ptr)> on_error{};

    /// How many tasks there may be at once: async() waits for one to end. At least 1.
    std::size_t limit = std::numeric_limits<std::size_t>::max();
};

/// Any number of functions that run concurrently and have nothing to do with each other's errors: the sessions of a
/// server. What a task has used is free again as soon as it has ended.
///
/// In the blocking model each task runs inline, inside async().
///
/// The destructor cancels all tasks and waits for them, with one exception: while its own task is being asked to end
/// because the program is shut down (see runtime), it lets them finish, until the shutdown's deadline.
///
/// For one task or thread at a time, and the tasks themselves; on fibers: for the thread that runs the loop.
///
/// @code
/// zsync::task_set sessions(io, {.on_error = report, .limit = 10'000});
/// for (;;)
///     sessions.async(serve_peer, io.accept(listener).await());
/// @endcode
class task_set : private detail::task_observer
{
public:
    /// @throws boost::system::system_error with operation_not_permitted on a thread that does not run the io's loop,
    ///         in the green model.
    explicit task_set(const io& where, task_set_options options = {});

    /// Cancels and waits, protected from the cancellation of its own task. Suspends the fiber.
    ~task_set();
    task_set(const task_set&) = delete;
    task_set& operator=(const task_set&) = delete;

    /// Starts function(io, args...) or function(args...): a copy of both stays until it has run.
    ///
    /// Suspends the fiber while there are as many tasks as the limit allows: a cancellation point then. In the blocking
    /// model, or without memory for a fiber, it runs the function before it returns.
    ///
    /// @throws boost::system::system_error with operation_aborted: nothing was started, the arguments are destroyed.
    template <class Function, class... Args>
        requires detail::task_callable<Function, Args...>
    void async(Function&& function, Args&&... args)
    {
        auto bound = detail::task_function(io_, std::forward<Function>(function), std::forward<Args>(args)...);
        // Room that was waited for and is not used goes to the next who waits.
        const room given(*this);
        // A result that nobody asks for is not kept.
        auto work = [bound = std::move(bound)]() mutable { static_cast<void>(std::move(bound)()); };
        if (io_.model() != model::blocking)
            if (detail::task_state<void>* const started = detail::start_fiber(io_.owner(), work))
                return add(*started);
        run_inline([](void* call) { std::move (*static_cast<decltype(work)*>(call))(); }, &work);
    }

    /// Returns how many tasks have not ended. Never blocks.
    std::size_t size() const noexcept { return size_; }

    /// Waits until there is no task. Suspends the fiber. A cancellation point while there are tasks: a request goes on
    /// to all of them, and has been delivered when they have ended; so does the deadline of a deadline_scope.
    /// @throws boost::system::system_error with operation_aborted then, or error::timed_out;
    ///         resource_deadlock_would_occur where nothing may wait, and in one of the tasks.
    void join();

    /// Asks all tasks to end and waits for that, protected from the cancellation of its own task. Suspends the fiber.
    /// The set can be used on; what is added meanwhile is to end, too.
    /// @throws boost::system::system_error with resource_deadlock_would_occur as join(): then nobody has been asked.
    void cancel();

private:
    class waiting;

    class room
    {
    public:
        explicit room(task_set& set) : set_(set)
        {
            if (set.size_ >= set.limit_) [[unlikely]]
                wait();
        }
        ~room()
        {
            if (waited_) [[unlikely]]
                set_.give_room();
        }
        room(const room&) = delete;
        room& operator=(const room&) = delete;

    private:
        void wait()
        {
            set_.wait_for_room();
            waited_ = true;
        }

        task_set& set_;
        bool waited_ = false;
    };

    void add(detail::task_state<void>& started) noexcept;
    void ended(detail::child_task& which) noexcept override;
    void run_inline(void (*call)(void* function), void* function);
    void report(const std::exception_ptr& failure) noexcept;
    void request_all(boost::system::error_code reason) noexcept;
    void wait_for_room();
    void give_room() noexcept;
    void cancel_and_wait() noexcept;
    agent& who_waits() const;

    io io_;
    std::function<void(std::exception_ptr)> on_error_;
    const std::size_t limit_;
    std::size_t size_ = 0;
    detail::child_task* first_ = nullptr;
    waiting* waiting_ = nullptr; // who waits for room or for the end, in the order of coming
    unsigned cancelling_ = 0;    // calls of cancel(): what is added meanwhile is to end, too
};

} // namespace zsync
