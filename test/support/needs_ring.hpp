// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/platform/ring_probe.hpp>

#include <boost/test/tools/assertion_result.hpp>
#include <boost/test/tree/test_unit.hpp>

namespace test
{

/// Skips a suite, and says so, where this process can have no ring: `*boost::unit_test::precondition(needs_ring)`.
inline boost::test_tools::assertion_result needs_ring(boost::unit_test::test_unit_id)
{
    static const zsync::ring_support support = zsync::probe_ring();
    boost::test_tools::assertion_result result(support.available && support.meets_minimum());
    if (!result)
        result.message() << "no ring here: " << support.why;
    return result;
}

} // namespace test
