// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/io.hpp>

#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <array>
#include <exception>
#include <functional>
#include <ostream>
#include <string_view>
#include <thread>

namespace test
{

/// A model and an engine that the rules must hold on.
enum class cell
{
    blocking,
    green_io_uring,
    green_epoll,
};

inline constexpr std::array cells = {cell::blocking, cell::green_io_uring, cell::green_epoll};

constexpr std::string_view name_of(cell where)
{
    switch (where)
    {
    case cell::blocking:
        return "blocking";
    case cell::green_io_uring:
        return "green, io_uring";
    case cell::green_epoll:
        break;
    }
    return "green, epoll";
}

inline std::ostream& operator<<(std::ostream& out, cell where)
{
    return out << name_of(where);
}

/// Says whether this machine has what a cell needs. Asked once.
bool is_available(cell where);

/// Notes that a case of a rule runs in a cell, for the table at the end.
void count_case(std::string_view rule, cell where);

/// Runs a case in a cell: the body as the root of a program of its own, on a thread of its own, so that nothing of one
/// case's cancellation is left for the next. Throws what the body throws. Skipped, and said so, where the cell is not
/// to be had.
void run_case(std::string_view rule, cell where, const std::function<void(zsync::io)>& body);

/// A case of a rule for all cells. The name states what holds.
#define ZSYNC_RULE_CASE(rule, name)                                                                                    \
    static void rule##_##name(zsync::io io);                                                                           \
    BOOST_DATA_TEST_CASE(rule##_##name##_, boost::unit_test::data::make(test::cells), where)                           \
    {                                                                                                                  \
        test::run_case(#rule, where, &rule##_##name);                                                                  \
    }                                                                                                                  \
    static void rule##_##name([[maybe_unused]] zsync::io io)

} // namespace test
