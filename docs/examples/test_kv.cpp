// SPDX-License-Identifier: BSL-1.0

// The key-value server: its parser and its commands by themselves, then the program.

#include "kv/commands.hpp"
#include "kv/input_buffer.hpp"
#include "kv/request_parser.hpp"

#include "allocations.hpp"
#include "test_support.hpp"

#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace data = boost::unit_test::data;
using namespace test;
using namespace std::string_literals;

namespace
{

using outcome = kv::request_parser::outcome;
using requests = std::vector<std::vector<std::string>>;

/// All requests of a text that comes in pieces of some bytes; the last one may be the error.
requests parse(std::string_view text, std::size_t piece)
{
    requests made;
    kv::request_parser parser;
    kv::input_buffer buffer(kv::longest_request);
    while (!text.empty())
    {
        const std::size_t bytes = std::min({piece, text.size(), buffer.room().size()});
        text.copy(buffer.room().data(), bytes);
        buffer.commit(bytes);
        text.remove_prefix(bytes);
        outcome result;
        while ((result = parser.parse(buffer.view())) == outcome::complete)
        {
            made.emplace_back(parser.words().begin(), parser.words().end());
            buffer.consume(parser.size());
        }
        if (result == outcome::malformed)
        {
            made.push_back({"malformed", std::string(parser.error())});
            break;
        }
        buffer.compact(kv::input_buffer::first_size);
    }
    return made;
}

std::string answers(kv::store& values, std::vector<std::string_view> request)
{
    std::string out;
    kv::answer(request, values, out);
    return out;
}

std::string bulks(const std::vector<std::string>& words)
{
    std::string text = "*" + std::to_string(words.size()) + "\r\n";
    for (const std::string& each : words)
        text += "$" + std::to_string(each.size()) + "\r\n" + each + "\r\n";
    return text;
}

} // namespace

BOOST_AUTO_TEST_SUITE(key_value)

