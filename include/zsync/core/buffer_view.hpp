// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/buffer_pool.hpp>

#include <boost/asio/buffer.hpp>

#include <cstddef>
#include <span>
#include <string_view>
#include <utility>

namespace zsync
{

/// Bytes that have arrived, in a buffer that is the view's own until it is destroyed; then the buffer goes back to
/// where it came from, to be filled again.
///
/// Move-only. May be kept, moved to and destroyed on any thread, and after its stream and its context are gone. Whoever
/// keeps many keeps others from receiving: a pool has as many buffers as buffer_options says. Never blocks.
class buffer_view
{
public:
    /// Empty.
    buffer_view() noexcept = default;

    /// For engines' clients: takes a buffer over. `data` points into it.
    buffer_view(buffer_pool_ptr pool, std::uint32_t index, char* data, std::size_t bytes) noexcept
        : pool_(std::move(pool)), data_(data), bytes_(bytes), index_(index)
    {
    }

    buffer_view(buffer_view&& other) noexcept
        : pool_(std::move(other.pool_)),
          data_(std::exchange(other.data_, nullptr)),
          bytes_(std::exchange(other.bytes_, 0)),
          index_(other.index_)
    {
    }

    buffer_view& operator=(buffer_view&& other) noexcept
    {
        if (this != &other)
        {
            reset();
            pool_ = std::move(other.pool_);
            data_ = std::exchange(other.data_, nullptr);
            bytes_ = std::exchange(other.bytes_, 0);
            index_ = other.index_;
        }
        return *this;
    }

    ~buffer_view() { reset(); }

    char* data() const noexcept { return data_; }
    std::size_t size() const noexcept { return bytes_; }
    bool empty() const noexcept { return bytes_ == 0; }
    char* begin() const noexcept { return data_; }
    char* end() const noexcept { return data_ + bytes_; }

    std::string_view text() const noexcept { return {data_, bytes_}; }
    operator std::span<char>() const noexcept { return {data_, bytes_}; }
    operator boost::asio::mutable_buffer() const noexcept { return {data_, bytes_}; }
    operator boost::asio::const_buffer() const noexcept { return {data_, bytes_}; }

    /// Leaves out the first bytes, at most all: what has been consumed.
    void remove_prefix(std::size_t bytes) noexcept
    {
        bytes = bytes < bytes_ ? bytes : bytes_;
        data_ += bytes;
        bytes_ -= bytes;
    }

    /// Gives the buffer back now. Empty afterwards.
    void reset() noexcept
    {
        if (const buffer_pool_ptr pool = std::move(pool_))
            pool->give_back(index_);
        data_ = nullptr;
        bytes_ = 0;
    }

private:
    buffer_pool_ptr pool_;
    char* data_ = nullptr;
    std::size_t bytes_ = 0;
    std::uint32_t index_ = 0;
};

} // namespace zsync
