// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/cancellation.hpp>
#include <zsync/fiber/cancellation_scope.hpp>
#include <zsync/fiber/detail/child_fiber.hpp>
#include <zsync/fiber/fiber_context.hpp>
#include <zsync/fiber/this_fiber.hpp>

#include <boost/asio/error.hpp>
#include <boost/system/errc.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/result.hpp>
#include <boost/system/system_error.hpp>

#include <concepts>
#include <new>
#include <stop_token>
#include <string>
#include <type_traits>
#include <utility>

namespace zsync
{

/// What a fiber begins with.
struct fiber_attributes
{
    /// What this_fiber::name() returns there: its first 31 characters.
    std::string name{};

    /// What else may ask it to end, from any thread: as by a cancellation_scope around its function. A std::stop_token
    /// converts to one.
    cancellation_token cancellation{};
};

namespace detail
{

template <class Function>
struct fiber_result : std::invoke_result<Function>
{
};

template <class Function>
    requires(!std::invocable<Function>)
struct fiber_result<Function> : std::invoke_result<Function, std::stop_token>
{
};

/// What std::jthread takes, without further arguments, for a fiber with a result.
template <class Function, class Result>
concept fiber_function = (std::invocable<Function> || std::invocable<Function, std::stop_token>)&&(
    std::is_void_v<Result> || std::same_as<typename fiber_result<Function>::type, Result>);

} // namespace detail

/// Owns a fiber that runs a function, as std::jthread owns a thread: joins it, or cancels and joins it. What the
/// function returns, join() returns; `fiber`, for void, drops it.
///
/// @par Thread safety
/// Distinct objects: safe. One object: one thread at a time, but request_cancel() and is_done() may be called by others
/// while one waits. It may be made, and waited for, on any thread; off the context's thread somebody has to run that.
///
/// @par Lifetime
/// It must not outlive the context, whose destructor unwinds the fiber.
///
/// @code
/// zsync::fiber worker(ctx, {.name = "worker"}, [&] { copy(from, to); });
/// zsync::basic_fiber length(ctx, [&] { return measure(from); }); // basic_fiber<std::size_t>
/// ...
/// worker.join(); // throws what copy() has thrown
/// use(length.join());
/// @endcode
template <class Result>
class [[nodiscard]] basic_fiber
{
public:
    /// Owns nothing.
    basic_fiber() noexcept = default;

    /// Starts `function()` on a fiber of its own, soon; or `function(stop_token)`, with this_fiber::get_stop_token(). A
    /// deadline_scope of the caller holds there, too. Never blocks.
    /// @throws std::bad_alloc; what moving the function throws. Then nothing was started.
    template <class Function>
        requires(zsync::detail::fiber_function<std::decay_t<Function>, Result>)
    basic_fiber(fiber_context& on, Function&& function)
    {
        // A fiber that is made on its loop's thread has an id at once.
        id_ = on.loop().running_here() ? this_fiber::id() : this_fiber::id::make();
        auto plain = [id = id_, function = std::decay_t<Function>(std::forward<Function>(function))]() mutable -> Result
        {
            if (id != this_fiber::id())
                this_fiber::detail::introduce(id, {});
            return call(function);
        };
        start(on, plain);
    }

    template <class Function>
        requires(zsync::detail::fiber_function<std::decay_t<Function>, Result>)
    basic_fiber(fiber_context& on, fiber_attributes attributes, Function&& function) : id_(this_fiber::id::make())
    {
        auto named = [id = id_, name = std::move(attributes.name), cancellation = std::move(attributes.cancellation),
                      function = std::decay_t<Function>(std::forward<Function>(function))]() mutable -> Result
        {
            this_fiber::detail::introduce(id, name);
            const cancellation_scope until(std::move(cancellation));
            return call(function);
        };
        start(on, named);
    }

    basic_fiber(basic_fiber&& other) noexcept
        : task_(std::exchange(other.task_, nullptr)), id_(std::exchange(other.id_, {}))
    {
    }

    /// First cancels and joins what it owns, as the destructor does.
    basic_fiber& operator=(basic_fiber&& other) noexcept
    {
        if (this != &other)
        {
            abandon();
            task_ = std::exchange(other.task_, nullptr);
            id_ = std::exchange(other.id_, {});
        }
        return *this;
    }

