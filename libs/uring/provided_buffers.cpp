// SPDX-License-Identifier: BSL-1.0
#include "provided_buffers.hpp"

#include "ring.hpp"

#include <new>
#include <utility>

#include <sys/mman.h>

namespace zsync::detail
{

namespace
{

std::size_t ring_bytes(const buffer_pool& pool) noexcept
{
    return pool.count() * sizeof(io_uring_buf);
}

} // namespace

provided_buffers::provided_buffers(buffer_pool_ptr pool)
    : pool_(std::move(pool)),
      mask_(pool_->count() - 1),
      order_(pool_->count()),
      position_(pool_->count()),
      is_out_(pool_->count())
{
    void* const memory =
        ::mmap(nullptr, ring_bytes(*pool_), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        throw std::bad_alloc();
    shared_ = static_cast<io_uring_buf_ring*>(memory);
    start_over();
}

provided_buffers::~provided_buffers()
{
    pool_->forget_filler();
    ::munmap(shared_, ring_bytes(*pool_));
}

int provided_buffers::register_with(ring& where) noexcept
{
    if (registered_) [[likely]]
        return 0;
    const int result = where.register_buffers(shared_, pool_->count(), pool_->group());
    registered_ = result >= 0;
    return result;
}

void provided_buffers::start_over() noexcept
{
    registered_ = false;
    available_ = 0;
    tail_ = 0;
    for (std::uint32_t index = 0; index != pool_->count(); ++index)
        if (!is_out_[index])
            add(index);
    publish();
}

unsigned provided_buffers::refill() noexcept
{
    std::uint32_t index = pool_->take_back();
    if (index == buffer_pool::none)
        return available_;
    while (index != buffer_pool::none)
    {
        const std::uint32_t next = pool_->at(index).next;
        add(index);
        index = next;
    }
    publish();
    return available_;
}

void provided_buffers::take_empty(ring& where, std::uint32_t index) noexcept
{
    const int head = where.buffers_head(pool_->group());
    // Before 6.8 nobody tells; those kernels have taken what they name.
    if (head >= 0 && static_cast<std::int16_t>(static_cast<std::uint16_t>(head) - position_[index]) <= 0)
        return;
    hand_out(index);
    add(index);
    publish();
}

void provided_buffers::add(std::uint32_t index) noexcept
{
    const auto number = static_cast<std::uint16_t>(index);
    io_uring_buf& place = shared_->bufs[tail_ & mask_];
    place.addr = reinterpret_cast<std::uintptr_t>(pool_->data(index));
    place.len = static_cast<std::uint32_t>(pool_->bytes());
    place.bid = number;
    order_[tail_ & mask_] = number;
    position_[index] = tail_++;
    is_out_[index] = false;
    ++available_;
}

// Release: the kernel sees the entries before the tail, and whoever had the buffers is done with them.
void provided_buffers::publish() noexcept
{
    __atomic_store_n(&shared_->tail, tail_, __ATOMIC_RELEASE);
}

} // namespace zsync::detail
