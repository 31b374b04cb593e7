// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/direction.hpp>
#include <zsync/core/in_flight.hpp>
#include <zsync/core/metrics.hpp>
#include <zsync/core/operation.hpp>
#include <zsync/core/system_call.hpp>

namespace zsync::detail
{

/// Performs a transfer for engine::perform_now(), if it is the next in its direction and need not wait. To be called
/// under the lock of the engine whose records and counters these are, before it has stopped.
inline bool transfer_now(operation& op, const in_flight& records, metric_counters& counters) noexcept
{
    op.way = direction_of(op);
    if (!records.may_go_now(op) || !try_transfer(op))
        return false;
    ++counters.operations_started;
    ++counters.operations_completed;
    return true;
}

} // namespace zsync::detail
