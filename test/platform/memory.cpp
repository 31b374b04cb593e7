// SPDX-License-Identifier: BSL-1.0
#include <zsync/platform/memory.hpp>

#include "support/child_process.hpp"
#include "support/fake_root.hpp"

#include <boost/test/unit_test.hpp>

#include <sys/resource.h>
#include <unistd.h>

namespace
{

constexpr std::uint64_t mebibyte = 1024 * 1024;

struct fake_root : test::fake_root
{
    fake_root() { write("/proc/meminfo", "MemTotal:        4096000 kB\nMemFree:          100 kB\n"); }
};

struct v2_root : fake_root
{
    v2_root()
    {
        write("/proc/self/mountinfo", "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
        write("/proc/self/cgroup", "0::/a/b\n");
    }
};

struct v1_root : fake_root
{
    v1_root()
    {
        write("/proc/self/mountinfo", "34 31 0:31 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n");
        write("/proc/self/cgroup", "4:memory:/a/b\n");
    }
};

} // namespace

BOOST_AUTO_TEST_SUITE(platform_memory)

BOOST_AUTO_TEST_CASE(total_is_what_meminfo_says)
{
    const fake_root root;
    BOOST_TEST(zsync::total_memory(root.string()) == 4'096'000u * 1024u);
    root.write("/proc/meminfo", "Other: 1 kB\nMemTotal: 2048 kB\n");
    BOOST_TEST(zsync::total_memory(root.string()) == 2 * mebibyte);
}

BOOST_AUTO_TEST_CASE(total_without_meminfo_asks_the_c_library)
{
    const fake_root root;
    root.write("/proc/meminfo", "");
    BOOST_TEST(zsync::total_memory(root.string()) ==
               static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) * zsync::page_size());
}

BOOST_AUTO_TEST_CASE(no_cgroup_is_no_limit)
{
    const fake_root root;
    BOOST_TEST(!zsync::memory_limit(root.string()));
    BOOST_TEST(zsync::usable_memory(root.string()) == zsync::total_memory(root.string()));
}

BOOST_AUTO_TEST_CASE(v2_limit_is_the_smallest_over_the_ancestors)
{
    const v2_root root;
    root.write("/sys/fs/cgroup/a/b/memory.max", "max\n");
    BOOST_TEST(!zsync::memory_limit(root.string()));
    root.write("/sys/fs/cgroup/a/memory.max", std::to_string(512 * mebibyte) + '\n');
    BOOST_TEST(zsync::memory_limit(root.string()).value() == 512 * mebibyte);
    root.write("/sys/fs/cgroup/a/b/memory.max", std::to_string(64 * mebibyte) + '\n');
    BOOST_TEST(zsync::memory_limit(root.string()).value() == 64 * mebibyte);
    BOOST_TEST(zsync::usable_memory(root.string()) == 64 * mebibyte);
}

BOOST_AUTO_TEST_CASE(v1_limit_is_the_smallest_over_the_ancestors)
{
    const v1_root root;
    root.write("/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "9223372036854771712\n");
    BOOST_TEST(!zsync::memory_limit(root.string()));
    root.write("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", std::to_string(128 * mebibyte) + '\n');
    BOOST_TEST(zsync::memory_limit(root.string()).value() == 128 * mebibyte);
    BOOST_TEST(zsync::usable_memory(root.string()) == 128 * mebibyte);
}

BOOST_AUTO_TEST_CASE(limit_above_the_total_is_not_usable)
{
    const v2_root root;
    root.write("/sys/fs/cgroup/a/b/memory.max", "99999999999999\n");
    BOOST_TEST(zsync::usable_memory(root.string()) == zsync::total_memory(root.string()));
}

BOOST_AUTO_TEST_CASE(this_machine_has_memory)
{
    BOOST_TEST(zsync::total_memory() >= 16 * mebibyte);
    BOOST_TEST(zsync::usable_memory() > 0u);
    BOOST_TEST(zsync::usable_memory() <= zsync::total_memory());
}

BOOST_AUTO_TEST_CASE(page_size_is_a_power_of_two)
{
    BOOST_TEST(zsync::page_size() >= 4096u);
    BOOST_TEST((zsync::page_size() & (zsync::page_size() - 1)) == 0u);
}

BOOST_AUTO_TEST_CASE(limits_are_those_that_were_set)
{
    const auto child = test::run_in_child(
        [](const test::child_voice& voice)
        {
            const auto before = zsync::open_files_limit();
            const rlimit files{64, before.hard == zsync::resource_limit::unlimited ? RLIM_INFINITY : before.hard};
            const rlimit locked{4096, 4096};
            bool ok = voice.check(::setrlimit(RLIMIT_NOFILE, &files) == 0, "set RLIMIT_NOFILE");
            ok = voice.check(zsync::open_files_limit() == zsync::resource_limit{64, before.hard}, "NOFILE") && ok;
            ok = voice.check(::setrlimit(RLIMIT_MEMLOCK, &locked) == 0, "set RLIMIT_MEMLOCK") && ok;
            ok = voice.check(zsync::locked_memory_limit() == zsync::resource_limit{4096, 4096}, "MEMLOCK") && ok;
            return ok ? 0 : 1;
        });
    BOOST_TEST(child.ok(), child);
}

BOOST_AUTO_TEST_CASE(infinity_is_unlimited)
{
    const auto child = test::run_in_child(
        [](const test::child_voice& voice)
        {
            const rlimit none{RLIM_INFINITY, RLIM_INFINITY};
            if (::setrlimit(RLIMIT_MEMLOCK, &none) != 0)
                return 2;
            return voice.check(zsync::locked_memory_limit() == zsync::resource_limit{}, "unlimited") ? 0 : 1;
        });
    if (child.status == 2)
        BOOST_TEST_MESSAGE("skipped: may not raise RLIMIT_MEMLOCK");
    else
        BOOST_TEST(child.ok(), child);
}

BOOST_AUTO_TEST_SUITE_END()
