// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/descriptor.hpp>
#include <zsync/core/operation.hpp>
#include <zsync/core/operation_work.hpp>
#include <zsync/core/work_item.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/system/error_code.hpp>

#include <cerrno>
#include <memory>
#include <new>
#include <utility>

namespace zsync::detail
{

/// The error of a record's result.
inline boost::system::error_code record_error(const operation& record) noexcept
{
    return record.result < 0 ? boost::system::error_code(-record.result, boost::system::system_category())
                             : boost::system::error_code();
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

/// One asynchronous operation of a handle: the record, what it asks and answers (the Action), its handler, and the
/// work that keeps its executors running. It lives in the handler's memory, which is free again before the handler is
/// called; the handler is posted to its associated executor, even if the operation fails at once. Where that is the
/// loop of a context of ours, the operation itself is what is posted, and no more memory is needed. Only a handler with
/// an immediate executor goes there if the operation completes within start(), which then tries to:
/// engine::perform_now().
///
/// An Action is movable and has
/// - `static constexpr direction way`: in: the one reader, out: the one writer, none: neither;
/// - `bool describe(operation&)`: says what to ask, once it is where it will stay; false: nothing, the result is there;
/// - `outcome(const operation&)`: a tuple of what the handler is told, error code first. Not to throw.
///
/// Cancellation: all three types end the operation with operation_aborted, unless it completes first. A context that
/// is destroyed with the operation in flight destroys the handler without calling it.
template <class Action, class Handler>
class record_operation final : public operation, private work_item
{
public:
    /// Starts an operation of a handle; a null core is a closed one's. `io`: the engine of an operation that belongs to
    /// no descriptor yet, or null. With an errno in `refused` it fails with that instead.
    /// @throws what allocating or moving the handler throws; then nothing has been started.
    static void start(Handler&& handler, const bound_executor& io_executor, descriptor_ptr core, Action&& action,
                      engine* io = nullptr, int refused = 0)
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
        self->begin(io_executor, io, refused);
    }

private:
    static constexpr bool is_immediate = has_immediate_executor<Handler, boost::asio::any_io_executor>;

    record_operation(Handler&& handler, const bound_executor& io_executor, descriptor_ptr&& core, Action&& action)
        : work_(handler, io_executor), handler_(std::move(handler)), core_(std::move(core)), action_(std::move(action))
    {
        on_complete = [](operation& self, void*) noexcept { static_cast<record_operation&>(self).complete(true); };
    }

    void begin(const bound_executor& io_executor, engine* free_standing, int refused)
    {
        if (refused == 0 && !free_standing)
            refused = core_ ? enter() : EBADF;
        if (refused != 0)
        {
            core_ = nullptr;
            result = -refused;
            return complete_at_once(io_executor);
        }
        engine& io = free_standing ? *free_standing : core_->io();
        descriptor = core_ ? core_->native() : -1;
        result = 0;
        if (!action_.describe(*this))
            return complete_at_once(io_executor);
        if (!has_system_call(code) && !io.supports(code)) [[unlikely]]
        {
            result = -EOPNOTSUPP;
            return complete_at_once(io_executor);
        }
        if constexpr (is_immediate)
            if (io.perform_now(*this))
                return complete_at_once(io_executor);

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

    // Within the initiating function. Throws what the handler throws, if that is called here.
    void complete_at_once([[maybe_unused]] const bound_executor& io_executor) noexcept(!is_immediate)
    {
        if constexpr (is_immediate)
        {
            if (const descriptor_ptr core(std::move(core_)); core)
                leave(*core);
            auto results = action_.outcome(*this);
            operation_work<Handler> work(std::move(work_));
            Handler handler = destroy();
            work.tell_at_once(std::move(handler), std::move(results), io_executor.get());
        }
        else
        {
            complete(false);
        }
    }

    void complete(bool from_turn) noexcept
    {
        // The handler may start the next transfer on another thread at once; who waits for a closed descriptor to be
        // idle is told last.
        const descriptor_ptr core(std::move(core_));
        const bool closed = core && !core->is_open();
        if (core && !closed)
            leave(*core);
        if (work_.owner()) [[likely]]
            queue_on_loop(from_turn);
        else
            tell(from_turn);
        if (closed)
            leave(*core);
    }

    void queue_on_loop(bool from_turn) noexcept
    {
        run = [](work_item& item, bool invoke) { static_cast<record_operation&>(item).finish(invoke); };
        loop& owner = work_.release();
        if (from_turn) [[likely]]
            return owner.complete(*this);
        owner.post(*this);
        owner.work_finished(); // after that: the item counts
    }

    // On the loop.
    void finish(bool invoke)
    {
        auto results = action_.outcome(*this);
        Handler handler = destroy();
        if (invoke)
            call_told(std::move(handler), std::move(results));
    }

    // Ends the process if there is no memory to queue the handler with: there is nobody left to be told.
    void tell(bool from_turn) noexcept
    {
        auto results = action_.outcome(*this);
        operation_work<Handler> work(std::move(work_));
        Handler handler = destroy();
        work.tell(std::move(handler), std::move(results), from_turn);
    }

    // All but the handler.
    Handler destroy() noexcept
    {
        auto memory = memory_of<Handler, record_operation>(handler_);
        Handler handler(std::move(handler_));
        this->~record_operation();
        std::allocator_traits<decltype(memory)>::deallocate(memory, this, 1);
        return handler;
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
    operation_initiation(const bound_executor& io_executor, descriptor_ptr core, int refused = 0) noexcept
        : io_executor_(io_executor), core_(std::move(core)), refused_(refused)
    {
    }

    /// Of an operation that belongs to no descriptor yet.
    operation_initiation(const bound_executor& io_executor, engine& io) noexcept : io_executor_(io_executor), io_(&io)
    {
    }

    executor_type get_executor() const { return io_executor_.get(); }

    template <class Handler, class Action>
    void operator()(Handler&& handler, Action action) const&
    {
        start(std::forward<Handler>(handler), core_, std::move(action));
    }

    template <class Handler, class Action>
    void operator()(Handler&& handler, Action action) &&
    {
        start(std::forward<Handler>(handler), std::move(core_), std::move(action));
    }

private:
    template <class Handler, class Action>
    void start(Handler&& handler, descriptor_ptr core, Action&& action) const
    {
        record_operation<Action, std::decay_t<Handler>>::start(std::decay_t<Handler>(std::forward<Handler>(handler)),
                                                               io_executor_, std::move(core), std::move(action), io_,
                                                               refused_);
    }

    bound_executor io_executor_;
    descriptor_ptr core_;
    engine* io_ = nullptr;
    int refused_ = 0;
};

} // namespace zsync::detail
