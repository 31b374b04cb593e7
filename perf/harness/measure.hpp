// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "suite.hpp"

#include <functional>
#include <string>
#include <vector>

namespace perf
{

/// A row with its numbers.
struct result
{
    std::string suite;
    std::string row;
    std::string unit;
    std::string zsync_name;
    std::string peer_name;
    double zsync = 0;  ///< median
    double peer = 0;   ///< median; means nothing if there is no peer_name
    double ratio = 0;  ///< above 1: zsync is better; 0: there is none
    double spread = 0; ///< relative median absolute deviation of the rounds' ratios, or of the number that is judged
    std::optional<double> goal;
    judged by = judged::ratio;
    std::vector<double> zsync_rounds = {}; ///< what the medians are of
    std::vector<double> peer_rounds = {};
    unsigned disturbed = 0;   ///< of these, how many runs other programs took part in
    std::string failure = {}; ///< not empty: why there are no numbers
};

struct measure_options
{
    unsigned rounds = 8;       ///< that count; one more goes before them
    std::uint64_t divisor = 1; ///< of the groups' counts
    unsigned tries = 3;        ///< of a run that is disturbed: the least disturbed one counts
    bool instructions = false;
    bool system_calls = false;
};

/// Measures a suite and hands each result to `take` as soon as it is known. Blocks the thread. A cell that fails spoils
/// its own rows only.
void measure(const suite& s, const measure_options& options, const std::function<void(const result&)>& take);

} // namespace perf
