// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/io/buffers.hpp>
#include <zsync/io/detail/steps.hpp>
#include <zsync/net/endpoint.hpp>

#include <cstddef>
#include <utility>

#include <sys/socket.h>

namespace zsync::detail
{

/// Sends or receives one datagram. `peer` is whom to send to, or where the sender is to be stored; it may be null for a
/// receive.
template <direction Way, class Bytes>
class datagram_steps : public steps_base
{
public:
    using value_type = std::size_t;
    static constexpr bool records_only = true;

    datagram_steps(handle_target<Way> target, Bytes bytes, const endpoint& to, endpoint* from)
        : target_(std::move(target)), bytes_(std::move(bytes)), peer_(to), sender_(from)
    {
    }

    int enter(const settings& with) noexcept { return target_.enter(with); }
    void leave() noexcept { target_.leave(); }

    next begin(operation& record, const settings&) noexcept
    {
        piece_ = bytes_.piece();
        message_ = {};
        message_.msg_iov = &piece_;
        message_.msg_iovlen = 1;
        message_.msg_name = peer_.data();
        message_.msg_namelen = static_cast<socklen_t>(Way == direction::in ? endpoint::capacity() : peer_.size());
        record.descriptor = target_.native();
        record.code = Way == direction::in ? opcode::receive_message : opcode::send_message;
        record.address = &message_;
        record.length = 1;
        record.flags = Way == direction::in ? 0 : MSG_NOSIGNAL;
        return next::record;
    }

    next proceed(operation& record, const settings&)
    {
        if (record.result < 0)
            return fail(-record.result);
        moved_ = static_cast<std::size_t>(record.result);
        if (sender_)
        {
            *peer_.size_address() = message_.msg_namelen;
            *sender_ = peer_;
        }
        return next::finished;
    }

    std::size_t value() const noexcept { return moved_; }

private:
    handle_target<Way> target_;
    Bytes bytes_;
    endpoint peer_;
    endpoint* sender_;
    std::size_t moved_ = 0;
    iovec piece_{};
    msghdr message_{};
};

} // namespace zsync::detail
