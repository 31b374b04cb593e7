// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "measure.hpp"

#include <boost/json/object.hpp>

#include <string>
#include <vector>

namespace perf
{

/// Returns a result as one line of JSON, without its end: suite, row, unit, zsync, peer, peer_name, ratio, spread,
/// goal, met. A row without numbers has null for them and says why in `failed`.
std::string row_line(const result& r);

/// Replaces perf/results/<suite>.jsonl: the run's description in the first line, then the rows, each with the numbers
/// of all rounds. Blocks the thread. @throws std::runtime_error if it cannot be written.
void save(const std::string& suite, const boost::json::object& run, const std::vector<result>& results);

} // namespace perf
