// SPDX-License-Identifier: BSL-1.0
#pragma once

// The Actions of those operations whose answer or request is more than bytes: a sender, a receiver, flags.

#include <zsync/uring/detail/asio_actions.hpp>

namespace zsync::detail
{

template <class Sequence, class Endpoint>
class receive_from_action
{
public:
    receive_from_action(const Sequence& buffers, Endpoint& sender, int flags)
        : buffers_(buffers), sender_(sender), flags_(flags)
    {
    }

    bool done_at_once(operation&) const noexcept { return false; }

    void describe(operation& op) noexcept
    {
        msghdr& message = buffers_.message();
        message.msg_name = sender_.data();
        message.msg_namelen = static_cast<socklen_t>(sender_.capacity());
        op.code = opcode::receive_message;
        op.address = &message;
        op.flags = message_flags(flags_);
        // Urgent data is tried first, and waited for as such: for any data, the ring would wait by itself.
        if (flags_ & MSG_OOB)
            op.flags |= MSG_DONTWAIT;
    }

    template <class Handler>
    auto outcome(Handler& handler, operation& op, bool wanted)
    {
        if (op.result >= 0 && wanted)
            sender_.resize(buffers_.message().msg_namelen);
        return bind_transfer(handler, error_of(op), op);
    }

private:
    gathered_buffers<boost::asio::mutable_buffer, Sequence> buffers_;
    Endpoint& sender_;
    int flags_;
};

template <class Sequence, class Endpoint>
class send_to_action
{
public:
    send_to_action(const Sequence& buffers, const Endpoint& receiver, int flags)
        : buffers_(buffers), receiver_(receiver), flags_(flags)
    {
    }

    bool done_at_once(operation&) const noexcept { return false; }

    void describe(operation& op) noexcept
    {
        msghdr& message = buffers_.message();
        message.msg_name = receiver_.data();
        message.msg_namelen = static_cast<socklen_t>(receiver_.size());
        op.code = opcode::send_message;
        op.address = &message;
        op.flags = message_flags(flags_) | MSG_NOSIGNAL;
    }

    template <class Handler>
    auto outcome(Handler& handler, operation& op, bool)
    {
        return bind_transfer(handler, error_of(op), op);
    }

private:
    gathered_buffers<boost::asio::const_buffer, Sequence> buffers_;
    Endpoint receiver_;
    int flags_;
};

/// A receive that tells what the kernel says of the message: MSG_TRUNC, MSG_EOR and others.
template <class Sequence>
class receive_with_flags_action
{
public:
    receive_with_flags_action(const Sequence& buffers, int flags, int& out_flags)
        : buffers_(buffers), flags_(flags), out_flags_(out_flags)
    {
    }

    bool done_at_once(operation&) const noexcept { return false; }

    void describe(operation& op) noexcept
    {
        op.code = opcode::receive_message;
        op.address = &buffers_.message();
        op.flags = message_flags(flags_);
        op.ready_first = flags_ & MSG_OOB ? POLLPRI : 0;
    }

    template <class Handler>
    auto outcome(Handler& handler, operation& op, bool wanted)
    {
        if (wanted)
            out_flags_ = op.result >= 0 ? buffers_.message().msg_flags : 0;
        return bind_transfer(handler, error_of(op), op);
    }

private:
    gathered_buffers<boost::asio::mutable_buffer, Sequence> buffers_;
    int flags_;
    int& out_flags_;
};

} // namespace zsync::detail
