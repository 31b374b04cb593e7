// SPDX-License-Identifier: BSL-1.0
#include <zsync/core/buffer_pool.hpp>

#include <zsync/core/engine.hpp>

#include <algorithm>
#include <bit>
#include <mutex>
#include <new>

#include <sys/mman.h>

namespace zsync
{

namespace
{

constexpr unsigned most_buffers = 32768; // what a kernel's ring of them takes
constexpr std::size_t least_bytes = 256;
constexpr std::size_t most_bytes = std::size_t{1} << 30;

} // namespace

buffer_pool::buffer_pool(const buffer_options& options, engine& filler, std::uint16_t group)
    : count_(std::bit_ceil(std::clamp(options.count, 1u, most_buffers))),
      bytes_((std::clamp(options.bytes, least_bytes, most_bytes) + 63) / 64 * 64),
      group_(group),
      filler_(&filler),
      entries_(new entry[count_])
{
    void* const memory =
        ::mmap(nullptr, count_ * bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        throw std::bad_alloc();
    memory_ = static_cast<char*>(memory);
}

buffer_pool::~buffer_pool()
{
    ::munmap(memory_, count_ * bytes_);
}

void buffer_pool::give_back(std::uint32_t index) noexcept
{
    entry& place = at(index);
    place.next = returned_.load(std::memory_order_relaxed);
    while (!returned_.compare_exchange_weak(place.next, index))
    {
    }
    if (!starved_.load()) [[likely]]
        return;
    const std::lock_guard held(mutex_);
    if (filler_)
        filler_->wake();
}

void buffer_pool::set_filler(engine& filler) noexcept
{
    const std::lock_guard held(mutex_);
    filler_ = &filler;
}

void buffer_pool::forget_filler() noexcept
{
    const std::lock_guard held(mutex_);
    filler_ = nullptr;
}

} // namespace zsync
