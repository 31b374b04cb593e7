// SPDX-License-Identifier: BSL-1.0

// The fiber servers' common life, the echo server, and the cells of the demo.

#include "demo/child.hpp"
#include "demo/echo_client.hpp"
#include "test_support.hpp"

#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace data = boost::unit_test::data;
using namespace test;

namespace
{

const std::vector<std::string> servers = {"fiber_echo_server", "kv_server"};
const std::vector<std::string> cells = {"blocking,system", "green,io_uring", "green,epoll"};

struct life
{
    demo::exchange client;
    std::uint64_t messages = 0;
    std::uint64_t allocations = 0;
    int exit_code = -1;
};

/// An echo server from its start to its end.
life echo(demo::workload load)
{
    program server("fiber_echo_server", {"0"});
    life made;
    made.client = demo::run_client(server.port(), load);
    server.send_signal(SIGTERM);
    const std::string goodbye = server.line();
    BOOST_TEST(std::sscanf(goodbye.c_str(), "stopped after %lu messages, %lu allocations", &made.messages,
                           &made.allocations) == 2,
               goodbye);
    made.exit_code = server.wait();
    return made;
}

std::map<std::string, std::string> facts_of(program& cell)
{
    std::map<std::string, std::string> facts;
    for (std::string line; !(line = cell.line()).empty();)
        facts[line.substr(0, line.find('='))] = line.substr(line.find('=') + 1);
    return facts;
}

} // namespace

BOOST_AUTO_TEST_SUITE(fiber_servers)

