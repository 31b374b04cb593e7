// SPDX-License-Identifier: BSL-1.0

// The transcripts of docs/debugging.md are what the example prints, but for addresses, times and sizes; and gdb shows
// the fibers of a process and of its core file.

#include "test_support.hpp"

#include <filesystem>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

using namespace test;

namespace
{

std::string output_of(const std::string& name, const std::vector<std::string>& arguments, bool anywhere = false)
{
    program run(name, arguments, anywhere);
    std::string text = run.rest();
    BOOST_TEST(run.wait() == 0, text);
    return text;
}

/// The block of code below the line that names a command.
std::string transcript(const std::string& command)
{
    const std::string page = content_of("docs/debugging.md");
    const std::string start = "```\n$ " + command + "\n";
    const auto at = page.find(start);
    BOOST_REQUIRE_MESSAGE(at != page.npos, command);
    return page.substr(at + start.size(), page.find("```", at + 3) - at - start.size());
}

/// The lines that are no frames, without what differs from run to run. Of the frames, the functions of the example, for
/// others depend on what the compiler has inlined.
std::string shape_of(const std::string& text)
{
    std::istringstream lines(text);
    std::string shape;
    for (std::string line; std::getline(lines, line);)
    {
        std::smatch found;
        if (std::regex_search(line, found, std::regex(R"(#\d+ .*\b(serve|hold|update|compute|all_wait)\()")))
            shape += "    " + found[1].str() + '\n';
        else if (!std::regex_search(line, std::regex(R"(^ *#\d+ )")))
            shape += std::regex_replace(line, std::regex(R"(0x[0-9a-f]+|\d+\.\d{3}|io_uring|epoll|\d+)"), "N") + '\n';
    }
    return shape;
}

void check_transcript(const std::string& kind)
{
    const std::string printed = output_of("debugging", {kind});
    // Where the machine keeps a thread waiting, the loop of another moment may be reported as stalled before.
    BOOST_TEST(shape_of(printed).ends_with(shape_of(transcript("debugging " + kind))), printed);
}

/// What gdb prints when it runs the commands; empty, and a reported skip, where it cannot.
std::string gdb(const std::vector<std::string>& commands, const std::vector<std::string>& subject)
{
    std::vector<std::string> words = {"-nx",  "-batch",
                                      "-iex", "set debuginfod enabled off",
                                      "-ex",  "source " + argument(2) + "/libs/fiber/zsync-gdb.py"};
    for (const std::string& each : commands)
        words.insert(words.end(), {"-ex", each});
    words.insert(words.end(), subject.begin(), subject.end());
    program run("gdb", words, true);
    std::string text = run.rest();
    if (run.wait() == 127)
    {
        BOOST_TEST_MESSAGE("skipped: there is no gdb");
        return "";
    }
    if (std::regex_search(text, std::regex("ptrace: |Could not trace|No symbol table|no debug information|"
                                           "Python scripting is not supported")))
    {
        BOOST_TEST_MESSAGE("skipped: gdb cannot do it here: " + text);
        return "";
    }
    return text;
}

bool contains(const std::string& text, const std::string& expression)
{
    return std::regex_search(text, std::regex(expression));
}

void check_list(const std::string& shown)
{
    BOOST_TEST(contains(shown, R"(fiber_context at 0x\w+: 5 fibers)"), shown);
    BOOST_TEST(contains(shown, R"("server" waits for boost::asio::.*accept)"), shown);
    BOOST_TEST(contains(shown, R"("holder" waits for a point in time)"), shown);
    BOOST_TEST(contains(shown, R"("updater" waits for zsync::mutex at 0x)"), shown);
    BOOST_TEST(contains(shown, R"("joiner" waits for fiber \d+ "updater")"), shown);
    BOOST_TEST(contains(shown, R"("looker" runs)"), shown);
}

/// The commands for the backtraces of two fibers that are in a list.
std::vector<std::string> backtraces(const std::string& shown)
{
    std::vector<std::string> commands;
    for (const char* name : {"updater", "looker"})
    {
        std::smatch found;
        BOOST_REQUIRE_MESSAGE(std::regex_search(shown, found, std::regex("fiber (\\d+) \"" + std::string(name) + "\"")),
                              shown);
        commands.push_back("zsync bt " + found[1].str());
    }
    commands.push_back("zsync bt 999999");
    return commands;
}

void check_backtraces(const std::string& shown)
{
    BOOST_TEST(contains(shown, R"("updater" waits for zsync::mutex at 0x\w+\n(#0 .*\n)?#\d .*zsync::detail::)"), shown);
    BOOST_TEST(contains(shown, R"(\n#\d+ .*\bupdate \(lock=)"), shown);
    BOOST_TEST(contains(shown, R"("looker" runs\n#0 )"), shown);
    BOOST_TEST(contains(shown, R"(\n#\d+ .*\ball_wait \()"), shown);
    BOOST_TEST(contains(shown, "zsync: there is no fiber 999999"), shown);
}

} // namespace

