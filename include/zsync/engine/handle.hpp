// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/close_operation.hpp>
#include <zsync/core/descriptor.hpp>
#include <zsync/core/record_operation.hpp>
#include <zsync/engine/engine_for.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>

#include <concepts>
#include <utility>

namespace zsync
{

/// A context that can say which executor runs functions on it.
template <class Context>
concept executing_context = std::derived_from<Context, boost::asio::execution_context> && requires(Context& context)
{
    {
        context.get_executor()
        } -> std::convertible_to<boost::asio::any_io_executor>;
};

/// What all handles have in common: an executor, and a descriptor that they own. Moves; an operation in flight does not
/// notice.
///
/// There may be one reader and one writer at a time; a second fails with boost::asio::error::already_started.
/// Operations on a handle that is closed, or was moved from, fail with bad_descriptor. Handlers are posted.
///
/// Except for those with an immediate executor (asio::bind_immediate_executor, Boost 1.82): an operation that completes
/// within its initiating function hands them to that, and from there to their own executor if they have one. For their
/// sake transfers of sockets and pipes are tried there first, by a system call. Accepts and connects are not, but on a
/// blocking_context, where everything completes there. async_close() and sources post all handlers.
///
/// Thread safety: distinct handles: safe; one handle: as an Asio socket, one thread at a time.
class handle
{
public:
    using executor_type = boost::asio::any_io_executor;
    using native_handle_type = int;

    const executor_type& get_executor() const noexcept { return executor_; }
    bool is_open() const noexcept { return core_ && core_->is_open(); }

    /// The descriptor, still owned by the handle; -1 if closed.
    native_handle_type native_handle() const noexcept { return core_ ? core_->native() : -1; }

    /// The name of the engine that performs its operations. Requires that it is open.
    engine_kind engine() const noexcept { return core_->io().kind(); }

    /// Takes over a descriptor; O_NONBLOCK is left as it is. Closes the one before, if any. Never blocks else.
    /// Errors: bad_descriptor; errc::file_exists if another handle has it; not_enough_memory. It is then the caller's.
    void assign(native_handle_type descriptor);
    void assign(native_handle_type descriptor, boost::system::error_code& ec);

    /// Gives the descriptor up. What is in flight completes with operation_aborted. -1 if closed. Never blocks.
    native_handle_type release() noexcept { return core_ ? core_->release() : -1; }

    /// Asks for the end of everything in flight, which completes with operation_aborted unless it is done. Never
    /// blocks.
    void cancel() noexcept
    {
        if (core_)
            core_->cancel();
    }

    /// Closes; what is in flight completes with operation_aborted. The number is free at once. Succeeds if closed.
    /// Blocks the thread as long as close(2) does, which matters with SO_LINGER and for files on a network.
    void close();
    void close(boost::system::error_code& ec) noexcept { ec = core_ ? core_->close() : boost::system::error_code(); }

    /// Closes, and completes when whatever was in flight has completed. Signature: void(error_code). Cancellation:
    /// none.
    template <boost::asio::completion_token_for<void(boost::system::error_code)> Token>
    auto async_close(Token&& token)
    {
        return boost::asio::async_initiate<Token, void(boost::system::error_code)>(close_initiation{{executor_, core_}},
                                                                                   token);
    }

    /// What the operations of this handle share: for the library's own layers. Null if it was never open, or was moved
    /// from. Not a part of the stable interface.
    const descriptor_ptr& core() const noexcept { return core_; }

protected:
    handle() noexcept = default; // no executor: every operation needs one
    explicit handle(const executor_type& executor) noexcept : executor_(executor) {}
    handle(const executor_type& executor, descriptor_ptr core) noexcept : executor_(executor), core_(std::move(core)) {}
    handle(handle&& other) noexcept : executor_(other.executor_), core_(std::move(other.core_)) {}
    handle& operator=(handle&& other) noexcept;
    ~handle();

    /// Takes over a descriptor that came to be as `origin` says. Where that fails it is closed, unless it was given.
    void adopt(int descriptor, descriptor_origin origin, boost::system::error_code& ec);

    /// The same where the place is known. Where it fails, the caller still owns the descriptor.
    void adopt(const io_place& where, int descriptor, descriptor_origin origin, boost::system::error_code& ec) noexcept;

    io_place place() const { return core_ ? core_->where() : place_of(executor_); }
    static io_place place_of(const executor_type& executor);

    /// An operation for any token. The arguments make the Action.
    template <class Signature, class Action, class Token>
    auto start(Token&& token, Action action) const
    {
        return boost::asio::async_initiate<Token, Signature>(detail::operation_initiation(executor_, core_), token,
                                                             std::move(action));
    }

private:
    struct close_initiation : private std::pair<executor_type, descriptor_ptr>
    {
        using executor_type = handle::executor_type;
        close_initiation(std::pair<executor_type, descriptor_ptr> of) : pair(std::move(of)) {}
        const executor_type& get_executor() const noexcept { return first; }

        template <class Handler>
        void operator()(Handler&& handler) const
        {
            detail::close_operation<std::decay_t<Handler>>::start(std::decay_t<Handler>(std::forward<Handler>(handler)),
                                                                  first, second);
        }
    };

    executor_type executor_;
    descriptor_ptr core_;
};

} // namespace zsync
