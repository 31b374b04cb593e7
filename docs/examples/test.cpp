// SPDX-License-Identifier: BSL-1.0

// Runs the examples as a user would: a child process, its output, connections to it, signals.

#include "test_support.hpp"

#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <csignal>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace data = boost::unit_test::data;
using namespace test;

namespace
{

struct answer
{
    int status = 0;
    std::map<std::string, std::string> fields;
    std::string body;
};

answer read_answer(client& from, bool has_body = true)
{
    answer made;
    std::string version;
    from >> version >> made.status;
    from.read_line();
    for (std::string line; !(line = from.read_line()).empty() && line != "\r";)
        made.fields[line.substr(0, line.find(':'))] = line.substr(line.find(':') + 2, line.size() - line.find(':') - 3);
    if (has_body && made.fields.count("Content-Length"))
    {
        made.body.resize(std::stoul(made.fields["Content-Length"]));
        from.read(made.body.data(), static_cast<std::streamsize>(made.body.size()));
        BOOST_TEST(from.gcount() == static_cast<std::streamsize>(made.body.size()));
    }
    return made;
}

std::string post(std::string_view target, const std::string& body, std::string_view more_fields = {})
{
    return std::string("POST ").append(target).append(" HTTP/1.1\r\nHost: test\r\nContent-Length: ") +
           std::to_string(body.size()) + "\r\n" + std::string(more_fields) + "\r\n" + body;
}

const std::vector<std::string> twins = {"http_server_asio", "http_server_uring"};
constexpr std::string_view get = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";

} // namespace

BOOST_AUTO_TEST_SUITE(http_server)

BOOST_AUTO_TEST_CASE(twins_differ_in_one_line)
{
    const std::string was = "boost::asio::io_context ctx;";
    std::string text = content_of("docs/examples/http_server/http_server_asio.cpp");
    const auto at = text.find(was);
    BOOST_REQUIRE(at != text.npos);
    text.replace(at, was.size(), "zsync::uring_context ctx;");
    BOOST_TEST(text == content_of("docs/examples/http_server/http_server_uring.cpp"));
    BOOST_TEST(content_of("docs/examples/http_server/server.hpp").find("zsync") == std::string::npos);
}

BOOST_DATA_TEST_CASE(answers_requests_on_one_connection, data::make(twins), name)
{
    program server(name, {"0"});
    client peer(server.port());

    const answer greeting = read_answer(peer.send(get));
    BOOST_TEST(greeting.status == 200);
    BOOST_TEST(greeting.body == "Hello from Boost.Asio\n");

    answer head = read_answer(peer.send("HEAD /?query HTTP/1.1\r\nHost: test\r\n\r\n"), false);
    BOOST_TEST(head.status == 200);
    BOOST_TEST(head.fields["Content-Length"] == "22");

    answer echo = read_answer(peer.send(post("/echo", std::string("\0\r\n\xff", 4), "Content-Type: a/b\r\n")));
    BOOST_TEST(echo.status == 200);
    BOOST_TEST(echo.body == std::string("\0\r\n\xff", 4));
    BOOST_TEST(echo.fields["Content-Type"] == "a/b");
    BOOST_TEST(read_answer(peer.send(post("/echo", ""))).status == 200);

    BOOST_TEST(read_answer(peer.send("GET /nothing HTTP/1.1\r\nHost: test\r\n\r\n")).status == 404);
    answer refused = read_answer(peer.send(post("/", "body")));
    BOOST_TEST(refused.status == 405);
    BOOST_TEST(refused.fields["Allow"] == "GET, HEAD");
    refused = read_answer(peer.send("GET /echo HTTP/1.1\r\nHost: test\r\n\r\n"));
    BOOST_TEST(refused.status == 405);
    BOOST_TEST(refused.fields["Allow"] == "POST");

    // Pipelined; and one in many pieces.
    peer.send(std::string(get) + std::string(get) + post("/echo", "third"));
    BOOST_TEST(read_answer(peer).status == 200);
    BOOST_TEST(read_answer(peer).status == 200);
    BOOST_TEST(read_answer(peer).body == "third");
    for (const char letter : get)
        peer.send({&letter, 1});
    BOOST_TEST(read_answer(peer).status == 200);

    answer last = read_answer(peer.send("GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"));
    BOOST_TEST(last.status == 200);
    BOOST_TEST(last.fields["Connection"] == "close");
    BOOST_TEST(peer.at_end());
}

BOOST_DATA_TEST_CASE(limits_the_body, data::make(twins), name)
{
    program server(name, {"0"});
    const auto port = server.port();
    const std::string most(64 * 1024, 'x');

    client fits(port);
    BOOST_TEST(read_answer(fits.send(post("/echo", most))).body == most);

    // Refused before it is sent, and after.
    for (const std::string field : {"Expect: 100-continue\r\n", ""})
    {
        client too_big(port);
        BOOST_TEST(read_answer(too_big.send(post("/echo", most + "x", field))).status == 413);
        too_big.socket().shutdown(tcp::socket::shutdown_send);
        BOOST_TEST(too_big.at_end());
    }

    client chunked(port);
    chunked.send("POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n18000\r\n");
    chunked.send(std::string(0x18000, 'y'));
    BOOST_TEST(read_answer(chunked).status == 413);

    client asks_first(port);
    BOOST_TEST(read_answer(asks_first.send("POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n"
                                           "Expect: 100-continue\r\n\r\n"))
                   .status == 100);
    BOOST_TEST(read_answer(asks_first.send("ok")).body == "ok");
}

