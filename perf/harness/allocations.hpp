// SPDX-License-Identifier: BSL-1.0
#pragma once

// Counts a server's heap allocations a request, if it is compiled with PERF_COUNT_ALLOCATIONS and linked with
// allocations.cpp; without, this is nothing.

#include "cell.hpp"

namespace perf
{

#ifdef PERF_COUNT_ALLOCATIONS

/// Returns how often this process has allocated: operator new in all its forms, and the C functions below it.
std::uint64_t allocations() noexcept;

/// Opens its window after `warm_up` requests and closes it `count` later, as the load does with its clock.
class allocation_window
{
public:
    explicit allocation_window(const cell_arguments& arguments)
        : first_(arguments.number("warm_up", 1'000)), last_(first_ + arguments.number("count", 10'000))
    {
    }

    /// To be called when a request has been answered.
    void served() noexcept
    {
        ++requests_;
        if (requests_ == first_)
            before_ = allocations();
        if (requests_ == last_)
            after_ = allocations();
    }

    /// @throws std::runtime_error if fewer requests came than were promised, or nothing counts.
    void describe(cell_line& line, double operations_a_request) const
    {
        if (requests_ < last_ || before_ == 0)
            throw std::runtime_error("the window of requests was not seen");
        line.add("allocations",
                 static_cast<double>(after_ - before_) / static_cast<double>(last_ - first_) / operations_a_request);
    }

private:
    std::uint64_t first_;
    std::uint64_t last_;
    std::uint64_t requests_ = 0;
    std::uint64_t before_ = 0;
    std::uint64_t after_ = 0;
};

#else

class allocation_window
{
public:
    explicit allocation_window(const cell_arguments&) {}
    void served() const noexcept {}
    void describe(cell_line&, double) const {}
};

#endif

} // namespace perf
