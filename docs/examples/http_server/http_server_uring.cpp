// SPDX-License-Identifier: BSL-1.0
#include "server.hpp"

int main(int argc, char** argv)
{
    zsync::uring_context ctx;
    return example::run_http_server(ctx, argc, argv);
}
