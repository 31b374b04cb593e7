// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/light_mutex.hpp>

#include <boost/smart_ptr/intrusive_ptr.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace zsync
{

class engine;

/// Says how many buffers a pool has, and how long each is.
struct buffer_options
{
    /// Rounded up to a power of two, at most 32768. Chosen: 4 MiB of address space, which takes memory page by page as
    /// data arrives.
    unsigned count = 1024;

    /// Bytes of each, at least 256; what one buffer holds of a datagram, or of a message.
    std::size_t bytes = 4096;
};

/// Buffers that an engine fills with what arrives, and that go back to it when their view is destroyed.
///
/// Made by engine::make_buffers(). Counted: it lives as long as its engine or one view of it, so that a view stays
/// valid after the context is destroyed. Thread safety: give_back() and the counting may be called from any thread;
/// data() and the entry of a buffer belong to whoever has the buffer.
class buffer_pool
{
public:
    using pointer = boost::intrusive_ptr<buffer_pool>;

    static constexpr std::uint32_t none = ~std::uint32_t{0};

    /// What is noted of a buffer: while it is in a list, the next one; while it holds data, how many bytes.
    struct entry
    {
        std::uint32_t next = none;
        std::uint32_t bytes = 0;
    };

    /// @param group the engine's own name for it. @throws std::bad_alloc
    buffer_pool(const buffer_options& options, engine& filler, std::uint16_t group);
    buffer_pool(const buffer_pool&) = delete;
    buffer_pool& operator=(const buffer_pool&) = delete;

    unsigned count() const noexcept { return count_; }
    std::size_t bytes() const noexcept { return bytes_; }
    std::uint16_t group() const noexcept { return group_; }
    char* data(std::uint32_t index) const noexcept { return memory_ + index * bytes_; }
    entry& at(std::uint32_t index) noexcept { return entries_[index]; }

    /// Returns a buffer to the engine. A few instructions; wakes the engine if a receive waits for buffers.
    void give_back(std::uint32_t index) noexcept;

    // For the engine that fills it:

    /// Takes all that were given back: the first of a list.
    std::uint32_t take_back() noexcept { return returned_.load() == none ? none : returned_.exchange(none); }

    /// Says whether somebody waits for buffers. To be set before the last take_back() that finds none.
    void set_starved(bool starved) noexcept { starved_.store(starved); }

    /// Says which engine is to be woken when buffers come back that are waited for.
    void set_filler(engine& filler) noexcept;

    /// The engine is about to go.
    void forget_filler() noexcept;

private:
    ~buffer_pool();

    friend void intrusive_ptr_add_ref(buffer_pool* pool) noexcept
    {
        pool->references_.fetch_add(1, std::memory_order_relaxed);
    }

    friend void intrusive_ptr_release(buffer_pool* pool) noexcept
    {
        if (pool->references_.fetch_sub(1, std::memory_order_acq_rel) == 1)
            delete pool;
    }

    const unsigned count_;
    const std::size_t bytes_;
    const std::uint16_t group_;
    std::atomic<std::uint32_t> references_{0};

    // A stack: any thread pushes, the engine takes it whole, so that no entry can come back between a look and an
    // exchange. Sequentially consistent with `starved_`: either who gives back sees that the engine waits, or the
    // engine sees the buffer.
    std::atomic<std::uint32_t> returned_{none};
    std::atomic<bool> starved_{false}; // the engine writes

    light_mutex mutex_; // guards filler_, whose wake() is called under it
    engine* filler_;

    std::unique_ptr<entry[]> entries_;
    char* memory_;
};

using buffer_pool_ptr = buffer_pool::pointer;

} // namespace zsync
