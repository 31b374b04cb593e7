// SPDX-License-Identifier: BSL-1.0
#include <zsync/platform/cpus.hpp>

#include "support/fake_root.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <thread>

#include <cerrno>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

namespace
{

struct fake_root : test::fake_root
{
    std::optional<double> quota() const { return zsync::cpu_quota(string()); }
};

constexpr const char* v2_mount = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";

struct v2_root : fake_root
{
    v2_root()
    {
        write("/proc/self/mountinfo", std::string("22 1 8:1 / / rw - ext4 /dev/root rw\n") + v2_mount);
        write("/proc/self/cgroup", "0::/system.slice/server.service\n");
    }
};

} // namespace

BOOST_AUTO_TEST_SUITE(platform_cpus)

BOOST_AUTO_TEST_CASE(online_cpus_counts_ranges)
{
    const fake_root root;
    for (const auto& [list, count] : {std::pair("0\n", 1u), std::pair("0-3\n", 4u), std::pair("0-3,5,8-11\n", 9u),
                                      std::pair("0,2047-4095\n", 2050u)})
    {
        root.write("/sys/devices/system/cpu/online", list);
        BOOST_TEST(zsync::online_cpus(root.string()) == count);
    }
}

BOOST_AUTO_TEST_CASE(online_cpus_without_sysfs_asks_the_c_library)
{
    const fake_root root;
    BOOST_TEST(zsync::online_cpus(root.string()) == static_cast<unsigned>(::sysconf(_SC_NPROCESSORS_ONLN)));
    BOOST_TEST(zsync::online_cpus() >= 1u);
}

