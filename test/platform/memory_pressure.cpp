// SPDX-License-Identifier: BSL-1.0
#include <zsync/platform/memory_pressure.hpp>

#include "support/pressure_fifo.hpp"

#include <boost/test/unit_test.hpp>

#include <string>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

using zsync::memory_pressure;

namespace
{

unsigned told(const memory_pressure& by)
{
    pollfd poll{by.descriptor(), static_cast<short>(by.events()), 0};
    ::poll(&poll, 1, 0);
    return static_cast<unsigned>(poll.revents);
}

// An unprivileged trigger: Linux 6.4, and PSI compiled in and not switched off.
boost::test_tools::assertion_result kernel_tells(boost::unit_test::test_unit_id)
{
    const memory_pressure probe("/proc/pressure/memory", {"some 200000 2000000", 20});
    boost::test_tools::assertion_result result(probe.descriptor() >= 0);
    if (!result)
        result.message() << "the kernel does not tell: " << probe.source();
    return result;
}

} // namespace

BOOST_AUTO_TEST_SUITE(platform_memory_pressure)

BOOST_AUTO_TEST_CASE(files_are_those_of_the_cgroup_inside_out_then_the_machines)
{
    const test::fake_root root;
    root.write("/proc/self/mountinfo", "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    root.write("/proc/self/cgroup", "0::/a/b\n");
    const std::vector<std::string> files = zsync::memory_pressure_files(root.string());
    const std::vector<std::string> expected = {
        root.string() + "/sys/fs/cgroup/a/b/memory.pressure", root.string() + "/sys/fs/cgroup/a/memory.pressure",
        root.string() + "/sys/fs/cgroup/memory.pressure", root.string() + "/proc/pressure/memory"};
    BOOST_TEST(files == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(files_without_cgroups_are_the_machines)
{
    const test::fake_root root;
    BOOST_TEST(zsync::memory_pressure_files(root.string()) ==
                   std::vector<std::string>{root.string() + "/proc/pressure/memory"},
               boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_fifo_in_the_environment_tells_again_once_it_was_acknowledged)
{
    const test::pressure_fifo system;
    memory_pressure pressure;
    BOOST_TEST(pressure.source() == system.path());
    BOOST_TEST((::fcntl(pressure.descriptor(), F_GETFD) & FD_CLOEXEC) != 0);
    BOOST_TEST(told(pressure) == 0u);
    for (int round = 0; round != 2; ++round)
    {
        system.tell();
        system.tell();
        const unsigned events = told(pressure);
        BOOST_TEST(events == unsigned{POLLIN});
        BOOST_TEST(pressure.acknowledge(events));
        BOOST_TEST(told(pressure) == 0u);
    }
}

BOOST_AUTO_TEST_CASE(a_socket_in_the_environment_gets_the_trigger_and_tells_until_it_is_closed)
{
    const test::fake_root root;
    const std::string path = root.string() + "/socket";
    test::descriptor listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    BOOST_REQUIRE(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    BOOST_REQUIRE(::listen(listener.get(), 1) == 0);

    const test::environment_variable watch("MEMORY_PRESSURE_WATCH", path.c_str());
    const test::environment_variable write("MEMORY_PRESSURE_WRITE", "c29tZQA="); // "some" and a zero
    memory_pressure pressure;
    BOOST_TEST(pressure.source() == path);
    test::descriptor peer(::accept(listener.get(), nullptr, nullptr));
    char trigger[16];
    BOOST_TEST(::read(peer.get(), trigger, sizeof trigger) == 5);
    BOOST_TEST(std::string(trigger, 5) == std::string("some\0", 5));

    BOOST_TEST(::write(peer.get(), "x", 1) == 1);
    BOOST_TEST(told(pressure) == unsigned{POLLIN});
    BOOST_TEST(pressure.acknowledge(POLLIN));
    peer.reset();
    BOOST_TEST((told(pressure) & POLLIN) != 0u);
    BOOST_TEST(!pressure.acknowledge(POLLIN));
}

BOOST_AUTO_TEST_CASE(dev_null_in_the_environment_switches_it_off)
{
    const test::environment_variable watch("MEMORY_PRESSURE_WATCH", "/dev/null");
    const memory_pressure pressure;
    BOOST_TEST(pressure.descriptor() == -1);
    BOOST_TEST(pressure.source() == "MEMORY_PRESSURE_WATCH is /dev/null");
}

BOOST_AUTO_TEST_CASE(what_cannot_be_watched_is_named_with_the_reason)
{
    const test::fake_root root;
    const memory_pressure missing(root.string() + "/nothing");
    BOOST_TEST(missing.descriptor() == -1);
    BOOST_TEST(missing.source() == root.string() + "/nothing: No such file or directory");
}

BOOST_AUTO_TEST_CASE(a_trigger_that_the_kernel_refuses_is_not_watched, *boost::unit_test::precondition(kernel_tells))
{
    const memory_pressure pressure("/proc/pressure/memory", {"nonsense", 9});
    BOOST_TEST(pressure.descriptor() == -1);
    BOOST_TEST(pressure.source() == "/proc/pressure/memory: Invalid argument");
}

BOOST_AUTO_TEST_CASE(the_kernel_takes_the_default_trigger, *boost::unit_test::precondition(kernel_tells))
{
    const test::environment_variable watch("MEMORY_PRESSURE_WATCH", nullptr);
    memory_pressure pressure;
    BOOST_TEST(pressure.descriptor() >= 0);
    BOOST_TEST(pressure.events() == unsigned{POLLPRI});
    BOOST_TEST(pressure.source().ends_with("memory") == pressure.source().starts_with("/proc"));
    BOOST_TEST(pressure.acknowledge(POLLPRI));
    BOOST_TEST(!pressure.acknowledge(POLLPRI | POLLERR)); // the cgroup has gone
}

BOOST_AUTO_TEST_CASE(base64_is_decoded_up_to_its_end)
{
    BOOST_TEST(zsync::detail::from_base64("") == "");
    BOOST_TEST(zsync::detail::from_base64("Zg==") == "f");
    BOOST_TEST(zsync::detail::from_base64("Zm8=") == "fo");
    BOOST_TEST(zsync::detail::from_base64("Zm9v") == "foo");
    BOOST_TEST(zsync::detail::from_base64("Zm9vYmFy\n") == "foobar");
    BOOST_TEST(zsync::detail::from_base64("c29tZSAyMDAwMDAgMjAwMDAwMAA=") == std::string("some 200000 2000000", 20));
}

BOOST_AUTO_TEST_SUITE_END()
