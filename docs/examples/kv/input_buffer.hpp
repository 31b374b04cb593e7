// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

namespace kv
{

/// Keeps the bytes that have come in and have not been used yet, in one piece. Grows with what really comes, not with
/// what a client announces. Never blocks. Not thread safe.
class input_buffer
{
public:
    static constexpr std::size_t first_size = 16 * 1024; // of a read, and of an idle session

    /// `most`: the longest request. There is always room for it and one more read.
    explicit input_buffer(std::size_t most) : most_(most + first_size), bytes_(first_size) {}

    /// Where to read to: at least one byte, after compact(). Never more than one request's room.
    std::span<char> room()
    {
        if (end_ == bytes_.size())
            bytes_.resize(std::min(most_, 2 * bytes_.size()));
        return {bytes_.data() + end_, bytes_.size() - end_};
    }

    /// Says how many bytes have been read to room().
    void commit(std::size_t bytes) noexcept { end_ += bytes; }

    /// What has not been consumed.
    std::string_view view() const noexcept { return {bytes_.data() + begin_, end_ - begin_}; }

    void consume(std::size_t bytes) noexcept { begin_ += bytes; }

    /// Moves what is left to the begin, and gives memory back if nothing is and it holds more than `kept` bytes.
    void compact(std::size_t kept)
    {
        if (begin_ != 0)
            std::memmove(bytes_.data(), bytes_.data() + begin_, end_ - begin_);
        end_ -= begin_;
        begin_ = 0;
        if (end_ == 0 && bytes_.size() > kept)
            bytes_ = std::vector<char>(first_size);
    }

private:
    std::size_t most_;
    std::vector<char> bytes_;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
};

} // namespace kv
