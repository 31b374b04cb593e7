// SPDX-License-Identifier: BSL-1.0
// One function, run in three ways: on the calling thread, on the fastest model there is, and on fibers.
#include <zsync/io/io.hpp>
#include <zsync/io/run.hpp>

void task(zsync::io io)
{
    auto future = io.write("Hello World!\n");
    future.await();
}

int main()
{
    zsync::run_blocking(task);
    zsync::run_high_perf(task);
    return zsync::run(task);
}