    /// Cancels the fiber and waits for its end, protected from the cancellation of its own task; what it
    /// returns or throws is dropped. Suspends the fiber, or blocks the thread. Where nothing may wait (below a
    /// handler of a stock object that runs inline), a fiber that has not ended leaves no way out: the process
    /// is ended, as by std::thread's destructor.
    ~basic_fiber() { abandon(); }

    /// Says whether it owns a fiber. Never blocks.
    bool joinable() const noexcept { return task_ != nullptr; }

    /// Says whether the function has ended: join() does not wait then. Never blocks.
    bool is_done() const noexcept { return !task_ || task_->is_done(); }

    /// What this_fiber::get_id() returns there. Never blocks.
    this_fiber::id get_id() const noexcept { return id_; }

    /// Asks the fiber to end: its next cancellation point ends with operation_aborted. Once; does not wait,
    /// never blocks.
    void request_cancel(boost::system::error_code reason = boost::asio::error::operation_aborted) const noexcept
    {
        if (task_)
            task_->request_cancel(reason);
    }

    /// Waits for the fiber's end, and returns what the function has returned. Suspends the fiber, or blocks the
    /// thread. It is not joinable() afterwards.
    ///
    /// A cancellation point: a request of the waiting task goes on to the fiber, for whose end it waits all the
    /// same. If that ends with operation_aborted the request has been delivered; else it stays pending.
    ///
    /// The deadline of a deadline_scope goes on likewise, and is error::timed_out here.
    ///
    /// @throws what the function has thrown; system_error with resource_deadlock_would_occur where nothing may
    ///         wait, and in the fiber itself: then it is joinable as before; with invalid_argument if it is not
    ///         joinable().
    Result join()
    {
        if (!joinable()) [[unlikely]]
            throw boost::system::system_error(make_error_code(boost::system::errc::invalid_argument),
                                              "fiber: it is not joinable");
        const bool in_time = task_->join();
        struct owned
        {
            ~owned() { task.release(); }
            zsync::detail::task_state<Result>& task;
        } const done{*std::exchange(task_, nullptr)};
        zsync::detail::settle_request(done.task.outcome.failure(), in_time);
        return std::move(done.task.outcome).get();
    }

    /// The same with the code of a system_error, or success. Other exceptions are thrown.
    void join(boost::system::error_code& ec) requires std::is_void_v<Result>
    {
        ec = {};
        try
        {
            join();
        }
        catch (const boost::system::system_error& error)
        {
            ec = error.code();
        }
    }

    /// The same as a value or such a code.
    boost::system::result<Result> try_join() requires(!std::is_reference_v<Result>)
    {
        try
        {
            if constexpr (std::is_void_v<Result>)
                return join(), boost::system::result<void>();
            else
                return join();
        }
        catch (const boost::system::system_error& error)
        {
            return error.code();
        }
    }

    /// Lets the fiber go on by itself. What it returns or throws is dropped.
    void detach() noexcept
    {
        if (task_)
            std::exchange(task_, nullptr)->release();
    }

    void swap(basic_fiber& other) noexcept
    {
        std::swap(task_, other.task_);
        std::swap(id_, other.id_);
    }

private:
    template <class Function>
    static Result call(Function& function)
    {
        if constexpr (!std::invocable<Function>)
            return static_cast<Result>(std::move(function)(this_fiber::get_stop_token()));
        else
            return static_cast<Result>(std::move(function)());
    }

    template <class Function>
    void start(fiber_context& on, Function& function)
    {
        task_ = zsync::detail::start_fiber(on.loop(), function, &id_);
        if (!task_)
            throw std::bad_alloc();
    }

    void abandon() noexcept
    {
        if (!task_)
            return;
        if (!task_->is_done())
            zsync::detail::cancel_and_join(*task_);
        std::exchange(task_, nullptr)->release();
    }

    zsync::detail::task_state<Result>* task_ = nullptr;
    this_fiber::id id_;
};

template <class Function>
basic_fiber(fiber_context&, Function&&) -> basic_fiber<typename detail::fiber_result<std::decay_t<Function>>::type>;

template <class Function>
basic_fiber(fiber_context&, fiber_attributes, Function&&)
    -> basic_fiber<typename detail::fiber_result<std::decay_t<Function>>::type>;

/// A fiber of whose result nobody hears, but what it throws.
using fiber = basic_fiber<void>;

} // namespace zsync
