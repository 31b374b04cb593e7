// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/descriptor.hpp>
#include <zsync/core/detail/forget_cancellation.hpp>
#include <zsync/core/detail/recycling_allocator.hpp>
#include <zsync/core/loop_executor.hpp>
#include <zsync/core/operation.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/defer.hpp>
#include <boost/asio/execution/executor.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/system/error_code.hpp>

#include <memory>
#include <new>
#include <tuple>
#include <type_traits>
#include <utility>

namespace zsync::detail
{

/// The error of a record's result.
inline boost::system::error_code record_error(const operation& record) noexcept
{
    return record.result < 0 ? boost::system::error_code(-record.result, boost::system::system_category())
                             : boost::system::error_code();
}

/// A handler's memory: its own allocator, else recycled blocks.
template <class Handler, class T>
auto memory_of(const Handler& handler)
{
    using associated = boost::asio::associated_allocator_t<Handler, recycling_allocator<void>>;
    return typename std::allocator_traits<associated>::template rebind_alloc<T>(
        boost::asio::get_associated_allocator(handler, recycling_allocator<void>()));
}

/// Cancels an operation by its id, which is harmless once the operation has completed.
struct cancel_by_id
{
    engine* io;
    operation_id id;

    void operator()(boost::asio::cancellation_type type) const noexcept
    {
        if (type != boost::asio::cancellation_type::none && id.generation != 0)
            io->cancel(id);
    }
};

/// An executor that counts as work while it lives: a plain one that tracks, or a guard for those of before Asio 1.18.
template <class Executor, bool = boost::asio::execution::is_executor<Executor>::value>
class working_executor
{
public:
    explicit working_executor(const Executor& executor) noexcept
        : executor_(boost::asio::prefer(executor, boost::asio::execution::outstanding_work.tracked))
    {
    }
    const auto& get() const noexcept { return executor_; }

private:
    std::decay_t<decltype(boost::asio::prefer(std::declval<const Executor&>(),
                                              boost::asio::execution::outstanding_work.tracked))>
        executor_;
};

template <class Executor>
class working_executor<Executor, false>
{
public:
    explicit working_executor(const Executor& executor) noexcept : guard_(executor) {}
    Executor get() const noexcept { return guard_.get_executor(); }

private:
    boost::asio::executor_work_guard<Executor> guard_;
};

/// A handler and what it is told, as a function for its executor. It keeps that working until it is called: a context
/// whose turn queues it may not have counted it yet when the operation lets go of its work.
template <class Handler, class Work, class Results>
struct told_handler
{
    using allocator_type = boost::asio::associated_allocator_t<Handler, recycling_allocator<void>>;

    Handler handler;
    Work work;
    Results results;

    allocator_type get_allocator() const noexcept
    {
        return boost::asio::get_associated_allocator(handler, recycling_allocator<void>());
    }

    void operator()()
    {
        // On the handler's executor, where cancelling is the user's to serialize with this.
        forget_cancellation(boost::asio::get_associated_cancellation_slot(handler));
        std::apply(std::move(handler), std::move(results));
    }
};

/// The executors of an operation in flight: both count it as work, as Asio's own operations have it.
template <class Handler>
class operation_work
{
    using associated = boost::asio::associated_executor_t<Handler, boost::asio::any_io_executor>;

public:
    operation_work(const Handler& handler, const boost::asio::any_io_executor& io)
        : operation_work(boost::asio::get_associated_executor(handler, io), io, 0)
    {
    }

    /// Queues the handler: never calls it here.
    template <class Results>
    void tell(Handler&& handler, Results&& results, bool from_turn)
    {
        const auto executor = handler_work_.get();
        told_handler<Handler, working_executor<associated>, std::decay_t<Results>> told{
            std::move(handler), std::move(handler_work_), std::forward<Results>(results)};
        if constexpr (std::is_same_v<associated, boost::asio::any_io_executor>)
        {
            // Past the type erasure, which would take memory from Asio's small cache.
            if (const auto* const ours = executor.template target<tracked_loop_executor>()) [[likely]]
                return queue(loop_executor(ours->owner()), std::move(told), from_turn);
        }
        queue(executor, std::move(told), from_turn);
    }

private:
    using tracked_loop_executor = std::decay_t<decltype(boost::asio::prefer(
        std::declval<const loop_executor&>(), boost::asio::execution::outstanding_work.tracked))>;

