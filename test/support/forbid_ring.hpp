// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <vector>

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace test
{

/// Makes each of these system calls fail with `error` from now on, in all threads of this process and its children, for
/// good: for a child process only (`run_in_child`). Returns 0, or the errno of installing the filter (EINVAL: a kernel
/// without seccomp filters). Needs no privilege. Never blocks.
inline int forbid_system_calls(std::initializer_list<long> numbers, int error)
{
    // No look at seccomp_data::arch: it says which table a number belongs to, and a test makes native calls only.
    std::vector<sock_filter> program;
    program.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)));
    auto left = static_cast<std::uint8_t>(numbers.size());
    for (const long number : numbers)
        program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(number), left--, 0));
    program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    program.push_back(
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (static_cast<std::uint32_t>(error) & SECCOMP_RET_DATA)));

    const sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return errno;
    // TSYNC, available since kernel 3.17: the other threads, too. It returns the id of a thread that cannot be.
    const long result = ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter);
    return result < 0 ? errno : result > 0 ? EBUSY : 0;
}

/// Takes io_uring away as container managers' default profiles do: all three system calls. Rings made before cannot be
/// entered either. See forbid_system_calls.
inline int forbid_ring(int error = EPERM)
{
    return forbid_system_calls({SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register}, error);
}

} // namespace test
