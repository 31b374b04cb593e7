// SPDX-License-Identifier: BSL-1.0
// The cells in which every function of an io has to give the same results.
#pragma once

#include <zsync/io/runtime.hpp>
#include <zsync/platform/ring_probe.hpp>

#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <array>
#include <optional>
#include <ostream>
#include <utility>

namespace io_test
{

/// A model, and the engine below it.
struct cell
{
    zsync::model model;
    std::optional<zsync::engine_kind> engine;
    const char* name;

    bool is_green() const noexcept { return model == zsync::model::green; }

    zsync::runtime_options options() const
    {
        zsync::runtime_options result;
        result.model = model;
        result.fibers.engine = engine;
        return result;
    }
};

inline std::ostream& operator<<(std::ostream& out, const cell& which)
{
    return out << which.name;
}

inline constexpr std::array all_cells = {
    cell{zsync::model::blocking, std::nullopt, "blocking"},
    cell{zsync::model::green, zsync::engine_kind::uring, "green on io_uring"},
    cell{zsync::model::green, zsync::engine_kind::reactor, "green on epoll"},
};

inline const auto each_cell = boost::unit_test::data::make(all_cells);

/// Runs a function of an io in a cell. Where no ring can be had, that is a reported skip.
template <class Function>
void run_in(const cell& where, Function&& function)
{
    if (where.engine == zsync::engine_kind::uring && !zsync::probe_ring().meets_minimum())
    {
        BOOST_TEST_MESSAGE("skipped, no ring here: " << zsync::probe_ring().why);
        return;
    }
    zsync::runtime(where.options()).run(std::forward<Function>(function));
}

} // namespace io_test