    // What an engine's turn delivers goes on where the turn was taken, if that thread may run it.
    template <class Executor, class Told>
    static void queue(const Executor& executor, Told&& told, bool from_turn)
    {
        if (from_turn)
            boost::asio::defer(executor, std::move(told));
        else
            boost::asio::post(executor, std::move(told));
    }

    operation_work(const associated& executor, const boost::asio::any_io_executor& io, int) : handler_work_(executor)
    {
        if (differs(executor, io))
            io_work_ = boost::asio::prefer(io, boost::asio::execution::outstanding_work.tracked);
    }

    static bool differs(const associated& executor, const boost::asio::any_io_executor& io) noexcept
    {
        if constexpr (std::is_same_v<associated, boost::asio::any_io_executor>)
            return executor != io;
        else
            return true;
    }

    working_executor<associated> handler_work_;
    boost::asio::any_io_executor io_work_; // empty: the same
};

/// One asynchronous operation of a handle: the record, what it asks and answers (the Action), its handler, and the
/// work that keeps its executors running. It lives in the handler's memory, which is free again before the handler is
/// called; the handler is always posted to its associated executor, even if the operation fails at once.
///
/// An Action is movable and has
/// - `static constexpr direction way`: in: the one reader, out: the one writer, none: neither;
/// - `bool describe(operation&)`: says what to ask, once it is where it will stay; false: nothing, the result is there;
/// - `outcome(const operation&)`: a tuple of what the handler is told, error code first. Not to throw.
///
/// Cancellation: all three types end the operation with operation_aborted, unless it completes first. A context that
/// is destroyed with the operation in flight destroys the handler without calling it.
template <class Action, class Handler>
class record_operation final : public operation
{
public:
    /// Starts an operation of a handle; a null core is a closed one's. `io`: the engine of an operation that belongs to
    /// no descriptor yet, or null. With an errno in `refused` it fails with that instead.
    /// @throws what allocating or moving the handler throws; then nothing has been started.
    static void start(Handler&& handler, const boost::asio::any_io_executor& io_executor, descriptor_ptr core,
                      Action&& action, engine* io = nullptr, int refused = 0)
    {
        auto memory = memory_of<Handler, record_operation>(handler);
        using traits = std::allocator_traits<decltype(memory)>;
        record_operation* const self = traits::allocate(memory, 1);
        try
        {
            new (self) record_operation(std::move(handler), io_executor, std::move(core), std::move(action));
        }
        catch (...)
        {
            traits::deallocate(memory, self, 1);
            throw;
        }
        self->begin(io, refused);
    }

private:
    record_operation(Handler&& handler, const boost::asio::any_io_executor& io_executor, descriptor_ptr&& core,
                     Action&& action)
        : work_(handler, io_executor), handler_(std::move(handler)), core_(std::move(core)), action_(std::move(action))
    {
        on_complete = [](operation& self, void*) noexcept { static_cast<record_operation&>(self).complete(true); };
    }

    void begin(engine* free_standing, int refused)
    {
        if (refused == 0 && !free_standing)
            refused = core_ ? enter() : EBADF;
        if (refused != 0)
        {
            core_ = nullptr;
            result = -refused;
            return complete(false);
        }
        engine& io = free_standing ? *free_standing : core_->io();
        descriptor = core_ ? core_->native() : -1;
        result = 0;
        if (!action_.describe(*this))
            return complete(false);
        if (!io.supports(code))
        {
            result = -EOPNOTSUPP;
            return complete(false);
        }

        try
        {
            // The slot first: another thread may complete the operation before start() is back.
            if (auto slot = boost::asio::get_associated_cancellation_slot(handler_); slot.is_connected())
                io.start(*this, &slot.template emplace<cancel_by_id>(cancel_by_id{&io, {}}).id);
            else
                io.start(*this);
        }
        catch (const std::bad_alloc&)
        {
            result = -ENOMEM;
            complete(false);
        }
    }

