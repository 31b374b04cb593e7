// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/io/detail/steps.hpp>

#include <boost/system/error_code.hpp>

namespace zsync::detail
{

/// Takes the steps of an operation, one after the other, with whatever waits for them. `ec` must be clear; it receives
/// the operation's error, or why a step has ended early. Throws fiber_unwind, at a step, if the task is being unwound.
///
/// Waits has a record(), and for each kind of step a function that returns true when the step is done, or sets `ec`.
template <steps Steps, class Waits>
void drive(Steps& steps, const settings& with, Waits& waits, boost::system::error_code& ec)
{
    if (const int refused = steps.enter(with)) [[unlikely]]
    {
        ec = from_errno(refused);
        return;
    }
    struct leaving
    {
        Steps& of;
        ~leaving() { of.leave(); }
    } const at_exit{steps};

    operation& record = waits.record();
    for (next what = steps.begin(record, with); what != next::finished; what = steps.proceed(record, with))
    {
        bool done = true;
        if constexpr (Steps::records_only)
            done = waits.perform(ec);
        else if (what == next::record)
            done = waits.perform(ec);
        else
        {
            if constexpr (requires { steps.wake_at(); })
                done = waits.pause(steps.wake_at(), ec);
            if constexpr (requires { steps.call(); })
                done = waits.call(steps.call(), ec);
            if constexpr (requires { steps.idle_core(); })
                done = waits.idle(steps.idle_core(), ec);
        }
        if (!done)
            return;
    }
    if (steps.error()) [[unlikely]]
        ec = steps.error();
}

} // namespace zsync::detail
