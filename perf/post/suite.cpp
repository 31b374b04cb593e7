// SPDX-License-Identifier: BSL-1.0
#include "harness/suite.hpp"

#include <utility>

namespace perf
{

namespace
{

cell self_post(std::string name, std::string program, engine does, const std::string& mode, const std::string& chains)
{
    return {.name = std::move(name),
            .program = std::move(program),
            .arguments = {"mode=" + mode, "chains=" + chains},
            .does = does};
}

group self_posts(const std::string& chains, std::uint64_t count)
{
    const auto compare = [&](const std::string& how, std::string zsync, std::string peer)
    {
        return row{.name = "self-repost, " + chains + (chains == "1" ? " chain, " : " chains, ") + how,
                   .unit = "ns of CPU a post",
                   .metric = "cpu_ns",
                   .zsync = std::move(zsync),
                   .peer = std::move(peer),
                   .goal = 0.95};
    };
    return {.cells = {self_post("io_context", "self_post_asio", engine::epoll, "default", chains),
                      self_post("uring_context", "self_post_zsync", engine::hosted, "default", chains),
                      self_post("io_context(1)", "self_post_asio", engine::epoll, "hint-1", chains),
                      self_post("uring_context(1)", "self_post_zsync", engine::hosted, "hint-1", chains)},
            .rows = {compare("default constructor", "uring_context", "io_context"),
                     compare("hint 1", "uring_context(1)", "io_context(1)")},
            .count = count,
            .operation = "post",
            .countable = true};
}

} // namespace

suite post_suite()
{
    return {.name = "post",
            .description = "handlers that post themselves",
            .groups = {self_posts("1", 2'000'000), self_posts("256", 10'000'000)}};
}

} // namespace perf
