// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace perf
{

/// Returns the middle value, of an even number the mean of the middle two; 0 of nothing.
inline double median(std::vector<double> values)
{
    if (values.empty())
        return 0;
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    if (values.size() % 2)
        return *middle;
    return (*std::max_element(values.begin(), middle) + *middle) / 2;
}

/// Returns the median absolute deviation over the median: half of the values lie within that fraction of it.
inline double relative_deviation(const std::vector<double>& values)
{
    const double center = median(values);
    std::vector<double> distances;
    for (double value : values)
        distances.push_back(std::abs(value - center));
    return center == 0 ? 0 : median(std::move(distances)) / std::abs(center);
}

} // namespace perf