BOOST_AUTO_TEST_CASE(affinity_follows_the_calling_thread)
{
    const auto before = zsync::affinity_cpus();
    BOOST_TEST_REQUIRE(!before.empty());
    BOOST_TEST(std::is_sorted(before.begin(), before.end()));

    std::vector<unsigned> pinned;
    unsigned parallelism = 0;
    std::thread(
        [&]
        {
            cpu_set_t one;
            CPU_ZERO(&one);
            CPU_SET(before.back(), &one);
            ::pthread_setaffinity_np(::pthread_self(), sizeof one, &one);
            pinned = zsync::affinity_cpus();
            parallelism = zsync::usable_parallelism();
        })
        .join();
    BOOST_TEST(pinned == std::vector{before.back()}, boost::test_tools::per_element());
    BOOST_TEST(parallelism == 1u);
    BOOST_TEST(zsync::affinity_cpus() == before, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(affinity_grows_its_mask_beyond_1024_cpus)
{
    const auto read = [](std::size_t bytes, unsigned long* mask)
    {
        if (bytes < 5000 / 8)
            return EINVAL;
        constexpr std::size_t bits = sizeof(unsigned long) * 8;
        for (std::size_t cpu : {0, 1023, 1024, 4999})
            mask[cpu / bits] |= 1ul << (cpu % bits);
        return 0;
    };
    const auto cpus = zsync::detail::affinity_cpus(read);
    BOOST_TEST(cpus == (std::vector<unsigned>{0, 1023, 1024, 4999}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(affinity_that_is_refused_is_empty)
{
    BOOST_TEST(zsync::detail::affinity_cpus(+[](std::size_t, unsigned long*) { return EPERM; }).empty());
    BOOST_TEST(zsync::detail::affinity_cpus(+[](std::size_t, unsigned long*) { return EINVAL; }).empty());
}

BOOST_AUTO_TEST_CASE(no_cgroup_is_no_quota)
{
    const fake_root root;
    BOOST_TEST(!root.quota());
}

BOOST_AUTO_TEST_CASE(v2_max_is_no_quota)
{
    const v2_root root;
    root.write("/sys/fs/cgroup/system.slice/server.service/cpu.max", "max 100000\n");
    BOOST_TEST(!root.quota());
}

BOOST_AUTO_TEST_CASE(v2_quota_is_the_smallest_over_the_ancestors)
{
    const v2_root root;
    root.write("/sys/fs/cgroup/system.slice/server.service/cpu.max", "300000 100000\n");
    BOOST_TEST(root.quota().value() == 3.0);
    root.write("/sys/fs/cgroup/system.slice/cpu.max", "50000 20000\n");
    BOOST_TEST(root.quota().value() == 2.5);
    root.write("/sys/fs/cgroup/system.slice/cpu.max", "max 100000\n");
    BOOST_TEST(root.quota().value() == 3.0);
    // The root of a namespace or of a container's mount does have the file.
    root.write("/sys/fs/cgroup/cpu.max", "10000 100000\n");
    BOOST_TEST(root.quota().value() == 0.1);
    // A sibling's limit is not ours.
    root.write("/sys/fs/cgroup/system.slice/server.service2/cpu.max", "1000 100000\n");
    BOOST_TEST(root.quota().value() == 0.1);
}

BOOST_AUTO_TEST_CASE(v1_quota_is_found_in_the_hierarchy_of_cpu)
{
    const fake_root root;
    root.write("/proc/self/mountinfo", "35 31 0:32 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
                                       "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
                                       "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
    root.write("/proc/self/cgroup", "9:name=systemd:/other\n3:cpuset:/sets\n2:cpu,cpuacct:/a/b\n0::/\n");
    BOOST_TEST(!root.quota());
    root.write("/sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_quota_us", "-1\n");
    root.write("/sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_period_us", "100000\n");
    BOOST_TEST(!root.quota());
    root.write("/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "150000\n");
    root.write("/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n");
    BOOST_TEST(root.quota().value() == 1.5);
    // A file of that name in another controller's hierarchy is none of ours.
    root.write("/sys/fs/cgroup/cpuset/sets/cpu.cfs_quota_us", "1000\n");
    root.write("/sys/fs/cgroup/cpuset/sets/cpu.cfs_period_us", "100000\n");
    BOOST_TEST(root.quota().value() == 1.5);
}

BOOST_AUTO_TEST_CASE(mount_of_a_part_of_the_hierarchy_is_seen_through)
{
    // A container without a cgroup namespace: its own cgroup stands at the mount point, its path is the host's.
    const fake_root root;
    root.write("/proc/self/mountinfo", "32 31 0:29 /docker/1f /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n");
    root.write("/proc/self/cgroup", "2:cpu:/docker/1f/worker\n");
    const std::string mount = root.string() + "/sys/fs/cgroup/cpu";
    BOOST_TEST(zsync::detail::cgroup_directories(root.string(), "cpu") == (std::vector{mount + "/worker", mount}),
               boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(mount_that_shows_most_ancestors_is_preferred)
{
    const fake_root root;
    root.write("/proc/self/mountinfo", std::string("50 49 0:26 /elsewhere /mnt/elsewhere rw - cgroup2 none rw\n"
                                                   "51 49 0:26 /a /mnt/part rw - cgroup2 none rw\n") +
                                           v2_mount + "52 49 0:26 /a /mnt/later rw - cgroup2 none rw\n");
    root.write("/proc/self/cgroup", "0::/a/b\n");
    const std::string mount = root.string() + "/sys/fs/cgroup";
    BOOST_TEST(zsync::detail::cgroup_directories(root.string(), "cpu") ==
                   (std::vector{mount + "/a/b", mount + "/a", mount}),
               boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(cgroup_outside_the_namespace_leaves_the_mount_point)
{
    const fake_root root;
    root.write("/proc/self/mountinfo", v2_mount);
    root.write("/proc/self/cgroup", "0::/../../escaped\n");
    BOOST_TEST(zsync::detail::cgroup_directories(root.string(), "cpu") == std::vector{root.string() + "/sys/fs/cgroup"},
               boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(names_with_spaces_and_colons_are_understood)
{
    const fake_root root;
    root.write("/proc/self/mountinfo", "30 23 0:26 / /sys/fs/a\\040b rw - cgroup2 cgroup2 rw\n");
    root.write("/proc/self/cgroup", "0::/x:y z\nrubbish\n\n");
    const std::string mount = root.string() + "/sys/fs/a b";
    BOOST_TEST(zsync::detail::cgroup_directories(root.string(), "cpu") == (std::vector{mount + "/x:y z", mount}),
               boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(parallelism_is_the_quota_rounded_up_and_at_least_one)
{
    const v2_root root;
    const std::string file = "/sys/fs/cgroup/system.slice/server.service/cpu.max";
    const auto cpus = static_cast<unsigned>(zsync::affinity_cpus().size());
    for (const auto& [quota, expected] :
         {std::pair("1000 100000", 1u), std::pair("100000 100000", 1u), std::pair("100001 100000", std::min(2u, cpus)),
          std::pair("99999999999999 1000", cpus), std::pair("max 100000", cpus), std::pair("0 0", cpus),
          std::pair("rubbish", cpus)})
    {
        root.write(file, quota);
        BOOST_TEST(zsync::usable_parallelism(root.string()) == expected, quota);
    }
}

BOOST_AUTO_TEST_CASE(this_machine_has_some_parallelism)
{
    const unsigned usable = zsync::usable_parallelism();
    BOOST_TEST(usable >= 1u);
    BOOST_TEST(usable <= zsync::affinity_cpus().size());
}

BOOST_AUTO_TEST_SUITE_END()
