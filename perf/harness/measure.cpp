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
    result r{.suite = suite, .row = w.name, .unit = w.unit, .zsync_name = w.zsync, .peer_name = w.peer, .goal = w.goal};
    const record& ours = all.at(w.zsync);
    const record& theirs = all.at(w.peer);
    r.failure = ours.failure.empty() ? theirs.failure : ours.failure;
    if (!r.failure.empty())
        return r;
    r.zsync_rounds = column(ours, w.metric);
    r.peer_rounds = column(theirs, w.metric);
    r.disturbed = count_disturbed(ours) + count_disturbed(theirs);

    const auto better_by = [&](double zsync, double peer)
    {
        const double above = w.more_is_better ? zsync : peer;
        const double below = w.more_is_better ? peer : zsync;
        return below == 0 ? 0 : above / below;
    };
    std::vector<double> ratios;
    for (std::size_t i = 0; i != r.zsync_rounds.size(); ++i)
        ratios.push_back(better_by(r.zsync_rounds[i], r.peer_rounds[i]));
    r.zsync = median(r.zsync_rounds);
    r.peer = median(r.peer_rounds);
    r.ratio = better_by(r.zsync, r.peer);
    r.spread = relative_deviation(ratios);
    return r;
}

void measure_time(const std::string& suite, const group& g, const measure_options& options,
                  const std::function<void(const result&)>& take)
{
    records all;
    const std::uint64_t count = std::max<std::uint64_t>(g.count / options.divisor, 1);
    for (unsigned round = 0; round != options.rounds + 1; ++round)
        for (const cell& c : g.cells)
        {
            record& r = all[c.name];
            attempt(r, [&] { return run_undisturbed(c, count, round == 0 ? 1 : options.tries); });
            if (round == 0) // the warm-up
                r.rounds.clear();
        }
    for (const row& w : g.rows)
        take(compare(suite, w, all));
}

void measure_count(const std::string& suite, const group& g, const std::string& what, double (*count)(const cell&),
                   const std::function<void(const result&)>& take)
{
    records all;
    for (const cell& c : g.cells)
        attempt(all[c.name], [&] { return measurement{{what, count(c)}}; });
    std::set<std::pair<std::string, std::string>> taken; // rows may differ in what they time only
    for (const row& w : g.rows)
        if (taken.emplace(w.zsync, w.peer).second)
            take(compare(suite,
                         {.name = w.name + ": " + what,
                          .unit = what + " a " + g.operation,
                          .metric = what,
                          .zsync = w.zsync,
                          .peer = w.peer},
                         all));
}

} // namespace

void measure(const suite& s, const measure_options& options, const std::function<void(const result&)>& take)
{
    for (const group& g : s.groups)
    {
        measure_time(s.name, g, options, take);
        if (g.countable && options.instructions)
            measure_count(s.name, g, "user-space instructions", instructions_per_operation, take);
        if (g.countable && options.system_calls)
            measure_count(s.name, g, "system calls", system_calls_per_operation, take);
    }
}

} // namespace perf
