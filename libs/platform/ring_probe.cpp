// SPDX-License-Identifier: BSL-1.0
#include <zsync/platform/ring_probe.hpp>

#include <zsync/core/detail/ring_syscalls.hpp>
#include <zsync/platform/kernel.hpp>
#include <zsync/platform/memory.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <fstream>
#include <new>
#include <optional>
#include <ostream>

#include <cerrno>
#include <linux/io_uring.h>
#include <unistd.h>

namespace zsync
{

namespace
{

using boost::system::error_code;

struct named_bit
{
    unsigned bit;
    const char* name;
};

constexpr std::array feature_names{
    named_bit{IORING_FEAT_SINGLE_MMAP, "SINGLE_MMAP"},
    named_bit{IORING_FEAT_NODROP, "NODROP"},
    named_bit{IORING_FEAT_SUBMIT_STABLE, "SUBMIT_STABLE"},
    named_bit{IORING_FEAT_RW_CUR_POS, "RW_CUR_POS"},
    named_bit{IORING_FEAT_CUR_PERSONALITY, "CUR_PERSONALITY"},
    named_bit{IORING_FEAT_FAST_POLL, "FAST_POLL"},
    named_bit{IORING_FEAT_POLL_32BITS, "POLL_32BITS"},
    named_bit{IORING_FEAT_SQPOLL_NONFIXED, "SQPOLL_NONFIXED"},
    named_bit{IORING_FEAT_EXT_ARG, "EXT_ARG"},
    named_bit{IORING_FEAT_NATIVE_WORKERS, "NATIVE_WORKERS"},
    named_bit{IORING_FEAT_RSRC_TAGS, "RSRC_TAGS"},
    named_bit{IORING_FEAT_CQE_SKIP, "CQE_SKIP"},
    named_bit{IORING_FEAT_LINKED_FILE, "LINKED_FILE"},
    named_bit{detail::feature_reg_reg_ring, "REG_REG_RING"},
    named_bit{detail::feature_recvsend_bundle, "RECVSEND_BUNDLE"},
    named_bit{detail::feature_min_timeout, "MIN_TIMEOUT"},
};

// Oldest first. `with` is the flag's company, without which the kernel refuses it.
struct ladder_flag
{
    unsigned flag;
    unsigned with;
    const char* name;
};

constexpr std::array ladder{
    ladder_flag{IORING_SETUP_CQSIZE, 0, "CQSIZE"},
    ladder_flag{IORING_SETUP_CLAMP, 0, "CLAMP"},
    ladder_flag{IORING_SETUP_R_DISABLED, 0, "R_DISABLED"},
    ladder_flag{IORING_SETUP_SUBMIT_ALL, 0, "SUBMIT_ALL"},
    ladder_flag{IORING_SETUP_COOP_TASKRUN, 0, "COOP_TASKRUN"},
    ladder_flag{IORING_SETUP_TASKRUN_FLAG, IORING_SETUP_COOP_TASKRUN, "TASKRUN_FLAG"},
    ladder_flag{IORING_SETUP_SINGLE_ISSUER, 0, "SINGLE_ISSUER"},
    ladder_flag{IORING_SETUP_DEFER_TASKRUN, IORING_SETUP_SINGLE_ISSUER, "DEFER_TASKRUN"},
};

// The minimum, with what it is for where the name does not say.
constexpr std::array needed_features{
    named_bit{IORING_FEAT_NODROP, "NODROP"},       // 5.5: completions wait while their queue is full
    named_bit{IORING_FEAT_FAST_POLL, "FAST_POLL"}, // 5.7: waits for readiness without a kernel thread
    named_bit{IORING_FEAT_EXT_ARG, "EXT_ARG"},     // 5.11: a wait carries its timeout
};

constexpr std::array needed_operations{
    named_bit{IORING_OP_NOP, "NOP"},
    named_bit{IORING_OP_READ, "READ"},
    named_bit{IORING_OP_WRITE, "WRITE"},
    named_bit{IORING_OP_READV, "READV"},
    named_bit{IORING_OP_WRITEV, "WRITEV"},
    named_bit{IORING_OP_SEND, "SEND"},
    named_bit{IORING_OP_RECV, "RECV"},
    named_bit{IORING_OP_SENDMSG, "SENDMSG"},
    named_bit{IORING_OP_RECVMSG, "RECVMSG"},
    named_bit{IORING_OP_ACCEPT, "ACCEPT"},
    named_bit{IORING_OP_CONNECT, "CONNECT"},
    named_bit{IORING_OP_POLL_ADD, "POLL_ADD"},
    named_bit{IORING_OP_ASYNC_CANCEL, "ASYNC_CANCEL"},
};

void append_name(std::string& list, std::string_view name)
{
    if (!list.empty())
        list += ", ";
    list += name;
}

// A ring that is never mapped: for asking only.
class small_ring
{
public:
    explicit small_ring(unsigned flags) noexcept
    {
        io_uring_params params{};
        params.flags = flags;
        params.cq_entries = (flags & IORING_SETUP_CQSIZE) != 0 ? 8 : 0;
        fd_ = detail::io_uring_setup(2, &params);
        features_ = params.features;
    }

