// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/io/detail/steps.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include <sys/types.h>

namespace zsync::detail
{

/// The system call that copies inside the kernel.
enum class copy_call : std::uint8_t
{
    send_file,
    copy_file_range,
};

/// Copies from one descriptor to another without a detour over the program's memory, where the kernel can; else by
/// reading and writing.
///
/// io_uring has no opcode for either call. So each is made here, on the caller's thread, for a bounded slice at a time,
/// with a `nop` between two slices that lets whatever else is ready go first.
class copy_steps : public steps_base
{
public:
    using value_type = std::size_t;
    static constexpr bool records_only = true;

    /// One slice. Chosen: what is cached is copied in some 100 us.
    static constexpr std::size_t slice_bytes = std::size_t{1} << 20;

    /// An offset of none: the descriptor's own position, which moves.
    copy_steps(copy_call call, const descriptor_ptr& to, const descriptor_ptr& from, std::size_t count,
               std::optional<std::uint64_t> to_offset, std::optional<std::uint64_t> from_offset) noexcept
        : call_(call), to_(to), from_(from), left_(count), to_offset_(to_offset), from_offset_(from_offset)
    {
    }

    int enter(const settings& with) noexcept;
    void leave() noexcept;
    next begin(operation& record, const settings& with);
    next proceed(operation& record, const settings& with);
    std::size_t value() const noexcept { return moved_; }

private:
    enum class state : std::uint8_t
    {
        calling,
        reading,
        writing,
    };

    static void ask(operation& record, opcode code, const descriptor_core& of) noexcept;
    next call(operation& record);
    ssize_t make_call(std::size_t size) const noexcept;
    next read(operation& record);
    next write(operation& record) noexcept;
    bool would_block(const settings& with) const noexcept;

    copy_call call_;
    state state_ = state::calling;
    descriptor_ptr to_;
    descriptor_ptr from_;
    std::size_t left_;
    std::optional<std::uint64_t> to_offset_;
    std::optional<std::uint64_t> from_offset_;
    std::size_t moved_ = 0;

    // For reading and writing; made when they are needed.
    std::unique_ptr<std::byte[]> buffer_;
    std::size_t filled_ = 0;
    std::size_t written_ = 0;
};

} // namespace zsync::detail
