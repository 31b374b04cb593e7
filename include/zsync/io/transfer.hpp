// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/io/buffers.hpp>
#include <zsync/io/detail/steps.hpp>

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

/// Some buffers, each held as its type demands.
template <class... Held>
class held_pieces
{
public:
    static constexpr std::size_t count = sizeof...(Held);

    explicit held_pieces(Held&&... pieces) noexcept : pieces_(std::move(pieces)...) {}

    iovec first() const noexcept { return std::get<0>(pieces_).piece(); }

    template <class Visitor>
    void for_each(Visitor visit) const
    {
        std::apply([&](const auto&... each) { (visit(each.piece()), ...); }, pieces_);
    }

private:
    std::tuple<Held...> pieces_;
};

/// A buffer sequence of Asio's, by value.
template <class Sequence>
class held_sequence
{
public:
    static constexpr std::size_t count =
        16; // a system call takes so many of them; chosen, as transfer.hpp of core does

    explicit held_sequence(Sequence sequence) : sequence_(std::move(sequence)) {}

    template <class Visitor>
    void for_each(Visitor visit) const
    {
        const auto end = boost::asio::buffer_sequence_end(sequence_);
        for (auto it = boost::asio::buffer_sequence_begin(sequence_); it != end; ++it)
        {
            const boost::asio::const_buffer each(*it);
            visit(iovec{const_cast<void*>(each.data()), each.size()});
        }
    }

private:
    Sequence sequence_;
};

/// The part of some pieces that has not moved yet, in the kernel's form.
template <direction Way, class Pieces>
class remainder
{
    static constexpr bool single = Pieces::count == 1;
    static constexpr std::size_t most_pieces = std::min<std::size_t>(Pieces::count, 16);

public:
    remainder() noexcept {}

    // Operations move before they begin: there is nothing described yet that could move along.
    remainder(remainder&&) noexcept {}
    remainder& operator=(remainder&&) noexcept { return *this; }

    /// Describes what comes after the first `moved` bytes. False: nothing does.
    template <class Target>
    bool describe(const Pieces& pieces, std::size_t moved, const Target& to, operation& record) noexcept
    {
        const std::size_t used = gather(pieces, moved);
        if (used == 0)
            return false;
        const bool socket = to.is_socket();
        record.descriptor = to.native();
        if (socket)
        {
            record.flags = Way == direction::in ? 0 : MSG_NOSIGNAL;
            record.waits_when_drained = Way == direction::in && to.is_local_socket();
        }
        if (single || used == 1)
        {
            if constexpr (Way == direction::in)
                record.code = socket ? opcode::receive : opcode::read;
            else
                record.code = socket ? opcode::send : opcode::write;
            record.address = parts_[0].iov_base;
            record.length = static_cast<std::uint32_t>(parts_[0].iov_len);
            return true;
        }
        if constexpr (!single)
        {
            record.address = parts_.data();
            record.length = static_cast<std::uint32_t>(used);
            if (socket)
            {
                message_.value = {};
                message_.value.msg_iov = parts_.data();
                message_.value.msg_iovlen = used;
                record.address = &message_.value;
                record.length = 1;
            }
            if constexpr (Way == direction::in)
                record.code = socket ? opcode::receive_message : opcode::readv;
            else
                record.code = socket ? opcode::send_message : opcode::writev;
        }
        return true;
    }

private:
    static constexpr std::size_t most_bytes = 0x7ffff000; // that Linux moves at once

    // Fills parts_, and returns how many there are.
    std::size_t gather(const Pieces& pieces, std::size_t moved) noexcept
    {
        if constexpr (single)
        {
            const iovec piece = pieces.first();
            parts_[0] = {static_cast<char*>(piece.iov_base) + moved, std::min(piece.iov_len - moved, most_bytes)};
            return parts_[0].iov_len != 0;
        }
        std::size_t skip = moved;
        std::size_t room = most_bytes;
        std::size_t used = 0;
        pieces.for_each(
            [&](iovec piece)
            {
                const std::size_t skipped = std::min(skip, piece.iov_len);
                skip -= skipped;
                const std::size_t size = std::min(piece.iov_len - skipped, room);
                if (size == 0 || used == most_pieces)
                    return;
                room -= size;
                parts_[used++] = {static_cast<char*>(piece.iov_base) + skipped, size};
            });
        return used;
    }

    struct nothing
    {
    };
    struct message
    {
        msghdr value;
    };

    std::array<iovec, most_pieces> parts_;
    [[no_unique_address]] std::conditional_t<single, nothing, message> message_;
};

/// When a transfer has done enough.
enum class reach
{
    some, ///< after one system call
    all,  ///< when all has moved; a read then fails with eof at the end
};

/// Moves bytes between buffers and a descriptor.
template <direction Way, reach Reach, class Target, class Pieces>
class transfer_steps : public steps_base
{
public:
    using value_type = std::size_t;
    static constexpr bool records_only = true;

    template <class To>
    transfer_steps(const To& target, Pieces&& pieces, std::uint64_t offset = operation::current_position)
        : target_(target), pieces_(std::move(pieces)), offset_(offset)
    {
    }

    int enter(const settings& with) noexcept { return target_.enter(with); }
    void leave() noexcept { target_.leave(); }

    next begin(operation& record, const settings&) noexcept { return describe(record); }

    next proceed(operation& record, const settings&) noexcept
    {
        if (record.result > 0) [[likely]]
        {
            moved_ += static_cast<std::size_t>(record.result);
            return Reach == reach::some ? next::finished : describe(record);
        }
        if (record.result < 0)
            return fail(-record.result);
        if constexpr (Way == direction::out)
            return fail(EIO); // some devices take nothing, and say nothing
        else if constexpr (Reach == reach::all)
            return fail(boost::asio::error::eof);
        else
            return next::finished;
    }

    std::size_t value() const noexcept { return moved_; }

private:
    next describe(operation& record) noexcept
    {
        if (!remainder_.describe(pieces_, moved_, target_, record))
            return next::finished;
        record.offset = offset_ == operation::current_position ? offset_ : offset_ + moved_;
        return next::record;
    }

    [[no_unique_address]] Target target_;
    Pieces pieces_;
    std::uint64_t offset_;
    std::size_t moved_ = 0;
    remainder<Way, Pieces> remainder_;
};

} // namespace zsync::detail
