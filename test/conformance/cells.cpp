// SPDX-License-Identifier: BSL-1.0
#include "cells.hpp"

#include <zsync/platform/ring_probe.hpp>

#include <iomanip>
#include <iostream>
#include <map>
#include <string>

#include <boost/test/tree/traverse.hpp>
#include <boost/test/tree/visitor.hpp>
#include <boost/test/unit_test.hpp>

namespace test
{

namespace
{

// What the first version has to hold; the others are named below the table.
constexpr std::array rules = {"R1", "R2", "R3", "R4", "R5", "R6", "R7", "R8", "R11", "R13", "R14"};

constexpr std::string_view to_come =
    "to come: R9 groups; R10 race and all; R11 for timeout(); R12 combinators over functions;\n"
    "         R15 as a comparison of runs; the pool as a fourth model\n";

std::map<std::string, std::map<cell, int>, std::less<>>& counts()
{
    static std::map<std::string, std::map<cell, int>, std::less<>> all;
    return all;
}

// Asks the tests: get<>() of Boost.Test's parameters throws where a type is not the shared library's own (clang 14).
bool runs_all()
{
    struct : boost::unit_test::test_tree_visitor
    {
        void visit(const boost::unit_test::test_case& each) override { all = all && each.is_enabled(); }
        bool all = true;
    } visitor;
    boost::unit_test::traverse_test_tree(boost::unit_test::framework::master_test_suite(), visitor, true);
    return visitor.all;
}

/// Prints how many cases each rule has in each cell, and fails where one has none.
struct table
{
    table() = default;
    table(const table&) = delete;
    table& operator=(const table&) = delete;

    ~table()
    {
        std::cout << "\nCases of the rules, by model and engine\n\n" << std::left << std::setw(8) << "rule";
        for (const cell each : cells)
            std::cout << std::right << std::setw(18) << name_of(each);
        std::cout << '\n';
        for (const std::string_view rule : rules)
        {
            std::cout << std::left << std::setw(8) << rule;
            for (const cell each : cells)
            {
                const int count = counts()[std::string(rule)][each];
                if (is_available(each))
                    std::cout << std::right << std::setw(18) << count;
                else
                    std::cout << std::right << std::setw(18) << "none to be had";
            }
            std::cout << '\n';
        }
        std::cout << '\n' << to_come << std::flush;
    }
};

struct checked_table : table
{
    void teardown()
    {
        if (!runs_all())
            return;
        for (const std::string_view rule : rules)
            for (const cell each : cells)
                BOOST_TEST((!is_available(each) || counts()[std::string(rule)][each] > 0),
                           "no case of " << rule << " in " << each);
    }
};

} // namespace

BOOST_TEST_GLOBAL_FIXTURE(checked_table);

bool is_available(cell where)
{
    static const bool ring = zsync::probe_ring().available;
    return where != cell::green_io_uring || ring;
}

void count_case(std::string_view rule, cell where)
{
    ++counts()[std::string(rule)][where];
}

void run_case(std::string_view rule, cell where, const std::function<void(zsync::io)>& body)
{
    if (!is_available(where))
    {
        BOOST_TEST_MESSAGE("skipped: " << zsync::probe_ring().why);
        return;
    }
    count_case(rule, where);
    std::exception_ptr failure;
    std::thread program(
        [&]
        {
            try
            {
                if (where == cell::blocking)
                    zsync::run_blocking(body);
                else
                    zsync::run_green(body, {.engine = where == cell::green_epoll ? zsync::engine_kind::reactor
                                                                                 : zsync::engine_kind::uring});
            }
            catch (...)
            {
                failure = std::current_exception();
            }
        });
    program.join();
    if (failure)
        std::rethrow_exception(failure);
}

} // namespace test