BOOST_AUTO_TEST_CASE(echoes_on_two_hundred_connections)
{
    const life made = echo({200, 100});
    BOOST_TEST(made.client.requests == 20'000u);
    BOOST_TEST(made.messages >= 20'000u);
    BOOST_TEST(made.exit_code == 0);
}

BOOST_AUTO_TEST_CASE(allocates_nothing_for_a_message_once_warm)
{
    const life few = echo({20, 10});
    const life many = echo({20, 500});
    BOOST_TEST(many.messages >= 10'000u);
    BOOST_TEST_MESSAGE("allocations: " << few.allocations << " for " << few.messages << " messages, "
                                       << many.allocations << " for " << many.messages);
    BOOST_TEST(many.allocations < few.allocations + 100); // sessions overlap more or less
}

BOOST_DATA_TEST_CASE(stops_on_a_signal, data::make(servers) * data::make({SIGINT, SIGTERM}), name, number)
{
    program server(name, {"0"});
    const auto port = server.port();
    client one(port);
    client two(port);
    BOOST_TEST(two.send("PING\r\n").read_line().find("P") != std::string::npos); // both have been accepted
    server.send_signal(number);
    BOOST_TEST(one.at_end());
    BOOST_TEST(two.at_end());
    BOOST_TEST(server.line().starts_with("stopped after 1 "));
    BOOST_TEST(server.wait() == 0);
}

BOOST_DATA_TEST_CASE(explains_a_wrong_command_line, data::make(servers), name)
{
    const std::vector<std::vector<std::string>> wrong = {{},   {"x"},   {"-1"},     {"+1"},          {"65536"}, {"80 "},
                                                         {""}, {"1.5"}, {"0", "x"}, {"0", "1", "2"}, {"--help"}};
    for (const auto& arguments : wrong)
    {
        std::vector<std::string> command = {argument(1) + "/" + name};
        command.insert(command.end(), arguments.begin(), arguments.end());
        demo::child server(command, true);
        BOOST_TEST(server.line() == ""); // standard output
        BOOST_TEST(server.error_line().starts_with("usage: "));
        BOOST_TEST(server.wait() == 2);
    }
}

BOOST_DATA_TEST_CASE(reports_a_port_that_is_taken, data::make(servers), name)
{
    program first(name, {"0"});
    program second(name, {std::to_string(first.port())});
    BOOST_TEST(second.line().find("Address already in use") != std::string::npos);
    BOOST_TEST(second.wait() == 1);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(seeds)

BOOST_AUTO_TEST_CASE(hello_is_said_three_times)
{
    program seed("seed_hello", {});
    BOOST_TEST(seed.rest() == "Hello World!\nHello World!\nHello World!\n");
    BOOST_TEST(seed.wait() == 0);
}

BOOST_AUTO_TEST_CASE(vectored_reads_what_was_written_in_both_models)
{
    program seed("seed_vectored", {});
    BOOST_TEST(seed.rest() == "Hello World!\nHello World!\n");
    BOOST_TEST(seed.wait() == 0);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(tours)

BOOST_AUTO_TEST_CASE(give_the_same_result_everywhere)
{
    std::map<std::string, std::string> first;
    for (const std::string& name : cells)
    {
        program cell("demo", {"--cell", name});
        auto facts = facts_of(cell);
        const int exit_code = cell.wait();
        if (exit_code == 3)
        {
            BOOST_TEST_MESSAGE("skipped: " << name << ": " << facts["failed"]);
            continue;
        }
        BOOST_TEST_CONTEXT(name)
        {
            BOOST_TEST(exit_code == 0);
            BOOST_TEST(facts["equal"] == "yes");
            BOOST_TEST(facts["greeting"] == "Hello from zsync!");
            BOOST_TEST(facts["model"] == name.substr(0, name.find(',')));
            BOOST_TEST(facts["threads_started"] == "0");
            if (first.empty())
                first = facts;
            for (const char* key : {"operations", "bytes", "hash"})
                BOOST_TEST(facts[key] == first[key]);
        }
    }
    BOOST_TEST(std::stoul(first["bytes"]) > 7'000'000u);
}

BOOST_DATA_TEST_CASE(report_what_is_no_file, data::make(cells), name)
{
    std::string directory = (std::filesystem::temp_directory_path() / "zsync-test-XXXXXX").string();
    BOOST_REQUIRE(::mkdtemp(directory.data()));
    const auto failure_of = [&](int& exit_code)
    {
        program cell("demo", {"--cell", name, directory});
        const std::string failure = facts_of(cell)["failed"];
        exit_code = cell.wait();
        return failure;
    };
    int exit_code = 0;
    const std::string missing = failure_of(exit_code);
    if (exit_code == 3)
        BOOST_TEST_MESSAGE("skipped: " << missing);
    else
    {
        BOOST_TEST(exit_code == 1);
        BOOST_TEST(missing.find("No such file or directory") != missing.npos, missing);
        std::filesystem::create_directory(directory + "/original");
        const std::string no_file = failure_of(exit_code);
        BOOST_TEST(exit_code == 1);
        BOOST_TEST(no_file.find("Is a directory") != no_file.npos, no_file);
    }
    std::filesystem::remove_all(directory);
}

BOOST_AUTO_TEST_CASE(make_plain_system_calls_in_the_blocking_model)
{
    // The leak sanitizer is a tracer itself, and refuses to run below another.
    demo::child traced({"strace", "-f", "-c", "-qq", "-E", "ASAN_OPTIONS=detect_leaks=0", argument(1) + "/demo",
                        "--cell", "blocking,system"},
                       true);
    std::string said;
    for (std::string line; !(line = traced.line()).empty();)
        said += line + "\n";
    auto calls = demo::calls_counted_by_strace(traced);
    const int exit_code = traced.wait();
    if (said.empty() || calls.empty())
    {
        BOOST_TEST_MESSAGE("skipped: strace is not installed, or may not trace here");
        return;
    }
    BOOST_TEST(exit_code == 0);
    BOOST_TEST(said.find("threads_started=0\n") != said.npos);
    BOOST_TEST(calls["recvfrom"] == 401u);
    BOOST_TEST(calls["sendto"] == 400u);
    BOOST_TEST(calls["accept4"] == 1u);
    BOOST_TEST(calls["connect"] == 1u);
    for (const char* other :
         {"clone", "clone3", "fork", "vfork", "poll", "ppoll", "select", "pselect6", "epoll_create1", "epoll_ctl",
          "epoll_wait", "epoll_pwait", "eventfd2", "timerfd_create", "io_uring_setup", "io_uring_enter"})
        BOOST_TEST(calls[other] == 0u, other);
}

BOOST_AUTO_TEST_CASE(explain_a_wrong_command_line)
{
    const std::vector<std::vector<std::string>> wrong = {{"x"},
                                                         {"--cell"},
                                                         {"--cell", ""},
                                                         {"--cell", "blocking"},
                                                         {"--cell", "blocking,epoll"},
                                                         {"--cell", "green,epoll", "more", "and more"},
                                                         {"--help"}};
    for (const auto& arguments : wrong)
    {
        program cell("demo", arguments);
        BOOST_TEST(cell.line().starts_with("usage: "));
        BOOST_TEST(cell.wait() == 2);
    }
}

BOOST_AUTO_TEST_SUITE_END()
