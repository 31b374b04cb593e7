// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/operation.hpp>
#include <zsync/core/record_operation.hpp>

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>

#include <sys/socket.h>
#include <sys/uio.h>

namespace zsync::detail
{

/// How many buffers one system call takes: more are left to the next. Chosen so that an operation with such a sequence
/// still fits what is recycled, 1024 bytes.
inline constexpr std::size_t most_buffers = 16;

/// How many bytes: what fits a record's result. Linux moves no more at once either.
inline constexpr std::size_t most_transfer_bytes = 0x7ffff000;

/// The buffers of one transfer, in the kernel's form. A sequence that is one buffer by its type takes no room here.
template <class Buffers>
class kernel_buffers
{
    template <class T>
    static constexpr bool is_single =
        std::is_convertible_v<T, boost::asio::const_buffer> || std::is_convertible_v<T, boost::asio::mutable_buffer>;

public:
    static constexpr bool single = is_single<Buffers>;

    kernel_buffers() noexcept {}

    // Actions move until they describe: a copy has nothing to take over.
    kernel_buffers(const kernel_buffers&) noexcept {}
    kernel_buffers& operator=(const kernel_buffers&) noexcept { return *this; }

    /// Describes them in the record's `address` and `length`: a single buffer, or elements in array(). Returns the
    /// bytes. `true` in `many` if it is an array.
    std::size_t describe(const Buffers& buffers, operation& record, bool& many) noexcept
    {
        std::size_t bytes = 0;
        std::size_t used = 0;
        boost::asio::const_buffer last;
        const auto end = boost::asio::buffer_sequence_end(buffers);
        for (auto it = boost::asio::buffer_sequence_begin(buffers); it != end && used < most_buffers; ++it)
        {
            const boost::asio::const_buffer next(*it);
            const std::size_t size = std::min(next.size(), most_transfer_bytes - bytes);
            if (size == 0)
                continue;
            bytes += size;
            last = boost::asio::const_buffer(next.data(), size);
            if constexpr (!single)
                array_[used] = {const_cast<void*>(last.data()), size};
            ++used;
        }
        many = used > 1;
        if constexpr (!single)
        {
            if (many)
            {
                record.address = array_.data();
                record.length = static_cast<std::uint32_t>(used);
                return bytes;
            }
        }
        record.address = const_cast<void*>(last.data());
        record.length = static_cast<std::uint32_t>(last.size());
        return bytes;
    }

private:
    struct nothing
    {
    };
    [[no_unique_address]] std::conditional_t<single, nothing, std::array<iovec, most_buffers>> array_;
};

/// One read or write of whatever is not a socket, as an Action.
template <direction Way, bool AtOffset, class Buffers>
class file_transfer
{
public:
    static constexpr direction way = AtOffset ? direction::none : Way;

    explicit file_transfer(const Buffers& buffers, std::uint64_t offset = operation::current_position)
        : buffers_(buffers), offset_(offset)
    {
    }

    bool describe(operation& record) noexcept
    {
        bool many = false;
        wanted_ = kernel_.describe(buffers_, record, many) != 0;
        if constexpr (Way == direction::in)
            record.code = many ? opcode::readv : opcode::read;
        else
            record.code = many ? opcode::writev : opcode::write;
        record.offset = offset_;
        return wanted_;
    }

    std::tuple<boost::system::error_code, std::size_t> outcome(const operation& record) const noexcept
    {
        if (record.result < 0)
            return {record_error(record), 0};
        if (Way == direction::in && wanted_ && record.result == 0)
            return {boost::asio::error::eof, 0};
        return {boost::system::error_code(), static_cast<std::size_t>(record.result)};
    }

private:
    Buffers buffers_;
    std::uint64_t offset_;
    bool wanted_ = false;
    [[no_unique_address]] kernel_buffers<Buffers> kernel_;
};

/// One receive or send of a stream socket, as an Action. `waits_when_drained`: see operation.
template <direction Way, class Buffers>
class stream_transfer
{
public:
    static constexpr direction way = Way;

    /// `zero_copy_from`: a send of at least so many bytes is one without a copy.
    stream_transfer(const Buffers& buffers, int flags, bool waits_when_drained,
                    std::size_t zero_copy_from = most_transfer_bytes + 1)
        : buffers_(buffers), zero_copy_from_(zero_copy_from), flags_(flags), waits_when_drained_(waits_when_drained)
    {
    }

    bool describe(operation& record) noexcept
    {
        bool many = false;
        const std::size_t bytes = kernel_.describe(buffers_, record, many);
        wanted_ = bytes != 0;
        if (many)
        {
            message_.msg_iov = static_cast<iovec*>(record.address);
            message_.msg_iovlen = record.length;
            record.address = &message_;
            record.length = 1;
        }
        if constexpr (Way == direction::in)
        {
            record.code = many ? opcode::receive_message : opcode::receive;
            record.flags = static_cast<std::uint32_t>(flags_);
            record.waits_when_drained = waits_when_drained_;
        }
        else
        {
            if (bytes >= zero_copy_from_) [[unlikely]]
                record.code = many ? opcode::send_message_zero_copy : opcode::send_zero_copy;
            else
                record.code = many ? opcode::send_message : opcode::send;
            record.flags = static_cast<std::uint32_t>(flags_) | MSG_NOSIGNAL;
        }
        return wanted_;
    }

    std::tuple<boost::system::error_code, std::size_t> outcome(const operation& record) const noexcept
    {
        if (record.result < 0)
            return {record_error(record), 0};
        if (Way == direction::in && wanted_ && record.result == 0)
            return {boost::asio::error::eof, 0};
        return {boost::system::error_code(), static_cast<std::size_t>(record.result)};
    }

private:
    Buffers buffers_;
    std::size_t zero_copy_from_;
    int flags_;
    bool waits_when_drained_;
    bool wanted_ = false;
    msghdr message_{};
    [[no_unique_address]] kernel_buffers<Buffers> kernel_;
};

/// Waits for poll(2) events, as an Action.
class poll_request
{
public:
    static constexpr direction way = direction::none;
    explicit poll_request(std::uint32_t events) noexcept : events_(events) {}

    bool describe(operation& record) const noexcept
    {
        record.code = opcode::poll;
        record.flags = events_;
        return true;
    }

    static std::tuple<boost::system::error_code> outcome(const operation& record) noexcept
    {
        return {record_error(record)};
    }

private:
    std::uint32_t events_;
};

} // namespace zsync::detail
