// SPDX-License-Identifier: BSL-1.0

// zsync_perf: runs suites and prints a line of JSON a row. Exits with 0 if all rows were measured, whatever they say;
// 1 if one could not be; 2 if it was called wrongly.

#include "machine.hpp"
#include "measure.hpp"
#include "pinning.hpp"
#include "report.hpp"
#include "suite.hpp"

#include <boost/program_options.hpp>

#include <algorithm>
#include <iostream>

namespace
{

namespace po = boost::program_options;

struct usage_error : std::runtime_error
{
    using std::runtime_error::runtime_error;
};

struct command_line
{
    std::vector<std::string> suites;
    perf::measure_options measure;
    unsigned rounds = 8;
    bool quick = false;
    bool no_save = false;
    bool list = false;
    bool help = false;
};

po::options_description make_options(command_line& to)
{
    po::options_description options("usage: zsync_perf [OPTION...] SUITE...   (or all)");
    options.add_options()("list", po::bool_switch(&to.list), "list the suites")(
        "rounds", po::value(&to.rounds)->default_value(to.rounds), "rounds that count; a warm-up goes before them")(
        "quick", po::bool_switch(&to.quick), "a twentieth of the work, two rounds: shows that it runs, not how fast")(
        "no-save", po::bool_switch(&to.no_save), "don't write perf/results (nor with --quick, nor below 6 rounds)")(
        "instructions", po::bool_switch(&to.measure.instructions), "count user-space instructions too: valgrind")(
        "syscalls", po::bool_switch(&to.measure.system_calls),
        "count system calls too: strace")("help", po::bool_switch(&to.help), "print this");
    return options;
}

command_line parse(int argc, char** argv)
try
{
    command_line result;
    po::options_description options = make_options(result);
    options.add_options()("suite", po::value(&result.suites));
    po::positional_options_description positions;
    positions.add("suite", -1);
    po::variables_map values;
    po::store(po::command_line_parser(argc, argv).options(options).positional(positions).run(), values);
    po::notify(values);
    if (result.rounds == 0)
        throw usage_error("--rounds must be at least 1");
    result.measure.rounds = result.quick ? 2 : result.rounds;
    result.measure.divisor = result.quick ? 20 : 1;
    result.measure.tries = result.quick ? 1 : 3;
    return result;
}
catch (const po::error& e)
{
    throw usage_error(e.what());
}

std::vector<perf::suite> choose(const std::vector<perf::suite>& known, const std::vector<std::string>& names)
{
    if (names.empty())
        throw usage_error("no suite named");
    std::vector<perf::suite> chosen;
    for (const std::string& name : names)
    {
        if (name == "all")
            return known;
        const auto found = std::find_if(known.begin(), known.end(), [&](const auto& s) { return s.name == name; });
        if (found == known.end())
            throw usage_error("unknown suite: " + name);
        chosen.push_back(*found);
    }
    return chosen;
}

bool run(const perf::suite& s, const command_line& line)
{
    std::vector<perf::result> results;
    bool complete = true;
    perf::measure(s, line.measure,
                  [&](const perf::result& r)
                  {
                      std::cout << perf::row_line(r) << std::endl;
                      complete = complete && r.failure.empty();
                      results.push_back(r);
                  });
    if (const auto n = std::count_if(results.begin(), results.end(), [](const auto& r) { return r.disturbed != 0; }))
        std::cerr << "zsync_perf: " << s.name << ": other programs took part in runs of " << n << " of "
                  << results.size() << " rows\n";
    if (complete && !line.quick && !line.no_save && line.rounds >= 6)
        perf::save(s.name, perf::describe_run(), results);
    return complete;
}

} // namespace

int main(int argc, char** argv)
try
{
    const std::vector<perf::suite> known = {
        perf::alloc_suite(),    perf::drop_in_suite(), perf::echo_suite(),  perf::facade_suite(), perf::idle_suite(),
        perf::pingpong_suite(), perf::post_suite(),    perf::spawn_suite(), perf::stream_suite(), perf::switch_suite(),
        perf::sync_suite(),     perf::timer_suite(),   perf::unwind_suite()};
    const command_line line = parse(argc, argv);
    if (line.help || line.list)
    {
        if (line.help)
        {
            command_line ignored;
            std::cout << make_options(ignored) << "\nSuites:\n";
        }
        for (const perf::suite& s : known)
            std::cout << s.name << '\t' << s.description << '\n';
        return 0;
    }

    const std::vector<perf::suite> chosen = choose(known, line.suites);
    if (perf::allowed_cpus().size() < 2)
        std::cerr << "zsync_perf: one CPU only: servers and their load will share it\n";
    bool complete = true;
    for (const perf::suite& s : chosen)
        complete = run(s, line) && complete;
    return complete ? 0 : 1;
}
catch (const usage_error& e)
{
    command_line ignored;
    std::cerr << "zsync_perf: " << e.what() << '\n' << make_options(ignored);
    return 2;
}
catch (const std::exception& e)
{
    std::cerr << "zsync_perf: " << e.what() << '\n';
    return 1;
}
