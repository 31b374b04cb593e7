// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <sys/syscall.h>
#include <unistd.h>

// Only declared: <linux/io_uring.h> and liburing's copy of it share one include guard, so whichever comes first wins. A
// file that needs the structures includes the one it was written for, in any order with this header.
struct io_uring_params;

namespace zsync::detail
{

/// Makes a ring with io_uring_setup(2), available since kernel 5.1. Returns its descriptor, which the kernel marks
/// close-on-exec, or a negated errno. Never blocks. Any thread. Where
/// <liburing.h> is seen too, a call has to be qualified: the parameter's type brings in the function of that name.
inline int io_uring_setup(unsigned entries, ::io_uring_params* params) noexcept
{
    const long result = ::syscall(SYS_io_uring_setup, entries, params);
    return result < 0 ? -errno : static_cast<int>(result);
}

/// Submits and waits with io_uring_enter(2). Returns how many entries the kernel took, or a negated errno. Blocks the
/// thread while fewer than `min_complete` completions are there and `flags` has IORING_ENTER_GETEVENTS; not restarted
/// after a signal (EINTR).
/// `arg` is a signal mask, or with IORING_ENTER_EXT_ARG (5.11) an io_uring_getevents_arg; `arg_bytes` its size.
inline int io_uring_enter(int fd, unsigned to_submit, unsigned min_complete, unsigned flags, const void* arg = nullptr,
                          std::size_t arg_bytes = 0) noexcept
{
    const long result = ::syscall(SYS_io_uring_enter, fd, to_submit, min_complete, flags, arg, arg_bytes);
    return result < 0 ? -errno : static_cast<int>(result);
}

/// Registers something with a ring, io_uring_register(2). Returns what the opcode returns, or a negated errno. Blocks
/// the thread for those opcodes that quiesce the ring.
inline int io_uring_register(int fd, unsigned opcode, void* arg, unsigned arg_count) noexcept
{
    const long result = ::syscall(SYS_io_uring_register, fd, opcode, arg, arg_count);
    return result < 0 ? -errno : static_cast<int>(result);
}

// What the headers of Linux 6.1 and liburing 2.3 lack. Names of our own: half of these are enumerators upstream, which
// #ifndef cannot see. A constant here says nothing about the running kernel: ask the probe, or try and expect EINVAL.

// io_uring_setup(2) flags.
inline constexpr unsigned setup_no_mmap = 1u << 14;            ///< Available since kernel 6.5.
inline constexpr unsigned setup_registered_fd_only = 1u << 15; ///< Available since kernel 6.5; needs setup_no_mmap.
inline constexpr unsigned setup_no_sqarray = 1u << 16; ///< Available since kernel 6.6; liburing 2.3 corrupts it.

// io_uring_params::features.
inline constexpr unsigned feature_reg_reg_ring = 1u << 13;    ///< Available since kernel 6.3.
inline constexpr unsigned feature_recvsend_bundle = 1u << 14; ///< Available since kernel 6.10.
inline constexpr unsigned feature_min_timeout = 1u << 15;     ///< Available since kernel 6.12.

// io_uring_enter(2) flags.
inline constexpr unsigned enter_abs_timer = 1u << 5; ///< Available since kernel 6.12: the timeout is a point in time.

// Operation codes.
inline constexpr unsigned op_read_multishot = 49;   ///< Available since kernel 6.7.
inline constexpr unsigned op_waitid = 50;           ///< Available since kernel 6.7.
inline constexpr unsigned op_futex_wait = 51;       ///< Available since kernel 6.7.
inline constexpr unsigned op_futex_wake = 52;       ///< Available since kernel 6.7.
inline constexpr unsigned op_fixed_fd_install = 54; ///< Available since kernel 6.8.
inline constexpr unsigned op_ftruncate = 55;        ///< Available since kernel 6.9.
inline constexpr unsigned op_bind = 56;             ///< Available since kernel 6.11.
inline constexpr unsigned op_listen = 57;           ///< Available since kernel 6.11.

// io_uring_sqe::ioprio of receive, send and accept; io_uring_cqe::flags; buffer rings.
inline constexpr std::uint16_t recvsend_bundle = 1u << 4;   ///< Available since kernel 6.10.
inline constexpr std::uint16_t send_report_usage = 1u << 3; ///< Available since kernel 6.2: say whether it was copied.
inline constexpr unsigned notification_copied = 1u << 31;   ///< Available since kernel 6.2: that answer.
inline constexpr std::uint16_t accept_dontwait = 1u << 1;   ///< Available since kernel 6.10.
inline constexpr std::uint16_t accept_poll_first = 1u << 2; ///< Available since kernel 6.10.
inline constexpr unsigned cqe_buffer_more = 1u << 4;        ///< Available since kernel 6.12: the buffer is not used up.
inline constexpr std::uint16_t buffer_ring_mmap = 1;        ///< Available since kernel 6.4: the kernel's memory.
inline constexpr std::uint16_t buffer_ring_incremental = 2; ///< Available since kernel 6.12.

// io_uring_register(2) opcodes.
inline constexpr unsigned register_buffer_ring_status = 26;         ///< Available since kernel 6.8.
inline constexpr unsigned register_napi = 27;                       ///< Available since kernel 6.9.
inline constexpr unsigned register_clock = 29;                      ///< Available since kernel 6.12.
inline constexpr unsigned register_resize_rings = 33;               ///< Available since kernel 6.13.
inline constexpr unsigned register_use_registered_ring = 1u << 31u; ///< Available since kernel 6.3: or'ed to an opcode.

// madvise(2) advice: guard pages that cost no mapping.
inline constexpr int madv_guard_install = 102; ///< Available since kernel 6.13.
inline constexpr int madv_guard_remove = 103;  ///< Available since kernel 6.13.

} // namespace zsync::detail
