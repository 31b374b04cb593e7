// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/system/error_code.hpp>
#include <zsync/core/detail/ring_syscalls.hpp>

#include <liburing.h>

#include <cerrno>
#include <chrono>
#include <optional>
#include <span>
#include <utility>

#include <unistd.h>

namespace zsync::detail
{

/// Says who may enter a ring, which decides its flags.
enum class ring_mode : int
{
    shared,      ///< any thread submits and waits: no task-run flag
    cooperative, ///< one thread at a time waits; it alone submits: COOP_TASKRUN
    single       ///< one thread for the ring's life: SINGLE_ISSUER and DEFER_TASKRUN
};

/// Says whether a call that entered the ring succeeded, or failed in a way that trying again mends. EINTR: a signal.
/// ETIME: the timeout. EBUSY, EAGAIN: the kernel wants its completions reaped first, or has no memory now.
constexpr bool is_passing(int result) noexcept
{
    return result >= 0 || result == -EINTR || result == -ETIME || result == -EBUSY || result == -EAGAIN;
}

/// The two queues that user space shares with the kernel, and the system call that drives them.
///
/// Not thread-safe: its engine's lock guards next_sqe() and publish(); enter() may run without the lock, and reap()
/// belongs to the one thread that takes its turn.
class ring
{
public:
    ring() = default;
    ~ring() { close(); }
    ring(const ring&) = delete;
    ring& operator=(const ring&) = delete;

    /// Sets a ring up with the best flags that this kernel knows for `mode`. The ladder gives up, in this order,
    /// DEFER_TASKRUN (6.1), SINGLE_ISSUER (6.0), COOP_TASKRUN (5.19), SUBMIT_ALL (5.18). A single ring starts
    /// disabled; see enable().
    boost::system::error_code open(unsigned entries, ring_mode mode) noexcept;

    /// Unmaps and closes. What is in the kernel is cancelled there, some time later.
    void close() noexcept;

    /// Lets go of a ring inherited across fork(2), whose mappings do not exist in this process.
    void forget_after_fork() noexcept;

    /// Makes the calling thread the owner of a single ring. Errors: EEXIST if it has one.
    boost::system::error_code enable() noexcept;

    /// Makes a ring of buffers known as `group` (Linux 5.19); the kernel reads it from its beginning. Returns 0 or a
    /// negated errno.
    int register_buffers(io_uring_buf_ring* buffers, unsigned entries, std::uint16_t group) noexcept;

    /// Returns how many buffers the kernel has taken from such a ring, modulo 65536 (Linux 6.8), or a negated errno.
    int buffers_head(std::uint16_t group) noexcept;

    /// Gives the ring a table of files of its own (5.19, for it to be of use): a descriptor each, or -1 where a place
    /// is to be free. Returns 0 or a negated errno: EMFILE if it has more places than RLIMIT_NOFILE allows.
    int register_files(std::span<const int> files) noexcept;

    bool is_open() const noexcept { return open_; }

    /// The descriptor that is readable while completions are there.
    int descriptor() const noexcept { return ring_.ring_fd; }

    /// The highest operation code that this kernel knows.
    unsigned last_operation() const noexcept { return last_operation_; }

    /// Says whether it is open and this process's. What is not, in a child forked without notice, is not even mapped.
    bool is_here() const noexcept { return open_ && process_ == ::getpid(); }

    bool is_single() const noexcept { return (ring_.flags & IORING_SETUP_SINGLE_ISSUER) != 0; }
    bool skips_success() const noexcept { return (ring_.features & IORING_FEAT_CQE_SKIP) != 0; }

    /// Says whether the kernel tells of data left after a receive (IORING_CQE_F_SOCK_NONEMPTY) and can be told to wait
    /// before the first attempt (IORING_RECVSEND_POLL_FIRST). Both came with 5.19; the feature asked for, with 6.3.
    bool knows_drained() const noexcept { return (ring_.features & feature_reg_reg_ring) != 0; }

    /// Says whether a zero-copy send can be asked to tell if it was one (6.2; the feature asked for came with 6.3).
    bool reports_copies() const noexcept { return knows_drained(); }

    /// Says whether one result of a receive can fill several buffers (6.10).
    bool knows_bundles() const noexcept { return (ring_.features & feature_recvsend_bundle) != 0; }

    /// Returns an entry to fill in, or null if the submission queue is full.
    io_uring_sqe* next_sqe() noexcept { return io_uring_get_sqe(&ring_); }

    /// Returns how many entries the submission queue has room for. It grows by itself, as the kernel consumes them.
    unsigned room() const noexcept
    {
        return ring_.sq.ring_entries - (ring_.sq.sqe_tail - __atomic_load_n(ring_.sq.khead, __ATOMIC_ACQUIRE));
    }

    /// Returns one of those: as next_sqe(), without asking again.
    io_uring_sqe& take_sqe() noexcept
    {
        io_uring_sqe& sqe = ring_.sq.sqes[ring_.sq.sqe_tail++ & ring_.sq.ring_mask];
        sqe = {}; // io_uring_prep_*() of liburing 2.9 leaves it to io_uring_get_sqe() to clear what they do not set
        return sqe;
    }

    /// Makes the entries filled in so far visible to the kernel; returns how many it has not consumed.
    unsigned publish() noexcept;

    /// Says whether the kernel has consumed all that was published.
    bool all_consumed() const noexcept
    {
        return __atomic_load_n(ring_.sq.khead, __ATOMIC_ACQUIRE) == __atomic_load_n(ring_.sq.ktail, __ATOMIC_RELAXED);
    }

    bool has_completions() const noexcept { return io_uring_cq_ready(&ring_) != 0; }

    /// Changes when a completion comes. May be read while another thread reaps.
    unsigned completion_tail() const noexcept { return __atomic_load_n(ring_.cq.ktail, __ATOMIC_ACQUIRE); }

    /// Says whether completions can only be had by entering the kernel: deferred task work, or an overflowed queue.
    bool must_enter() const noexcept
    {
        return (IO_URING_READ_ONCE(*ring_.sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
    }

    bool overflowed() const noexcept { return (IO_URING_READ_ONCE(*ring_.sq.kflags) & IORING_SQ_CQ_OVERFLOW) != 0; }

    /// Submits without waiting. Returns a count, or a negated errno.
    int submit(unsigned count) noexcept;

    /// Submits, then waits for one completion or for the timeout. Returns a count, or a negated errno (-ETIME).
    int submit_and_wait(unsigned count, std::optional<std::chrono::microseconds> timeout) noexcept;

    /// Submits, and lets the kernel post what it has deferred. Returns a count, or a negated errno.
    int submit_and_flush(unsigned count) noexcept;

    /// Passes the completions that are there to `visit(const io_uring_cqe&)`, oldest first; returns their number.
    template <class Visitor>
    unsigned reap(Visitor visit)
    {
        auto& cq = ring_.cq;
        const unsigned begin = *cq.khead; // ours alone
        const unsigned end = __atomic_load_n(cq.ktail, __ATOMIC_ACQUIRE);
        for (unsigned head = begin; head != end; ++head)
            visit(std::as_const(cq.cqes[head & cq.ring_mask]));
        __atomic_store_n(cq.khead, end, __ATOMIC_RELEASE);
        return end - begin;
    }

private:
    io_uring ring_{};
    bool open_ = false;
    bool has_files_ = false;
    unsigned last_operation_ = 0;
    ::pid_t process_ = 0; // which has it mapped
};

} // namespace zsync::detail