    ~small_ring()
    {
        if (fd_ >= 0)
            ::close(fd_);
    }

    small_ring(const small_ring&) = delete;
    small_ring& operator=(const small_ring&) = delete;

    bool is_open() const noexcept { return fd_ >= 0; }
    int result() const noexcept { return fd_; } // a negated errno unless open
    unsigned features() const noexcept { return features_; }

    int enter() const noexcept { return detail::io_uring_enter(fd_, 0, 0, 0); }

    int list_operations(std::bitset<256>& operations) const noexcept
    {
        constexpr unsigned most = 256;
        alignas(io_uring_probe) std::array<std::byte, sizeof(io_uring_probe) + most * sizeof(io_uring_probe_op)>
            space{};
        auto* const probe = ::new (space.data()) io_uring_probe{};
        const int result = detail::io_uring_register(fd_, IORING_REGISTER_PROBE, probe, most);
        for (unsigned i = 0; result >= 0 && i != probe->ops_len; ++i)
            operations[probe->ops[i].op] = (probe->ops[i].flags & IO_URING_OP_SUPPORTED) != 0;
        return result;
    }

private:
    int fd_;
    unsigned features_;
};

unsigned accepted_flags() noexcept
{
    unsigned all = 0;
    for (const ladder_flag& rung : ladder)
        all |= rung.flag;
    if (small_ring(all).is_open())
        return all;

    unsigned accepted = 0;
    for (const ladder_flag& rung : ladder)
        if ((accepted & rung.with) == rung.with && small_ring(rung.flag | rung.with).is_open())
            accepted |= rung.flag;
    return accepted;
}

std::optional<long> read_number(std::string_view root, std::string_view path)
{
    std::ifstream file(std::string(root).append(path));
    long number = 0;
    if (file >> number)
        return number;
    return std::nullopt;
}

// "Seccomp: 2" of proc(5)'s status: a filter sees this thread's system calls.
bool under_seccomp_filter(std::string_view root)
{
    std::ifstream file(std::string(root) + "/proc/thread-self/status");
    for (std::string key; file >> key; file.ignore(4096, '\n'))
        if (int mode = 0; key == "Seccomp:" && file >> mode)
            return mode == 2;
    return false;
}

std::string explain_eperm(std::string_view root)
{
    // Available since kernel 6.6; missing where the kernel is older.
    const long disabled = read_number(root, "/proc/sys/kernel/io_uring_disabled").value_or(0);
    const bool filtered = under_seccomp_filter(root);
    std::string why;
    if (disabled == 2)
        why = "the sysctl kernel.io_uring_disabled = 2 forbids io_uring to every process";
    else if (disabled == 1)
    {
        why = "the sysctl kernel.io_uring_disabled = 1 forbids io_uring to processes without CAP_SYS_ADMIN";
        const long group = read_number(root, "/proc/sys/kernel/io_uring_group").value_or(-1);
        if (group >= 0)
            why += " that are not in group " + std::to_string(group) + " (kernel.io_uring_group)";
        else
            why += "; kernel.io_uring_group names no group that is excepted";
    }
    else if (filtered)
        return "a seccomp filter forbids io_uring, as Docker's default profile does since 25.0; a profile that allows "
               "the three io_uring_ system calls is needed (docker run --security-opt seccomp=FILE)";
    else
        return "a security module (SELinux, AppArmor or another) forbids io_uring to this process";

    if (filtered)
        why += "; a seccomp filter may forbid it, too";
    return why;
}

std::string explain_enosys(std::string_view root)
{
    const kernel_version kernel = running_kernel();
    if (kernel < kernel_version{5, 11, 0})
        return "Linux " + to_string(kernel) + " is too old: io_uring is usable as of 5.11";
    std::string why = "Linux " + to_string(kernel) + " answers that it has no io_uring: ";
    if (under_seccomp_filter(root))
        return why + "a seccomp filter hides it, or the kernel was built without CONFIG_IO_URING";
    return why + "it was built without CONFIG_IO_URING, or a sandbox such as gVisor hides it";
}

std::string explain_enomem()
{
    if (running_kernel() < kernel_version{5, 12, 0})
        return "the ring does not fit into RLIMIT_MEMLOCK (" + std::to_string(locked_memory_limit().soft) +
               " bytes), which rings count against before Linux 5.12; raise it (ulimit -l), or use fewer entries";
    // From 5.12 on queues counted against the cgroup instead; by 6.18 they count against both.
    return "the ring does not fit into RLIMIT_MEMLOCK (" + std::to_string(locked_memory_limit().soft) +
           " bytes; raise it, ulimit -l), which counts for processes without CAP_IPC_LOCK; or there is no memory for "
           "it in the machine or in this process's cgroup";
}

} // namespace

bool ring_support::meets_minimum() const
{
    return available && missing().empty();
}

std::string ring_support::missing() const
{
    std::string list;
    for (const named_bit& feature : needed_features)
        if ((features & feature.bit) == 0)
            append_name(list, feature.name);
    for (const named_bit& operation : needed_operations)
        if (!supports(operation.bit))
            append_name(list, operation.name);
    return list;
}

ring_support probe_ring()
{
    ring_support support;
    int result = 0;
    {
        const small_ring ring(0);
        result = ring.result();
        if (ring.is_open())
        {
            support.features = ring.features();
            // A filter can allow one of the three calls and not the others. EINVAL is a kernel before 5.6, which has
            // rings but no list of operations.
            result = ring.enter();
            if (result >= 0)
                result = ring.list_operations(support.operations);
            if (result == -EINVAL)
                result = 0;
        }
    }
    if (result < 0)
    {
        support.error.assign(-result, boost::system::system_category());
        support.why = explain_ring_error(support.error);
        return support;
    }

    support.available = true;
    support.setup_flags = accepted_flags();
    const std::string missing = support.missing();
    support.why = missing.empty() ? "io_uring is available (Linux " + to_string(running_kernel()) + ")"
                                  : "the io_uring of Linux " + to_string(running_kernel()) + " is too old, it lacks " +
                                        missing + "; 5.11 has all that is needed";
    return support;
}

std::string explain_ring_error(const error_code& error, std::string_view root)
{
    const bool is_errno =
        error.category() == boost::system::system_category() || error.category() == boost::system::generic_category();
    switch (is_errno ? error.value() : -1)
    {
    case 0:
        return "io_uring reported no error";
    case ENOSYS:
        return explain_enosys(root);
    case EPERM:
        return explain_eperm(root);
    case EACCES:
        return "a security module (SELinux, AppArmor or another) forbids io_uring to this process";
    case ENOMEM:
        return explain_enomem();
    case EMFILE:
        return "this process has as many descriptors as RLIMIT_NOFILE allows (" +
               std::to_string(open_files_limit().soft) + "); close some, or raise it (ulimit -n)";
    case ENFILE:
        return "the system has as many open files as the sysctl fs.file-max allows";
    case EINVAL:
        return "the kernel refuses these set-up flags or this number of entries";
    default:
        return "io_uring cannot be set up: " + error.message();
    }
}

std::ostream& operator<<(std::ostream& out, const ring_support& support)
{
    out << "io_uring: " << (support.meets_minimum() ? "yes" : "no") << ", " << support.why;
    if (!support.available)
        return out;

    std::string features;
    for (const named_bit& feature : feature_names)
        if ((support.features & feature.bit) != 0)
            append_name(features, feature.name);
    std::string flags;
    for (const ladder_flag& rung : ladder)
        if ((support.setup_flags & rung.flag) != 0)
            append_name(flags, rung.name);
    return out << "\nfeatures: " << features << "\nset-up flags: " << flags
               << "\noperations: " << support.operations.count();
}

} // namespace zsync
