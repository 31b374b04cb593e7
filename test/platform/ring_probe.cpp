// SPDX-License-Identifier: BSL-1.0
#include <zsync/platform/ring_probe.hpp>

#include <zsync/core/detail/ring_syscalls.hpp>
#include <zsync/platform/kernel.hpp>

#include "support/child_process.hpp"
#include "support/fake_root.hpp"
#include "support/forbid_ring.hpp"
#include "support/process_state.hpp"

#include <boost/system/errc.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>

#include <fcntl.h>
#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

namespace
{

using zsync::explain_ring_error;
using zsync::ring_support;

boost::system::error_code system_error(int value)
{
    return {value, boost::system::system_category()};
}

bool contains(std::string_view text, std::string_view part)
{
    return text.find(part) != text.npos;
}

// Reported as a skip where io_uring is forbidden to the tests themselves.
boost::test_tools::assertion_result ring_available(boost::unit_test::test_unit_id)
{
    const ring_support support = zsync::probe_ring();
    boost::test_tools::assertion_result answer(support.available);
    answer.message() << support.why;
    return answer;
}

// Probes in a child after `prepare`; the status is the probe's errno, the text its sentence.
test::child_result probe_after(const std::function<int()>& prepare)
{
    return test::run_in_child(
        [&](const test::child_voice& voice)
        {
            if (prepare() != 0)
                return 255;
            const ring_support support = zsync::probe_ring();
            voice.say(support.why);
            return support.available || support.meets_minimum() || (support.features != 0 && !support.error)
                       ? 254
                       : support.error.value();
        });
}

struct fake_root : test::fake_root
{
    std::string explain(int error) const { return explain_ring_error(system_error(error), string()); }
};

// What Linux 5.11 answers, as far as the minimum goes.
ring_support just_enough()
{
    ring_support support;
    support.available = true;
    support.features = IORING_FEAT_EXT_ARG | IORING_FEAT_NODROP | IORING_FEAT_FAST_POLL;
    for (unsigned operation : {IORING_OP_NOP, IORING_OP_READ, IORING_OP_WRITE, IORING_OP_READV, IORING_OP_WRITEV,
                               IORING_OP_SEND, IORING_OP_RECV, IORING_OP_SENDMSG, IORING_OP_RECVMSG, IORING_OP_ACCEPT,
                               IORING_OP_CONNECT, IORING_OP_POLL_ADD, IORING_OP_ASYNC_CANCEL})
        support.operations.set(operation);
    return support;
}

} // namespace

BOOST_AUTO_TEST_SUITE(platform_ring_probe)

BOOST_AUTO_TEST_CASE(ring_of_this_machine_meets_the_minimum, *boost::unit_test::precondition(ring_available))
{
    const ring_support support = zsync::probe_ring();
    BOOST_TEST_MESSAGE(support);
    BOOST_TEST(!support.error);
    BOOST_TEST(contains(support.why, "io_uring"));
    if (zsync::running_kernel() >= zsync::kernel_version{5, 11, 0})
    {
        BOOST_TEST(support.missing() == "");
        BOOST_TEST(support.meets_minimum());
        BOOST_TEST(support.supports(IORING_OP_NOP));
        BOOST_TEST(!support.supports(255));
        BOOST_TEST(!support.supports(256));
        BOOST_TEST(support.supports_flags(IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_R_DISABLED));
    }
    if (zsync::running_kernel() >= zsync::kernel_version{6, 1, 0})
        BOOST_TEST(support.supports_flags(IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN |
                                          IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SINGLE_ISSUER |
                                          IORING_SETUP_DEFER_TASKRUN));
}

