// SPDX-License-Identifier: BSL-1.0
// Says why there is no ring, if there is none: upstream's tests would then prove nothing.
#include <zsync/uring/uring_context.hpp>

#include <cstdio>

int main()
{
    const zsync::uring_context ctx;
    if (ctx.engine() == zsync::engine_kind::uring)
        return 0;
    std::puts(ctx.why().c_str());
    return 77;
}