BOOST_DATA_TEST_CASE(refuses_what_is_no_request, data::make(twins), name)
{
    program server(name, {"0"});
    const auto port = server.port();
    const std::map<std::string, int> cases = {
        {"nonsense\r\n\r\n", 400},
        {"GET / HTTP/9.9\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400},
        {std::string("\0\0\0\0\r\n\r\n", 8), 400},
        {"POST /echo HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400},
        {"POST /echo HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", 400},
        {"POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
        {std::string("GET / HTTP/1.1\r\nX: ") + std::string(10'000, 'x') + "\r\n\r\n", 431},
    };
    for (const auto& [text, status] : cases)
    {
        BOOST_TEST_CONTEXT(text.substr(0, 60))
        {
            client peer(port);
            BOOST_TEST(read_answer(peer.send(text)).status == status);
            peer.socket().shutdown(tcp::socket::shutdown_send);
            BOOST_TEST(peer.at_end());
        }
    }

    client half(port);
    half.send("POST /echo HTTP/1.1\r\nContent-Length: 5\r\n\r\nab");
    half.socket().shutdown(tcp::socket::shutdown_send);
    BOOST_TEST(half.at_end());

    client still_served(port);
    BOOST_TEST(read_answer(still_served.send(get)).status == 200);
}

BOOST_DATA_TEST_CASE(closes_a_connection_that_is_idle_for_too_long, data::make(twins), name)
{
    program server(name, {"0", "1"});
    client silent(server.port());
    BOOST_TEST(silent.at_end());
}

BOOST_DATA_TEST_CASE(stops_in_order_on_a_signal, data::make(twins) * data::make({SIGINT, SIGTERM}), name, number)
{
    program server(name, {"0"});
    const auto port = server.port();
    client used(port);
    BOOST_TEST(read_answer(used.send(get)).status == 200);
    client half(port);
    half.send("GET / HTTP/1.1\r\n");
    // Known to have been accepted, and read: it came after the two above.
    client last(port);
    BOOST_TEST(read_answer(last.send(get)).status == 200);

    server.send_signal(number);
    BOOST_TEST(used.at_end());
    BOOST_TEST(half.at_end());
    BOOST_TEST(last.at_end());
    BOOST_TEST(server.line() == "stopped after 2 requests");
    BOOST_TEST(server.wait() == 0);
}

BOOST_DATA_TEST_CASE(explains_a_wrong_command_line, data::make(twins), name)
{
    const std::vector<std::vector<std::string>> wrong = {{},   {"x"},      {"-1"},      {"65536"},      {"80 "},
                                                         {""}, {"0", "0"}, {"0", "1s"}, {"0", "1", "2"}};
    for (const auto& arguments : wrong)
    {
        program server(name, arguments);
        BOOST_TEST(server.line().rfind("usage: ", 0) == 0);
        while (!server.line().empty())
            ;
        BOOST_TEST(server.wait() == 2);
    }
}

BOOST_DATA_TEST_CASE(reports_a_port_that_is_taken, data::make(twins), name)
{
    program first(name, {"0"});
    program second(name, {std::to_string(first.port())});
    BOOST_TEST(second.line().find("Address already in use") != std::string::npos);
    BOOST_TEST(second.wait() == 1);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_DATA_TEST_CASE(chat_server_passes_lines_on, data::make({"1", "3"}), threads)
{
    program server("chat_server", {"0", threads});
    const auto port = server.port();
    client one(port);
    client two(port);
    BOOST_TEST(one.read_line() == "member 2 is here"); // and so both are

    two.send("hello \x1b[31mthere\r\nagain\n");
    BOOST_TEST(one.read_line() == "member 2: hello [31mthere");
    BOOST_TEST(one.read_line() == "member 2: again");
    one.send("\n");
    BOOST_TEST(two.read_line() == "member 1: ");

    two.send(std::string(2000, 'x')); // no line may be that long
    BOOST_TEST(one.read_line() == "member 2 has left");

    server.send_signal(SIGTERM);
    BOOST_TEST(one.at_end());
    BOOST_TEST(server.line().rfind("stopped after ", 0) == 0);
    BOOST_TEST(server.wait() == 0);
}

BOOST_AUTO_TEST_CASE(native_executor_runs)
{
    program example("native_executor", {});
    BOOST_TEST(example.line() == "you said: hello");
    const std::string engine = example.line();
    BOOST_TEST_MESSAGE(engine);
    if (engine.rfind("io_uring", 0) == 0)
        BOOST_TEST(engine == "io_uring, 6 native operations");
    else
        BOOST_TEST_MESSAGE("skipped: no io_uring here");
    BOOST_TEST(example.wait() == 0);
}

BOOST_DATA_TEST_CASE(readme_shows_the_program_as_it_is, data::make({"echo_server.cpp", "seed_hello.cpp"}), name)
{
    std::string code = content_of(std::string("docs/examples/") + name);
    code.erase(0, code.find("#include")); // the licence, and what it is
    BOOST_TEST(content_of("README.md").find(std::string("```cpp\n") + code + "```\n") != std::string::npos);
}
