// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/system/error_code.hpp>

#include <bitset>
#include <iosfwd>
#include <string>
#include <string_view>

namespace zsync
{

/// Tells what io_uring gives this process, as `probe_ring` found it. A value: it does not change when the system does.
/// Distinct and shared (const) objects: safe.
struct ring_support
{
    /// True if this process may make, enter and register a ring. That is not yet `meets_minimum`.
    bool available = false;

    /// The errno of the system call that was refused; none if `available`.
    boost::system::error_code error;

    /// A sentence for a person: why not, what the ring lacks, or that all is well.
    std::string why;

    /// IORING_FEAT_ bits, io_uring_setup(2).
    unsigned features = 0;

    /// Those of the IORING_SETUP_ flags that were tried and accepted: CQSIZE (5.5), CLAMP (5.6), R_DISABLED (5.10),
    /// SUBMIT_ALL (5.18), COOP_TASKRUN and TASKRUN_FLAG (5.19), SINGLE_ISSUER (6.0), DEFER_TASKRUN (6.1).
    unsigned setup_flags = 0;

    /// Which IORING_OP_ codes the kernel knows; IORING_REGISTER_PROBE, available since kernel 5.6.
    std::bitset<256> operations;

    /// Tells whether the kernel knows an IORING_OP_ code. Never blocks.
    bool supports(unsigned operation) const noexcept { return operation < operations.size() && operations[operation]; }

    /// Tells whether each of these IORING_SETUP_ flags was tried and accepted; false for one that is never tried.
    /// Some need company: TASKRUN_FLAG either task-run mode, DEFER_TASKRUN SINGLE_ISSUER. Never blocks.
    bool supports_flags(unsigned flags) const noexcept { return available && (setup_flags & flags) == flags; }

    /// Tells whether the ring engine can work: the features EXT_ARG, NODROP and FAST_POLL, and the operations NOP,
    /// READ, WRITE, READV, WRITEV, SEND, RECV, SENDMSG, RECVMSG, ACCEPT, CONNECT, POLL_ADD and ASYNC_CANCEL. Linux 5.11
    /// has them all. Never blocks.
    bool meets_minimum() const;

    /// Names what `meets_minimum` misses: "EXT_ARG, SEND"; empty if nothing. Never blocks.
    std::string missing() const;
};

/// Finds out by trying, now and on the calling thread; nothing is remembered, so a caller that asks often keeps the
/// answer. It makes two small rings with six system calls where the kernel knows every flag, at most nine with 21 where
/// it does not, and one call where io_uring is forbidden; it reads procfs to explain a refusal. Every descriptor is
/// close-on-exec and closed again on return; there is never more than one.
/// Errors are reported in the result. Never blocks, but for reading procfs. Safe to call from any thread.
ring_support probe_ring();

/// Explains to a person what an error of io_uring_setup(2) means on this system: which sysctl, filter or limit it was,
/// and how to change that. It looks at the system as it is at the time of the call. `root` is put before paths of
/// /proc. Blocks the thread while it reads procfs. Safe to call from any thread.
std::string explain_ring_error(const boost::system::error_code& error, std::string_view root = {});

/// Writes a report of a few lines, without a newline at its end. Never blocks by itself.
std::ostream& operator<<(std::ostream& out, const ring_support& support);

} // namespace zsync
