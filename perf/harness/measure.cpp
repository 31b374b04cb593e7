// SPDX-License-Identifier: BSL-1.0
#include "measure.hpp"

#include "counting.hpp"
#include "run_cell.hpp"
#include "statistics.hpp"

#include <algorithm>
#include <set>
#include <stdexcept>
#include <utility>

namespace perf
{

namespace
{

constexpr double tolerated_disturbance = 0.03;
constexpr std::uint64_t counted_operations = 10'000;

// What all runs of one cell have given.
struct record
{
    std::vector<measurement> rounds;
    std::string failure;
};

using records = std::map<std::string, record>;

template <class Run>
void attempt(record& r, Run run)
{
    if (!r.failure.empty())
        return;
    try
    {
        r.rounds.push_back(run());
    }
    catch (const std::exception& e)
    {
        r.failure = e.what();
    }
}

// A CPU clock is no refuge from other programs: they leave cold caches, and on a virtual machine a clock from which
// stolen time is subtracted has been seen to lose most of a run.
measurement run_undisturbed(const cell& c, std::uint64_t count, unsigned tries)
{
    measurement best = run_cell(c, count);
    while (--tries && best.find(disturbance)->second > tolerated_disturbance)
    {
        measurement again = run_cell(c, count);
        if (again.find(disturbance)->second < best.find(disturbance)->second)
            best = std::move(again);
    }
    return best;
}

unsigned count_disturbed(const record& r)
{
    return static_cast<unsigned>(std::count_if(r.rounds.begin(), r.rounds.end(),
                                               [](const measurement& m)
                                               {
                                                   const auto found = m.find(disturbance);
                                                   return found != m.end() && found->second > tolerated_disturbance;
                                               }));
}

std::vector<double> column(const record& r, const std::string& metric)
{
    std::vector<double> values;
    for (const measurement& m : r.rounds)
        values.push_back(m.at(metric));
    return values;
}

result compare(const std::string& suite, const row& w, const records& all)
{
    result r{.suite = suite,
             .row = w.name,
             .unit = w.unit,
             .zsync_name = w.zsync,
             .peer_name = w.peer,
             .goal = w.goal,
             .by = w.by};
    const record none;
    const record& ours = all.at(w.zsync);
    const record& theirs = w.peer.empty() ? none : all.at(w.peer);
    r.failure = ours.failure.empty() ? theirs.failure : ours.failure;
    if (!r.failure.empty())
        return r;
    r.zsync_rounds = column(ours, w.metric);
    r.peer_rounds = column(theirs, w.metric);
    r.disturbed = count_disturbed(ours) + count_disturbed(theirs);
    if (w.by == judged::added)
        std::transform(r.zsync_rounds.begin(), r.zsync_rounds.end(), r.peer_rounds.begin(), r.zsync_rounds.begin(),
                       std::minus<>());
    r.zsync = median(r.zsync_rounds);
    r.peer = median(r.peer_rounds);
    r.spread = relative_deviation(r.zsync_rounds);
    if (w.by == judged::added || w.peer.empty())
        return r;

    const auto better_by = [&](double zsync, double peer)
    {
        const double above = w.more_is_better ? zsync : peer;
        const double below = w.more_is_better ? peer : zsync;
        return below == 0 ? 0 : above / below;
    };
    std::vector<double> ratios;
    for (std::size_t i = 0; i != r.zsync_rounds.size(); ++i)
        ratios.push_back(better_by(r.zsync_rounds[i], r.peer_rounds[i]));
    r.ratio = better_by(r.zsync, r.peer);
    if (w.by == judged::ratio)
        r.spread = relative_deviation(ratios);
    return r;
}

using names = std::set<std::string>;

// The cells that rows from one source are about.
names cells_of(const group& g, source from)
{
    names result;
    for (const row& w : g.rows)
        if (w.from == from)
            result.insert({w.zsync, w.peer});
    return result;
}

void measure_time(const std::string& suite, const group& g, const measure_options& options,
                  const std::function<void(const result&)>& take)
{
    records all;
    const std::uint64_t count = std::max<std::uint64_t>(g.count / options.divisor, 1);
    const names wanted = cells_of(g, source::timed);
    for (unsigned round = 0; round != options.rounds + 1; ++round)
        for (const cell& c : g.cells)
        {
            if (!wanted.contains(c.name))
                continue;
            record& r = all[c.name];
            attempt(r, [&] { return run_undisturbed(c, count, round == 0 ? 1 : options.tries); });
            if (round == 0) // the warm-up
                r.rounds.clear();
        }
    for (const row& w : g.rows)
        if (w.from == source::timed)
            take(compare(suite, w, all));
}

struct counter
{
    source what;
    std::string name;
    double (*count)(const cell&, std::uint64_t);
    bool for_all_rows; ///< asked for on the command line
};

// Rows that are about such a count, and, if that was asked for, one for each pair of cells that is timed.
void measure_count(const std::string& suite, const group& g, const counter& by, const measure_options& options,
                   const std::function<void(const result&)>& take)
{
    std::vector<row> rows;
    std::set<std::pair<std::string, std::string>> taken; // rows may differ in what they time only
    for (row w : g.rows)
        if (w.from == by.what)
        {
            w.metric = by.name;
            rows.push_back(w);
            taken.emplace(w.zsync, w.peer);
        }
    for (const row& w : g.rows)
        if (by.for_all_rows && g.countable && w.from == source::timed && !w.peer.empty() &&
            taken.emplace(w.zsync, w.peer).second)
            rows.push_back({.name = w.name + ": " + by.name,
                            .unit = by.name + " a " + g.operation,
                            .metric = by.name,
                            .zsync = w.zsync,
                            .peer = w.peer});

    names wanted;
    for (const row& w : rows)
        wanted.insert({w.zsync, w.peer});
    records all;
    const std::uint64_t count = std::max<std::uint64_t>(counted_operations / options.divisor, 100);
    for (const cell& c : g.cells)
        if (wanted.contains(c.name))
            attempt(all[c.name], [&] { return measurement{{by.name, by.count(c, count)}}; });
    for (const row& w : rows)
        take(compare(suite, w, all));
}

} // namespace

void measure(const suite& s, const measure_options& options, const std::function<void(const result&)>& take)
{
    for (const group& g : s.groups)
    {
        measure_time(s.name, g, options, take);
        measure_count(
            s.name, g,
            {source::instructions, "user-space instructions", instructions_per_operation, options.instructions},
            options, take);
        measure_count(s.name, g,
                      {source::system_calls, "system calls", system_calls_per_operation, options.system_calls}, options,
                      take);
    }
}

} // namespace perf
