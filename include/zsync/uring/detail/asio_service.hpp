// SPDX-License-Identifier: BSL-1.0
#pragma once

// What the services of native objects share: their context's ring, and how an operation is started on it.

#include <zsync/uring/detail/asio_ops.hpp>
#include <zsync/uring/detail/uring_service.hpp>

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/execution_context.hpp>

#include <cerrno>
#include <cstdint>
#include <memory>
#include <new>
#include <utility>

#include <poll.h>
#include <sys/socket.h>

namespace zsync::detail
{

/// Cancels one operation when its slot is emitted. Terminal, partial and total all end it: bytes that have moved are
/// reported as success instead.
class operation_canceller
{
public:
    explicit operation_canceller(uring_engine& engine) noexcept : engine_(&engine) {}

    operation_id* id() noexcept { return &id_; }

    void operator()(boost::asio::cancellation_type type) noexcept
    {
        using boost::asio::cancellation_type;
        if ((type & (cancellation_type::terminal | cancellation_type::partial | cancellation_type::total)) !=
            cancellation_type::none)
            engine_->cancel(id_);
    }

private:
    uring_engine* engine_;
    operation_id id_;
};

/// Returns the poll(2) events of one of Asio's wait types, of a socket or a descriptor; 0 for what is none.
template <class Base>
constexpr std::uint32_t events_of(typename Base::wait_type what) noexcept
{
    switch (what)
    {
    case Base::wait_read:
        return POLLIN;
    case Base::wait_write:
        return POLLOUT;
    case Base::wait_error:
        return POLLPRI;
    default:
        return 0;
    }
}

/// The events after which a receive with these flags may find something.
constexpr std::uint32_t receive_events(int flags) noexcept
{
    return flags & MSG_OOB ? POLLPRI : POLLIN;
}

/// The half of a native service that knows the ring. Where the context has none, ring() is null and the service is
/// Asio's. Descriptors of -1 are those of closed objects.
class ring_client
{
public:
    bool is_native() const noexcept { return ring_ != nullptr; }

protected:
    explicit ring_client(boost::asio::execution_context& context) : ring_(uring_service::find(context)) {}

    uring_service* ring() const noexcept { return ring_; }

    /// Ends what is in flight on a descriptor that is about to be closed, or to leave its object.
    void detach(int descriptor) noexcept
    {
        if (ring_ && descriptor >= 0)
            ring_->engine().detach_descriptor(descriptor);
    }

    /// Makes what was started to be sent go before what follows: Asio, which tries at once, would have sent it.
    void send_what_was_started(int descriptor) noexcept
    {
        if (ring_ && descriptor >= 0)
            ring_->engine().try_sends(descriptor);
    }

    /// Cancels what waits on the descriptor of an open object. A send that need not wait is none of these.
    void cancel_all(int descriptor) noexcept
    {
        ring_->engine().try_sends(descriptor);
        ring_->engine().cancel_descriptor(descriptor);
    }

    /// What an operation is started on, and how handler tracking calls it.
    struct subject
    {
        boost::asio::execution_context& context;
        const char* kind;
        void* object;
        int descriptor;
        const char* operation;
        bool waits_when_drained = false; // see operation
    };

    /// Starts an operation, or posts it where there is nothing to wait for. Completes inline only for a handler that
    /// has an immediate executor, and then tries to. Inlined by force, as are a stream's two transfers: each is called
    /// once for a type of handler, and a call costs 17 instructions.
    template <class Action, class Handler, class IoExecutor, class... Arguments>
    [[gnu::always_inline]] void start(const subject& on, Handler& handler, const IoExecutor& io_executor,
                                      Arguments&&... arguments)
    {
        const bool continues = is_continuation(handler);
        auto slot = boost::asio::get_associated_cancellation_slot(handler);

        using op = native_operation<Action, Handler, IoExecutor>;
        typename op::ptr memory = {std::addressof(handler), op::ptr::allocate(handler), 0};
        memory.p = new (memory.v) op(handler, io_executor, std::forward<Arguments>(arguments)...);
        op& started = *memory.p;
        started.descriptor = on.descriptor;
        started.waits_when_drained = on.waits_when_drained;
        started.describe(started);

        BOOST_ASIO_HANDLER_CREATION((on.context, started, on.kind, on.object, on.descriptor, on.operation));

        if (on.descriptor < 0)
            started.result = -EBADF;
        const bool done = on.descriptor < 0 || started.done_at_once(started);
        if constexpr (has_immediate_executor<Handler, IoExecutor>)
        {
            if (done || ring_->engine().perform_now(started))
            {
                memory.v = memory.p = nullptr;
                return op::complete_at_once(started, io_executor);
            }
        }
        if (done)
        {
            ring_->post(started, continues);
        }
        else
        {
            operation_id* named = nullptr;
            if (slot.is_connected())
                named = slot.template emplace<operation_canceller>(ring_->engine()).id();
            ring_->start(started, named, continues);
        }
        memory.v = memory.p = nullptr;
    }

private:
    uring_service* ring_;
};

} // namespace zsync::detail