BOOST_AUTO_TEST_SUITE(debugging)

BOOST_AUTO_TEST_CASE(a_dump_is_as_documented)
{
    check_transcript("dump");
}

BOOST_AUTO_TEST_CASE(the_report_of_a_stall_is_as_documented)
{
    check_transcript("stall");
}

BOOST_AUTO_TEST_CASE(the_report_of_a_deadlock_is_as_documented)
{
    check_transcript("deadlock");
}

BOOST_AUTO_TEST_CASE(gdb_lists_the_fibers_of_a_process_and_unwinds_them)
{
    const std::string path = argument(1) + "/debugging";
    const std::vector<std::string> start = {"break all_wait", "run gdb", "zsync fibers"};
    const std::string listed = gdb(start, {path});
    if (listed.empty())
        return;
    check_list(listed);

    std::vector<std::string> commands = start;
    for (const std::string& each : backtraces(listed))
        commands.push_back(each);
    commands.push_back("info registers rip");
    const std::string shown = gdb(commands, {path});
    check_backtraces(shown);
    BOOST_TEST(contains(shown, R"(rip .*<all_wait\()"), shown); // the thread's own, as before
}

BOOST_AUTO_TEST_CASE(gdb_does_so_in_a_core_file)
{
    namespace fs = std::filesystem;
    const std::string path = argument(1) + "/debugging";
    struct directory
    {
        fs::path path = fs::temp_directory_path() / ("zsync.core." + std::to_string(::getpid()));
        directory() { fs::create_directory(path); }
        ~directory() { fs::remove_all(path); }
    } const home;
    program crashes("sh", {"-c", "ulimit -c unlimited && cd '" + home.path.string() + "' && exec '" + path + "' crash"},
                    true);
    crashes.rest();
    crashes.wait();
    if (fs::is_empty(home.path))
    {
        BOOST_TEST_MESSAGE("skipped: no core file comes to the working directory (core_pattern, a limit, a sanitizer)");
        return;
    }
    const std::string core = fs::directory_iterator(home.path)->path().string();
    const std::string listed = gdb({"zsync fibers"}, {path, core});
    if (listed.empty())
        return;
    check_list(listed);
    check_backtraces(gdb(backtraces(listed), {path, core}));
}

BOOST_AUTO_TEST_CASE(a_library_built_with_probes_has_them)
{
    const std::string notes = output_of("readelf", {"-n", argument(1) + "/debugging"}, true);
    if (notes.find("stapsdt") == notes.npos)
    {
        BOOST_TEST_MESSAGE("skipped: the library is built without static probes (ZSYNC_USDT)");
        return;
    }
    for (const char* each : {"fiber_spawn", "fiber_suspend", "fiber_resume", "fiber_cancel", "fiber_end"})
        BOOST_TEST(contains(notes, std::string("Provider: zsync\n *Name: ") + each + "\n"), each);
}

BOOST_AUTO_TEST_SUITE_END()
