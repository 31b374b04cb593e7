// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/agent.hpp>
#include <zsync/core/loop.hpp>
#include <zsync/io/detail/helper_call.hpp>
#include <zsync/io/detail/settings.hpp>

#include <boost/system/error_code.hpp>

#include <atomic>

namespace zsync
{
class descriptor_core;
}

namespace zsync::detail
{

/// Takes the steps of an operation by suspending the fiber that runs, a fiber of the operation's loop. Lives on its
/// stack, allocates nothing.
///
/// A step ends early by a request to the task (on this thread), by the deadline's timer (on this thread), or by the
/// token (on any thread, which is held up at the end of the step until its callback has returned). None of them ends
/// the wait for a record: each asks the engine to cancel it, and the record's completion ends the wait. The other
/// waits end by whoever exchanges the flag `*ended_` first.
class fiber_waits final : task_cancellation::wait
{
public:
    fiber_waits(const settings& with, agent& self) noexcept;
    ~fiber_waits();
    fiber_waits(const fiber_waits&) = delete;
    fiber_waits& operator=(const fiber_waits&) = delete;

    operation& record() noexcept { return record_; }

    bool perform(boost::system::error_code& ec);
    bool pause(settings::clock::time_point until, boost::system::error_code& ec);
    bool call(helper_call& what, boost::system::error_code& ec);

    /// Not a cancellation point: what is in flight on a closed descriptor ends soon.
    bool idle(descriptor_core& core, boost::system::error_code& ec);

private:
    struct awaited_record : operation
    {
        fiber_waits* of;
    };

    struct timer : loop_timer
    {
        fiber_waits* of;
    };

    struct end_step
    {
        fiber_waits* of;
        void operator()() const noexcept { of->end_early(); }
    };

    wait_reason for_record() const noexcept;
    bool may_begin(boost::system::error_code& ec);
    bool perform_limited(boost::system::error_code& ec);
    bool start(boost::system::error_code& ec) noexcept;
    void wait_for_record();
    bool check(boost::system::error_code& ec);
    bool wait_for_event(std::atomic<bool>& ended, boost::system::error_code& ec);
    void suspend(bool with_token);
    bool ended_early(boost::system::error_code& ec);
    bool deadline_passed() const noexcept;
    void arm_deadline() noexcept;
    void arm(timer& which, settings::clock::time_point when, void (*expired)(loop_timer&) noexcept) noexcept;
    void disarm(timer& which) noexcept;
    void interrupt() noexcept override;
    void end_early() noexcept;

    const settings& with_;
    agent& self_;
    engine& engine_;
    waiter waiter_;
    awaited_record record_;
    operation_id id_;                    // of the record, while that is in flight
    std::atomic<bool>* ended_ = nullptr; // of an event; null: the step is the record
    bool requested_ = false; // the task was asked to end, during a step
    bool timed_out_ = false;
    bool cut_short_ = false; // an event was; set by whoever did it, before it notifies
    timer deadline_;
};

} // namespace zsync::detail
