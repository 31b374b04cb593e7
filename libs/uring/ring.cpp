// SPDX-License-Identifier: BSL-1.0
#include "ring.hpp"

#include <zsync/core/detail/from_errno.hpp>
#include <zsync/core/detail/ring_syscalls.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <span>
#include <utility>

#include <unistd.h>

namespace zsync::detail
{

namespace
{

using boost::system::error_code;

constexpr unsigned most_entries = 1u << 15; // what the kernel clamps to

constexpr unsigned always = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
constexpr unsigned cooperative = IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
constexpr unsigned single = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_R_DISABLED;

// Best first. A rung that the kernel does not know fails with EINVAL, and the next is tried.
constexpr std::array shared_ladder = {always | IORING_SETUP_SUBMIT_ALL, always};
constexpr std::array cooperative_ladder = {always | IORING_SETUP_SUBMIT_ALL | cooperative,
                                           always | IORING_SETUP_SUBMIT_ALL, always};
constexpr std::array single_ladder = {
    always | IORING_SETUP_SUBMIT_ALL | single | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
    always | IORING_SETUP_SUBMIT_ALL | single | cooperative, always | IORING_SETUP_SUBMIT_ALL | cooperative,
    always | IORING_SETUP_SUBMIT_ALL, always};

std::span<const unsigned> ladder(ring_mode mode) noexcept
{
    switch (mode)
    {
    case ring_mode::single:
        return single_ladder;
    case ring_mode::cooperative:
        return cooperative_ladder;
    case ring_mode::shared:
        break;
    }
    return shared_ladder;
}

} // namespace

error_code ring::open(unsigned entries, ring_mode mode) noexcept
{
    int result = -EINVAL;
    for (unsigned flags : ladder(mode))
    {
        io_uring_params params{};
        params.flags = flags;
        params.cq_entries = 4 * std::min(entries, most_entries);
        result = io_uring_queue_init_params(entries, &ring_, &params);
        if (result != -EINVAL)
            break;
    }
    if (result < 0)
        return from_errno(-result);
    open_ = true;
    process_ = ::getpid();

    // EXT_ARG (5.11) lets a wait carry its timeout; NODROP (5.5) keeps completions that find the queue full;
    // FAST_POLL (5.7) waits for readiness without a kernel thread; SUBMIT_STABLE (5.5) reads iovecs at submission.
    constexpr unsigned needed =
        IORING_FEAT_EXT_ARG | IORING_FEAT_NODROP | IORING_FEAT_FAST_POLL | IORING_FEAT_SUBMIT_STABLE;
    if ((ring_.features & needed) != needed)
    {
        close();
        return from_errno(ENOSYS);
    }

    io_uring_probe probe{}; // without its array
    if (detail::io_uring_register(ring_.ring_fd, IORING_REGISTER_PROBE, &probe, 0) >= 0)
        last_operation_ = probe.last_op;

    // A child must never touch its parent's ring: without the mapping it cannot.
    io_uring_ring_dontfork(&ring_);
    return {};
}

void ring::close() noexcept
{
    if (!is_here())
        return forget_after_fork();
    // The kernel closes what is left in the table when it takes the ring down, which is later.
    if (std::exchange(has_files_, false))
        detail::io_uring_register(ring_.ring_fd, IORING_UNREGISTER_FILES, nullptr, 0);
    io_uring_queue_exit(&ring_);
    open_ = false;
}

void ring::forget_after_fork() noexcept
{
    if (open_)
        ::close(ring_.ring_fd);
    open_ = false;
}

error_code ring::enable() noexcept
{
    const int result = detail::io_uring_register(ring_.ring_fd, IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
    return result < 0 ? from_errno(-result) : error_code{};
}

int ring::register_buffers(io_uring_buf_ring* buffers, unsigned entries, std::uint16_t group) noexcept
{
    io_uring_buf_reg request{};
    request.ring_addr = reinterpret_cast<std::uintptr_t>(buffers);
    request.ring_entries = entries;
    request.bgid = group;
    return detail::io_uring_register(ring_.ring_fd, IORING_REGISTER_PBUF_RING, &request, 1);
}

int ring::buffers_head(std::uint16_t group) noexcept
{
    struct
    {
        std::uint32_t group;
        std::uint32_t head;
        std::uint32_t reserved[8];
    } status{};
    status.group = group;
    const int result = detail::io_uring_register(ring_.ring_fd, register_buffer_ring_status, &status, 1);
    return result < 0 ? result : static_cast<int>(status.head & 0xffff);
}

int ring::register_files(std::span<const int> files) noexcept
{
    // Which it only reads.
    const int result = detail::io_uring_register(ring_.ring_fd, IORING_REGISTER_FILES, const_cast<int*>(files.data()),
                                                 static_cast<unsigned>(files.size()));
    has_files_ = result >= 0;
    return result;
}

unsigned ring::publish() noexcept
{
    auto& sq = ring_.sq;
    if (sq.sqe_head != sq.sqe_tail)
    {
        sq.sqe_head = sq.sqe_tail;
        __atomic_store_n(sq.ktail, sq.sqe_tail, __ATOMIC_RELEASE);
    }
    return sq.sqe_tail - __atomic_load_n(sq.khead, __ATOMIC_ACQUIRE);
}

int ring::submit(unsigned count) noexcept
{
    return detail::io_uring_enter(ring_.ring_fd, count, 0, 0);
}

int ring::submit_and_flush(unsigned count) noexcept
{
    return detail::io_uring_enter(ring_.ring_fd, count, 0, IORING_ENTER_GETEVENTS);
}

int ring::submit_and_wait(unsigned count, std::optional<std::chrono::microseconds> timeout) noexcept
{
    if (!timeout)
        return detail::io_uring_enter(ring_.ring_fd, count, 1, IORING_ENTER_GETEVENTS);

    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(*timeout);
    __kernel_timespec limit{};
    limit.tv_sec = seconds.count();
    limit.tv_nsec = std::chrono::nanoseconds(*timeout - seconds).count();
    io_uring_getevents_arg argument{};
    argument.sigmask_sz = _NSIG / 8;
    argument.ts = reinterpret_cast<std::uintptr_t>(&limit);
    return detail::io_uring_enter(ring_.ring_fd, count, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &argument,
                                  sizeof argument);
}

} // namespace zsync::detail