BOOST_AUTO_TEST_CASE(accepted_flags_are_accepted_one_by_one, *boost::unit_test::precondition(ring_available))
{
    const ring_support support = zsync::probe_ring();
    for (unsigned flag :
         {IORING_SETUP_CQSIZE, IORING_SETUP_CLAMP, IORING_SETUP_R_DISABLED, IORING_SETUP_SUBMIT_ALL,
          IORING_SETUP_COOP_TASKRUN, IORING_SETUP_TASKRUN_FLAG, IORING_SETUP_SINGLE_ISSUER, IORING_SETUP_DEFER_TASKRUN})
    {
        io_uring_params params{};
        params.flags = flag | (flag == IORING_SETUP_TASKRUN_FLAG ? IORING_SETUP_COOP_TASKRUN : 0) |
                       (flag == IORING_SETUP_DEFER_TASKRUN ? IORING_SETUP_SINGLE_ISSUER : 0);
        params.cq_entries = 8;
        const int fd = zsync::detail::io_uring_setup(2, &params);
        BOOST_TEST(support.supports_flags(flag) == (fd >= 0), "flag " << flag << ": " << fd);
        if (fd >= 0)
        {
            BOOST_TEST((::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
            ::close(fd);
        }
    }
    BOOST_TEST(!support.supports_flags(IORING_SETUP_SQPOLL), "never tried");
    BOOST_TEST(support.supports_flags(0));
}

BOOST_AUTO_TEST_CASE(probe_leaves_nothing_behind)
{
    zsync::probe_ring(); // the first may let the heap grow
    const auto before = test::this_process();
    zsync::probe_ring();
    const auto after = test::this_process();
    BOOST_TEST(after.descriptors == before.descriptors);
    BOOST_TEST(after.threads == before.threads);
    BOOST_TEST(after.ring_workers == before.ring_workers);
    BOOST_TEST(after.ring_mappings == before.ring_mappings);
}

BOOST_AUTO_TEST_CASE(process_state_sees_a_descriptor_and_a_ring, *boost::unit_test::precondition(ring_available))
{
    const auto before = test::this_process();
    io_uring_params params{};
    const int fd = zsync::detail::io_uring_setup(2, &params);
    void* const queue = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQ_RING);
    const auto during = test::this_process();
    BOOST_TEST((queue != MAP_FAILED));
    ::munmap(queue, 4096);
    ::close(fd);
    const auto after = test::this_process();
    BOOST_TEST(during.descriptors == before.descriptors + 1);
    BOOST_TEST(during.ring_mappings == before.ring_mappings + 1);
    BOOST_TEST(after.descriptors == before.descriptors);
    BOOST_TEST(after.ring_mappings == before.ring_mappings);
}

BOOST_AUTO_TEST_CASE(forbidden_by_a_filter_says_so)
{
    const auto child = probe_after([] { return test::forbid_ring(EPERM); });
    BOOST_TEST(child.status == EPERM, child);
    BOOST_TEST(contains(child.text, "seccomp"), child);
    BOOST_TEST(contains(child.text, "Docker") == !contains(child.text, "kernel.io_uring_disabled"), child);
}

BOOST_AUTO_TEST_CASE(hidden_by_a_filter_says_so)
{
    const auto child = probe_after([] { return test::forbid_ring(ENOSYS); });
    BOOST_TEST(child.status == ENOSYS, child);
    BOOST_TEST(contains(child.text, "seccomp"), child);
    BOOST_TEST(contains(child.text, "CONFIG_IO_URING"), child);
}

BOOST_AUTO_TEST_CASE(filter_of_the_other_calls_is_noticed, *boost::unit_test::precondition(ring_available))
{
    for (long number : {SYS_io_uring_enter, SYS_io_uring_register})
    {
        const auto child = probe_after([=] { return test::forbid_system_calls({number}, EPERM); });
        BOOST_TEST(child.status == EPERM, child);
        BOOST_TEST(contains(child.text, "seccomp"), child);
    }
}

BOOST_AUTO_TEST_CASE(no_free_descriptor_says_so, *boost::unit_test::precondition(ring_available))
{
    const auto child = probe_after(
        []
        {
            rlimit limit{};
            ::getrlimit(RLIMIT_NOFILE, &limit);
            limit.rlim_cur = static_cast<rlim_t>(::dup(0)); // the lowest that is free
            return ::setrlimit(RLIMIT_NOFILE, &limit);
        });
    BOOST_TEST(child.status == EMFILE, child);
    BOOST_TEST(contains(child.text, "RLIMIT_NOFILE"), child);
}

BOOST_AUTO_TEST_CASE(one_free_descriptor_is_enough, *boost::unit_test::precondition(ring_available))
{
    const auto child = test::run_in_child(
        [](const test::child_voice& voice)
        {
            const int lowest = ::dup(0);
            ::close(lowest);
            rlimit limit{};
            ::getrlimit(RLIMIT_NOFILE, &limit);
            limit.rlim_cur = static_cast<rlim_t>(lowest) + 1;
            ::setrlimit(RLIMIT_NOFILE, &limit);
            const ring_support support = zsync::probe_ring();
            return voice.check(support.available, support.why) &&
                           voice.check(support.supports_flags(IORING_SETUP_CQSIZE), "flags")
                       ? 0
                       : 1;
        });
    BOOST_TEST(child.ok(), child);
}

BOOST_AUTO_TEST_CASE(sysctl_that_forbids_is_named)
{
    const fake_root root;
    root.write("/proc/sys/kernel/io_uring_disabled", "2\n");
    BOOST_TEST(contains(root.explain(EPERM), "kernel.io_uring_disabled = 2"));

    root.write("/proc/sys/kernel/io_uring_disabled", "1\n");
    root.write("/proc/sys/kernel/io_uring_group", "1234\n");
    BOOST_TEST(contains(root.explain(EPERM), "kernel.io_uring_disabled = 1"));
    BOOST_TEST(contains(root.explain(EPERM), "CAP_SYS_ADMIN"));
    BOOST_TEST(contains(root.explain(EPERM), "group 1234"));
    BOOST_TEST(!contains(root.explain(EPERM), "seccomp"));

    root.write("/proc/sys/kernel/io_uring_group", "-1\n");
    BOOST_TEST(contains(root.explain(EPERM), "no group"));

    root.write("/proc/thread-self/status", "Name:\ttest\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n");
    BOOST_TEST(contains(root.explain(EPERM), "kernel.io_uring_disabled = 1"));
    BOOST_TEST(contains(root.explain(EPERM), "seccomp"));
}

BOOST_AUTO_TEST_CASE(eperm_without_sysctl_and_filter_is_a_security_module)
{
    const fake_root root;
    BOOST_TEST(contains(root.explain(EPERM), "security module"));
    root.write("/proc/sys/kernel/io_uring_disabled", "0\n");
    root.write("/proc/thread-self/status", "Seccomp:\t0\n");
    BOOST_TEST(contains(root.explain(EPERM), "security module"));
    BOOST_TEST(contains(root.explain(EACCES), "security module"));
}

BOOST_AUTO_TEST_CASE(every_error_has_a_sentence_of_its_own)
{
    BOOST_TEST(contains(explain_ring_error(system_error(ENFILE)), "fs.file-max"));
    BOOST_TEST(contains(explain_ring_error(system_error(ENOMEM)), "memory") ==
               (zsync::running_kernel() >= zsync::kernel_version{5, 12, 0}));
    BOOST_TEST(contains(explain_ring_error(system_error(EINVAL)), "flags"));
    BOOST_TEST(contains(explain_ring_error(system_error(EIO)), system_error(EIO).message()));
    BOOST_TEST(contains(explain_ring_error({}), "no error"));
    // The same codes as conditions of the generic category.
    BOOST_TEST(explain_ring_error(boost::system::errc::make_error_code(boost::system::errc::too_many_files_open)) ==
               explain_ring_error(system_error(EMFILE)));
}

BOOST_AUTO_TEST_CASE(what_is_missing_is_named)
{
    BOOST_TEST(just_enough().meets_minimum());
    BOOST_TEST(just_enough().missing() == "");

    ring_support no_timeout = just_enough(); // Linux 5.10
    no_timeout.features &= ~IORING_FEAT_EXT_ARG;
    BOOST_TEST(!no_timeout.meets_minimum());
    BOOST_TEST(no_timeout.missing() == "EXT_ARG");

    ring_support no_sockets = just_enough();
    no_sockets.operations.reset(IORING_OP_SEND);
    no_sockets.operations.reset(IORING_OP_ASYNC_CANCEL);
    BOOST_TEST(!no_sockets.meets_minimum());
    BOOST_TEST(no_sockets.missing() == "SEND, ASYNC_CANCEL");

    ring_support refused = just_enough();
    refused.available = false;
    BOOST_TEST(!refused.meets_minimum());
    BOOST_TEST(!ring_support().meets_minimum());
    BOOST_TEST(!ring_support().supports_flags(0));
}

BOOST_AUTO_TEST_CASE(report_names_features_and_flags)
{
    ring_support support = just_enough();
    support.setup_flags = IORING_SETUP_CLAMP;
    support.why = "for a test";
    std::ostringstream report;
    report << support;
    BOOST_TEST(report.str() == "io_uring: yes, for a test\nfeatures: NODROP, FAST_POLL, EXT_ARG\n"
                               "set-up flags: CLAMP\noperations: 13");

    report.str("");
    ring_support refused;
    refused.why = "forbidden";
    report << refused;
    BOOST_TEST(report.str() == "io_uring: no, forbidden");
}

BOOST_AUTO_TEST_CASE(child_process_reports_how_the_child_ended)
{
    using namespace std::chrono_literals;
    const auto silent = [](const test::child_voice&) {};
    BOOST_TEST(test::run_in_child(silent).ok());

    const auto thrown = test::run_in_child([](const test::child_voice&) { throw std::runtime_error("reason"); });
    BOOST_TEST(thrown.status == 125, thrown);
    BOOST_TEST(contains(thrown.text, "reason"), thrown);

    const auto crashed = test::run_in_child(
        [](const test::child_voice& voice)
        {
            voice.say("so far");
            std::abort();
        });
    BOOST_TEST(crashed.signal == SIGABRT, crashed);
    BOOST_TEST(crashed.text == "so far", crashed);

    const auto hung = test::run_in_child([](const test::child_voice&) { ::pause(); }, 20ms);
    BOOST_TEST(hung.timed_out, hung);
    BOOST_TEST(hung.signal == SIGKILL, hung);

    const auto loud = test::run_in_child(
        [](const test::child_voice& voice)
        {
            for (int i = 0; i != 100; ++i)
                voice.say(std::string(4096, 'x'));
        });
    BOOST_TEST(loud.ok());
    BOOST_TEST(loud.text.size() == test::child_result::most_text);
}

BOOST_AUTO_TEST_SUITE_END()
