// SPDX-License-Identifier: BSL-1.0
// The one place that defines main() of a test program.
#include <zsync/core/detail/sanitizers.hpp>

#include <boost/test/unit_test.hpp>

#include <fcntl.h>
#include <unistd.h>

namespace
{

// A runner may start a program without standard input. A test that counts descriptors, or copies this one, would then
// see another picture than everywhere else.
void open_standard_descriptors()
{
    int fd = 0;
    while (fd >= 0 && fd <= STDERR_FILENO)
        fd = ::open("/dev/null", O_RDWR);
    ::close(fd);
}

bool name_the_suite()
{
    boost::unit_test::framework::master_test_suite().p_name.value = "zsync";
    return true;
}

} // namespace

#if ZSYNC_HAS_TSAN
// An exception that two threads hold, as a future's does: libstdc++, not compiled for ThreadSanitizer, counts its owners
// where that does not see it.
extern "C" const char* __tsan_default_suppressions()
{
    return "race:std::__exception_ptr::exception_ptr::_M_release\n";
}
#endif

int main(int argc, char* argv[])
{
    open_standard_descriptors();
    return boost::unit_test::unit_test_main(&name_the_suite, argc, argv);
}
