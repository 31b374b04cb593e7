// SPDX-License-Identifier: BSL-1.0
#pragma once

// What the asynchronous operations of a stock object ask of the kernel, and what they tell their handlers: the Actions
// of native_operation. Here: a socket's send and receive, a descriptor's write and read, and waits.

#include <zsync/uring/detail/asio_buffers.hpp>

#include <boost/asio/detail/bind_handler.hpp>
#include <boost/asio/error.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include <poll.h>
#include <sys/socket.h>

namespace zsync::detail
{

/// Returns the error that a finished record stands for, as Asio would have reported it.
inline boost::system::error_code error_of(const operation& op) noexcept
{
    if (op.result >= 0)
        return {};
    return {-op.result, boost::asio::error::get_system_category()};
}

/// What the handler of an operation without a count is told.
template <class Handler>
auto bind_error(Handler& handler, const boost::system::error_code& error)
{
    return boost::asio::detail::binder1<Handler, boost::system::error_code>(handler, error);
}

/// What the handler of a transfer is told: error and bytes.
template <class Handler>
auto bind_transfer(Handler& handler, const boost::system::error_code& error, const operation& op)
{
    return boost::asio::detail::binder2<Handler, boost::system::error_code, std::size_t>(
        handler, error, static_cast<std::size_t>(std::max(op.result, 0)));
}

/// The flags of a send or receive as the kernel is to see them. Asio's descriptors do not block, and on those
/// MSG_WAITALL waits for nothing.
constexpr std::uint32_t message_flags(int flags) noexcept
{
    return static_cast<std::uint32_t>(flags & ~MSG_WAITALL);
}

/// On a stream an empty transfer does nothing, and a receive of nothing is its end. On every other socket both are
/// about a message without content.
template <class Sequence>
class receive_action
{
public:
    receive_action(const Sequence& buffers, int flags, bool of_stream)
        : buffers_(buffers), flags_(flags), of_stream_(of_stream)
    {
    }

    bool done_at_once(operation&) const noexcept { return of_stream_ && buffers_.empty(); }

    void describe(operation& op) noexcept
    {
        buffers_.describe_message(op, opcode::receive, opcode::receive_message);
        op.flags = message_flags(flags_);
        op.ready_first = flags_ & MSG_OOB ? POLLPRI : 0;
    }

    template <class Handler>
    auto outcome(Handler& handler, operation& op, bool)
    {
        auto error = error_of(op);
        if (op.result == 0 && of_stream_ && !buffers_.empty())
            error = boost::asio::error::eof;
        return bind_transfer(handler, error, op);
    }

private:
    transfer_buffers<boost::asio::mutable_buffer, Sequence> buffers_;
    int flags_;
    bool of_stream_;
};

template <class Sequence>
class send_action
{
public:
    send_action(const Sequence& buffers, int flags, bool of_stream)
        : buffers_(buffers), flags_(flags), of_stream_(of_stream)
    {
    }

    bool done_at_once(operation&) const noexcept { return of_stream_ && buffers_.empty(); }

    void describe(operation& op) noexcept
    {
        buffers_.describe_message(op, opcode::send, opcode::send_message);
        op.flags = message_flags(flags_) | MSG_NOSIGNAL;
    }

    template <class Handler>
    auto outcome(Handler& handler, operation& op, bool)
    {
        return bind_transfer(handler, error_of(op), op);
    }

private:
    transfer_buffers<boost::asio::const_buffer, Sequence> buffers_;
    int flags_;
    bool of_stream_;
};

/// Of a descriptor, at its own position if it has one. An empty transfer does nothing, even on a closed descriptor.
template <class Sequence>
class read_action
{
public:
    explicit read_action(const Sequence& buffers) : buffers_(buffers) {}

    bool done_at_once(operation&) const noexcept { return buffers_.empty(); }
    void describe(operation& op) noexcept { buffers_.describe_vector(op, opcode::read, opcode::readv); }

    template <class Handler>
    auto outcome(Handler& handler, operation& op, bool)
    {
        boost::system::error_code error;
        if (!buffers_.empty())
            error = error_of(op);
        if (op.result == 0 && !buffers_.empty())
            error = boost::asio::error::eof;
        return bind_transfer(handler, error, op);
    }

private:
    transfer_buffers<boost::asio::mutable_buffer, Sequence> buffers_;
};

template <class Sequence>
class write_action
{
public:
    explicit write_action(const Sequence& buffers) : buffers_(buffers) {}

    bool done_at_once(operation&) const noexcept { return buffers_.empty(); }
    void describe(operation& op) noexcept { buffers_.describe_vector(op, opcode::write, opcode::writev); }

    template <class Handler>
    auto outcome(Handler& handler, operation& op, bool)
    {
        return bind_transfer(handler, buffers_.empty() ? boost::system::error_code() : error_of(op), op);
    }

private:
    transfer_buffers<boost::asio::const_buffer, Sequence> buffers_;
};

/// Waits for readiness, for async_wait.
class ready_action
{
public:
    explicit ready_action(std::uint32_t events) noexcept : events_(events) {}

    bool done_at_once(operation&) const noexcept { return false; }

    void describe(operation& op) const noexcept
    {
        op.code = opcode::poll;
        op.flags = events_;
    }

    template <class Handler>
    auto outcome(Handler& handler, operation& op, bool)
    {
        return bind_error(handler, error_of(op));
    }

private:
    std::uint32_t events_;
};

/// The same for Asio's null_buffers: a transfer of nothing.
class ready_to_transfer_action : public ready_action
{
public:
    using ready_action::ready_action;

    template <class Handler>
    auto outcome(Handler& handler, operation& op, bool)
    {
        op.result = std::min(op.result, 0); // events, not bytes
        return bind_transfer(handler, error_of(op), op);
    }
};

} // namespace zsync::detail