BOOST_AUTO_TEST_CASE(parser_finds_the_same_requests_however_the_input_is_cut)
{
    const std::string big(100'000, 'v');
    const std::vector<std::pair<std::string, requests>> cases = {
        {"", {}},
        {"PING\r\n", {{"PING"}}},
        {"  SET\ta  b \n", {{"SET", "a", "b"}}},
        {"\r\n\n*0\r\nPING\r\n", {{}, {}, {}, {"PING"}}},
        {"GET a\r\nGET b\r\nGET", {{"GET", "a"}, {"GET", "b"}}},
        {"*1\r\n$4\r\nPING\r\n", {{"PING"}}},
        {"*2\r\n$3\r\nGET\r\n$0\r\n\r\n", {{"GET", ""}}},
        {bulks({"SET", "\r\n$1\r\n"s, "\0\xff\r\n"s}), {{"SET", "\r\n$1\r\n"s, "\0\xff\r\n"s}}},
        {bulks({"GET", "a"}) + "PING\r\n" + bulks({"DEL", "b"}), {{"GET", "a"}, {"PING"}, {"DEL", "b"}}},
        {bulks({"SET", "k", big}) + bulks({"GET", "k"}), {{"SET", "k", big}, {"GET", "k"}}},
        {bulks(std::vector<std::string>(2000, "x")), {std::vector<std::string>(2000, "x")}},
        {"*2\r\n$3\r\nGET\r\n$1\r\nx\r", {}},
    };
    for (const auto& [text, expected] : cases)
        for (const std::size_t piece : {1ul, 2ul, 3ul, 7ul, 4096ul, text.size() + 1})
            BOOST_TEST((parse(text, piece) == expected), text.substr(0, 60) << " in pieces of " << piece);
}

BOOST_AUTO_TEST_CASE(parser_refuses_what_is_no_request)
{
    const std::string too_long(kv::longest_line, 'x');
    const std::string a_mebibyte(1024 * 1024, 'x');
    const std::map<std::string, std::string> cases = {
        {"*-1\r\n", "invalid multibulk length"},
        {"*\r\n", "invalid multibulk length"},
        {"*x\r\n", "invalid multibulk length"},
        {"*1\n", "invalid multibulk length"},
        {"*65537\r\n", "invalid multibulk length"},
        {"*99999999999999999999\r\n", "invalid multibulk length"},
        {"*" + std::string(40, '1'), "invalid multibulk length"},
        {"*1\r\n+OK\r\n", "expected '$'"},
        {"*1\r\nPING\r\n", "expected '$'"},
        {"*1\r\n$-1\r\n", "invalid bulk length"},
        {"*1\r\n$-5\r\nhello\r\n", "invalid bulk length"},
        {"*1\r\n$\r\n", "invalid bulk length"},
        {"*1\r\n$4 \r\nPING\r\n", "invalid bulk length"},
        {"*1\r\n$536870913\r\n", "invalid bulk length"},
        {"*1\r\n$18446744073709551615\r\n", "invalid bulk length"},
        {"*1\r\n$4\r\nPINGxx", "bulk string without its end"},
        {"*2\r\n$1048576\r\n" + a_mebibyte + "\r\n$536870912\r\n", "too big request"},
        {too_long, "too big inline request"},
    };
    for (const auto& [text, error] : cases)
        for (const std::size_t piece : {std::size_t{1}, text.size()})
        {
            const requests made = parse(bulks({"PING"}) + text, piece);
            BOOST_TEST((made == requests{{"PING"}, {"malformed", error}}), text.substr(0, 60));
        }
    BOOST_TEST((parse("*1\r\n$536870912\r\n", 100).empty())); // the longest that is allowed
}

BOOST_AUTO_TEST_CASE(commands_answer)
{
    kv::store values;
    const auto ask = [&](std::vector<std::string_view> request) { return answers(values, std::move(request)); };
    BOOST_TEST(ask({"PING"}) == "+PONG\r\n");
    BOOST_TEST(ask({"ping", "\r\n"}) == "$2\r\n\r\n\r\n");
    BOOST_TEST(ask({"GET", "a"}) == "$-1\r\n");
    BOOST_TEST(ask({"SET", "a", std::string_view("\0\r\n", 3)}) == "+OK\r\n");
    BOOST_TEST(ask({"get", "a"}) == "$3\r\n\0\r\n\r\n"s);
    BOOST_TEST(ask({"SET", "a", ""}) == "+OK\r\n");
    BOOST_TEST(ask({"GET", "a"}) == "$0\r\n\r\n");
    BOOST_TEST(ask({"SET", "", "b"}) == "+OK\r\n");
    BOOST_TEST(ask({"DEL", "a", "nothing", "", "a"}) == ":2\r\n");
    BOOST_TEST(ask({"INCR", "n"}) == ":1\r\n");
    BOOST_TEST(ask({"INCR", "n"}) == ":2\r\n");
    BOOST_TEST(ask({"SET", "n", "-1"}) == "+OK\r\n");
    BOOST_TEST(ask({"INCR", "n"}) == ":0\r\n");
    BOOST_TEST(ask({"COMMAND", "DOCS"}) == "*0\r\n");
    BOOST_TEST(ask({"CONFIG", "GET", "save"}) == "*2\r\n$4\r\nsave\r\n$0\r\n\r\n");

    for (const std::string_view none : {"", " 1", "1 ", "x", "1.5", "9223372036854775808"})
    {
        ask({"SET", "n", none});
        BOOST_TEST(ask({"INCR", "n"}) == "-ERR value is not an integer or out of range\r\n");
    }
    ask({"SET", "n", "9223372036854775807"});
    BOOST_TEST(ask({"INCR", "n"}) == "-ERR increment or decrement would overflow\r\n");
    BOOST_TEST(ask({"GET", "n"}) == "$19\r\n9223372036854775807\r\n");

    const std::vector<std::vector<std::string_view>> wrong = {
        {"PING", "a", "b"},      {"GET"}, {"GET", "a", "b"}, {"SET", "a"},
        {"SET", "a", "b", "NX"}, {"DEL"}, {"INCR"},          {"INCR", "a", "b"},
        {"CONFIG", "GET"}};
    for (const auto& each : wrong)
        BOOST_TEST(ask(each).starts_with("-ERR wrong number of arguments"), each[0]);
    BOOST_TEST(ask({"FLUSHALL"}) == "-ERR unknown command\r\n");
    BOOST_TEST(ask({"CONFIG", "SET", "a", "b"}) == "-ERR unknown subcommand\r\n");
    BOOST_TEST(ask({"\r\n"}) == "-ERR unknown command\r\n");
}

BOOST_AUTO_TEST_CASE(nothing_is_allocated_for_a_request_once_warm)
{
    const std::string input = bulks({"SET", "a key that is too long to be kept in place", std::string(100, 'v')}) +
                              bulks({"GET", "a key that is too long to be kept in place"}) + bulks({"INCR", "n"}) +
                              "PING\r\n";
    kv::store values;
    kv::request_parser parser;
    std::string out;
    const auto round = [&]
    {
        out.clear();
        std::string_view rest = input;
        while (parser.parse(rest) == outcome::complete)
        {
            kv::answer(parser.words(), values, out);
            rest.remove_prefix(parser.size());
        }
    };
    round();
    round();
    const auto before = allocations();
    for (int repeat = 0; repeat < 1000; ++repeat)
        round();
    const auto after = allocations();
    BOOST_TEST(after == before);
    BOOST_TEST(out.starts_with("+OK\r\n$100\r\n"));
    BOOST_TEST(out.ends_with(":1002\r\n+PONG\r\n"));
}

BOOST_AUTO_TEST_CASE(serves_pipelines_and_pieces)
{
    program server("kv_server", {"0"});
    const auto port = server.port();
    client peer(port);
    peer.send("PING\r\n" + bulks({"SET", "a", "\r\n\0"s}) + bulks({"GET", "a"}) + bulks({"nonsense"}) +
              bulks({"INCR", "n"}));
    const std::string expected = "+PONG\r\n+OK\r\n$3\r\n\r\n\0\r\n-ERR unknown command\r\n:1\r\n"s;
    std::string got(expected.size(), '\0');
    peer.read(got.data(), static_cast<std::streamsize>(got.size()));
    BOOST_TEST(got == expected);

    for (const char letter : bulks({"INCR", "n"}))
        peer.send({&letter, 1});
    BOOST_TEST(peer.read_line() == ":2\r");
    client second(port);
    BOOST_TEST(second.send("GET n\r\n").read_line() == "$1\r");
    BOOST_TEST(second.read_line() == "2\r");

    second.send("PING\r\n*1\r\n$-5\r\nPING\r\n");
    BOOST_TEST(second.read_line() == "+PONG\r");
    BOOST_TEST(second.read_line() == "-ERR Protocol error: invalid bulk length\r");
    BOOST_TEST(second.at_end());
    BOOST_TEST(peer.send("PING\r\n").read_line() == "+PONG\r");
}

BOOST_AUTO_TEST_CASE(stops_idle_sessions_at_once_and_lets_an_answer_be_finished)
{
    constexpr std::size_t size = 32 * 1024 * 1024; // more than the sockets hold
    program server("kv_server", {"0"});
    const auto port = server.port();
    client idle(port);
    client half(port);
    BOOST_TEST(half.send("PING\r\n*1\r\n$4\r\nPI").read_line() == "+PONG\r");
    client busy(port);
    BOOST_TEST(busy.send(bulks({"SET", "big", std::string(size, 'b')})).read_line() == "+OK\r");
    BOOST_TEST(busy.send("GET big\r\n").read_line() == "$" + std::to_string(size) + "\r"); // it is being written

    server.send_signal(SIGTERM);
    BOOST_TEST(idle.at_end());
    BOOST_TEST(half.at_end());
    std::string value(size + 2, '\0');
    busy.read(value.data(), static_cast<std::streamsize>(value.size()));
    BOOST_TEST(busy.gcount() == static_cast<std::streamsize>(value.size()));
    BOOST_TEST((value == std::string(size, 'b') + "\r\n"));
    BOOST_TEST(busy.at_end());
    BOOST_TEST(server.line().starts_with("stopped after 3 requests"));
    BOOST_TEST(server.wait() == 0);
}

BOOST_AUTO_TEST_CASE(a_second_signal_ends_what_does_not_end)
{
    program server("kv_server", {"0"});
    const auto port = server.port();
    client stuck(port);
    const std::string value(32 * 1024 * 1024, 'b');
    BOOST_TEST(stuck.send(bulks({"SET", "big", value})).read_line() == "+OK\r");
    BOOST_TEST(stuck.send("GET big\r\n").read_line() == "$" + std::to_string(value.size()) + "\r");
    client idle(port);

    const auto start = std::chrono::steady_clock::now();
    server.send_signal(SIGTERM);
    BOOST_TEST(idle.at_end()); // the first one has been seen
    server.send_signal(SIGINT);
    BOOST_TEST(server.line().starts_with("stopped after 2 requests"));
    BOOST_TEST(server.wait() == 0);
    const bool at_once = std::chrono::steady_clock::now() - start < std::chrono::seconds(5); // the deadline
    BOOST_TEST(at_once);
}

BOOST_AUTO_TEST_CASE(under_load_requests_finish_and_the_rest_is_cancelled_at_the_deadline)
{
    constexpr std::size_t size = 32 * 1024 * 1024; // more than the sockets hold
    constexpr int workers = 12;
    program server("kv_server", {"0", "1"}); // a second
    const auto port = server.port();

    // Who never finish: one does not read its answer, one does not end its request.
    client stuck(port);
    BOOST_TEST(stuck.send(bulks({"SET", "big", std::string(size, 'b')})).read_line() == "+OK\r");
    BOOST_TEST(stuck.send("GET big\r\n").read_line() == "$" + std::to_string(size) + "\r");
    client half(port);
    BOOST_TEST(half.send("PING\r\n*2\r\n$3\r\nGE").read_line() == "+PONG\r");

    // Each counts the answers that it has had, whole and right, until the connection ends.
    std::atomic<std::uint64_t> answered{3};
    std::atomic<int> wrong{0};
    std::vector<std::thread> load;
    for (int worker = 0; worker < workers; ++worker)
        load.emplace_back(
            [&, key = "key" + std::to_string(worker)]
            {
                client peer(port);
                for (int round = 0;; ++round)
                {
                    const std::string value = std::to_string(round) + std::string(1000, 'v');
                    const std::string stored = peer.send(bulks({"SET", key, value})).read_line();
                    if (!peer)
                    {
                        wrong += !stored.empty();
                        return;
                    }
                    ++answered;
                    const std::string length = peer.send(bulks({"GET", key})).read_line();
                    const std::string got = peer.read_line();
                    if (!peer)
                    {
                        wrong += !length.empty() || !got.empty();
                        return;
                    }
                    ++answered;
                    wrong +=
                        stored != "+OK\r" || length != "$" + std::to_string(value.size()) + "\r" || got != value + "\r";
                }
            });
    while (answered < 1'000)
        std::this_thread::yield();

    const auto start = std::chrono::steady_clock::now();
    server.send_signal(SIGTERM);
    for (std::thread& each : load)
        each.join();
    BOOST_TEST(half.at_end());
    const std::string goodbye = server.line();
    const auto took = std::chrono::steady_clock::now() - start;
    BOOST_TEST(wrong == 0);
    // What the server has done, it has answered; and nobody is owed the answer that nobody takes.
    BOOST_TEST(goodbye.starts_with("stopped after " + std::to_string(answered) + " requests"), goodbye);
    BOOST_TEST((took >= std::chrono::seconds(1)));
    BOOST_TEST((took < std::chrono::seconds(15)));
    BOOST_TEST(server.wait() == 0);
}

BOOST_AUTO_TEST_CASE(redis_cli_works)
{
    program server("kv_server", {"0"});
    const std::string port = std::to_string(server.port());
    const auto ask = [&](std::vector<std::string> words, int& exit_code)
    {
        words.insert(words.begin(), {"-p", port});
        program cli("redis-cli", words, true);
        std::string text = cli.rest();
        exit_code = cli.wait();
        return text;
    };
    int exit_code = 0;
    const std::string pong = ask({"PING"}, exit_code);
    if (exit_code == 127)
    {
        BOOST_TEST_MESSAGE("skipped: redis-cli is not installed");
        return;
    }
    BOOST_TEST(pong == "PONG\n");
    BOOST_TEST(ask({"SET", "a", "41"}, exit_code) == "OK\n");
    BOOST_TEST(ask({"INCR", "a"}, exit_code) == "42\n");
    BOOST_TEST(ask({"GET", "a"}, exit_code) == "42\n");
    BOOST_TEST(ask({"DEL", "a", "b"}, exit_code) == "1\n");
    BOOST_TEST(ask({"GET", "a"}, exit_code) == "\n");
    BOOST_TEST(ask({"HELP ME"}, exit_code).starts_with("ERR unknown command"));
}

BOOST_DATA_TEST_CASE(redis_benchmark_works, data::make({"1", "16"}), pipeline)
{
    program server("kv_server", {"0"});
    program benchmark("redis-benchmark",
                      {"-p", std::to_string(server.port()), "-t", "ping,set,get,incr", "-n", "4000", "-c", "50", "-P",
                       pipeline, "-r", "100", "-q"},
                      true);
    const std::string text = benchmark.rest();
    const int exit_code = benchmark.wait();
    if (exit_code == 127)
    {
        BOOST_TEST_MESSAGE("skipped: redis-benchmark is not installed");
        return;
    }
    BOOST_TEST(exit_code == 0);
    for (const char* name : {"PING_INLINE: ", "PING_MBULK: ", "SET: ", "GET: ", "INCR: "})
        BOOST_TEST(text.find(name) != text.npos);
    for (const char* bad : {"rror", "WARN", "ERR"})
        BOOST_TEST(text.find(bad) == text.npos, text);
    server.send_signal(SIGTERM);
    const std::string goodbye = server.line();
    BOOST_TEST(std::stoul(goodbye.substr(goodbye.find_first_of("0123456789"))) >= 5 * 4000);
    BOOST_TEST(server.wait() == 0);
}

BOOST_AUTO_TEST_SUITE_END()