    int enter() noexcept
    {
        if constexpr (Action::way == direction::in)
            return core_->begin_read();
        else if constexpr (Action::way == direction::out)
            return core_->begin_write();
        else
            return core_->begin_other();
    }

    static void leave(descriptor_core& core) noexcept
    {
        if constexpr (Action::way == direction::in)
            core.end_read();
        else if constexpr (Action::way == direction::out)
            core.end_write();
        else
            core.end_other();
    }

    // Ends the process if there is no memory to queue the handler with: there is nobody left to be told.
    void complete(bool from_turn) noexcept
    {
        auto results = action_.outcome(*this);
        auto memory = memory_of<Handler, record_operation>(handler_);
        Handler handler(std::move(handler_));
        operation_work<Handler> work(std::move(work_));
        const descriptor_ptr core(std::move(core_));
        this->~record_operation();
        std::allocator_traits<decltype(memory)>::deallocate(memory, this, 1);

        // The handler may start the next transfer on another thread at once; who waits for a closed descriptor to be
        // idle is told last.
        const bool closed = core && !core->is_open();
        if (core && !closed)
            leave(*core);
        work.tell(std::move(handler), std::move(results), from_turn);
        if (closed)
            leave(*core);
    }

    operation_work<Handler> work_;
    Handler handler_;
    descriptor_ptr core_;
    [[no_unique_address]] Action action_;
};

/// What a token gets of an operation that it is to start, now or later: the handle may be gone by then.
class operation_initiation
{
public:
    using executor_type = boost::asio::any_io_executor;

    /// With an errno in `refused` the operation fails with that.
    operation_initiation(executor_type io_executor, descriptor_ptr core, int refused = 0) noexcept
        : io_executor_(std::move(io_executor)), core_(std::move(core)), refused_(refused)
    {
    }

    /// Of an operation that belongs to no descriptor yet.
    operation_initiation(executor_type io_executor, engine& io) noexcept
        : io_executor_(std::move(io_executor)), io_(&io)
    {
    }

    const executor_type& get_executor() const noexcept { return io_executor_; }

    template <class Handler, class Action>
    void operator()(Handler&& handler, Action action) const
    {
        record_operation<Action, std::decay_t<Handler>>::start(std::decay_t<Handler>(std::forward<Handler>(handler)),
                                                               io_executor_, core_, std::move(action), io_, refused_);
    }

private:
    executor_type io_executor_;
    descriptor_ptr core_;
    engine* io_ = nullptr;
    int refused_ = 0;
};

/// Closes a descriptor, and completes when nothing is in flight on it. See descriptor_core::close().
template <class Handler>
class close_operation final : descriptor_core::idle_waiter
{
public:
    static void start(Handler&& handler, const boost::asio::any_io_executor& io_executor, descriptor_ptr core)
    {
        auto memory = memory_of<Handler, close_operation>(handler);
        using traits = std::allocator_traits<decltype(memory)>;
        close_operation* const self = traits::allocate(memory, 1);
        try
        {
            new (self) close_operation(std::move(handler), io_executor);
        }
        catch (...)
        {
            traits::deallocate(memory, self, 1);
            throw;
        }
        if (!core)
            return self->complete();
        self->error_ = core->close();
        core->when_idle(*self);
    }

private:
    close_operation(Handler&& handler, const boost::asio::any_io_executor& io_executor)
        : work_(handler, io_executor), handler_(std::move(handler))
    {
        idle = [](idle_waiter& self) noexcept { static_cast<close_operation&>(self).complete(); };
    }

    void complete() noexcept
    {
        const std::tuple results(error_);
        auto memory = memory_of<Handler, close_operation>(handler_);
        Handler handler(std::move(handler_));
        operation_work<Handler> work(std::move(work_));
        this->~close_operation();
        std::allocator_traits<decltype(memory)>::deallocate(memory, this, 1);
        work.tell(std::move(handler), results, true); // after what a turn has told
    }

    operation_work<Handler> work_;
    Handler handler_;
    boost::system::error_code error_;
};

} // namespace zsync::detail
