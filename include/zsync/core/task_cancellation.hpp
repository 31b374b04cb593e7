// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/cancellation.hpp>

#include <boost/asio/error.hpp>
#include <boost/assert.hpp>
#include <boost/system/error_code.hpp>

#include <chrono>
#include <exception>
#include <optional>
#include <utility>

namespace zsync
{

/// Thrown through a fiber whose context is being destroyed, so that its frames unwind. Not a std::exception on purpose.
/// Code that catches everything must throw it on: where it does not, it is thrown again at the next cancellation point,
/// and the fiber is named: see fiber_options::on_swallowed_unwind.
class fiber_unwind
{
};

/// The cancellation of one task: a request, and where it stands.
///
/// A request is delivered once, at the task's next cancellation point; a point is a call that waits. Where the work of
/// a point completes in spite of the request, its result counts and the request stays pending. Besides, the task may
/// have a deadline, by which each of its waits ends: see deadline_scope. Not thread-safe: all is called on the task's
/// own thread.
class task_cancellation
{
public:
    using clock = std::chrono::steady_clock;

    static constexpr clock::time_point no_deadline = clock::time_point::max();

    /// A wait in progress, as the request finds it. Lives on the waiting stack.
    class wait
    {
    public:
        /// Ends the wait early. Must not complete it inside. May be called when it has ended already, though not yet
        /// returned.
        virtual void interrupt() noexcept = 0;

    protected:
        ~wait() = default;
    };

    /// Makes the request, unless there has been one. Interrupts the wait in progress, but for one whose deadline has
    /// come and ends it: so a task that inherited a deadline times out, even if who waits for it does so first, and
    /// forwards that. `reason` must be an error.
    bool request(boost::system::error_code reason = boost::asio::error::operation_aborted) noexcept
    {
        if (requested_)
            return false;
        requested_ = true;
        reason_ = reason;
        if (waiting_ && due() && !deadline_passed())
            waiting_->interrupt();
        tell();
        return true;
    }

    /// Makes the request whether there has been one or not, even if that has been delivered: this one is delivered, too.
    void request_again(boost::system::error_code reason) noexcept
    {
        requested_ = true;
        reason_ = reason;
        delivered_ = false;
        if (waiting_ && due())
            waiting_->interrupt();
        tell();
    }

    /// Makes every point end at once from here on, with fiber_unwind thrown from it (outside destructors of frames that
    /// unwind already). For a context that is being destroyed; protection defers it likewise. `on_swallowed` is called,
    /// in the task, where a fiber_unwind has been caught and not thrown on, before the next one is thrown.
    void request_unwind(void (*on_swallowed)() noexcept = nullptr) noexcept
    {
        unwinding_ = true;
        on_swallowed_ = on_swallowed;
        delivered_ = false;
        if (!request() && waiting_ && due())
            waiting_->interrupt();
    }

    bool requested() const noexcept { return requested_; }
    boost::system::error_code reason() const noexcept { return reason_; }

    /// A request waits to be delivered, and nothing defers it.
    bool due() const noexcept { return requested_ && !delivered_ && protections_ == 0; }

    /// Delivery is deferred: see protect().
    bool is_protected() const noexcept { return protections_ != 0; }

    /// Delivers a request that is due: true, once. Throws fiber_unwind if the context is being destroyed.
    bool take()
    {
        if (!due()) [[likely]]
            return false;
        delivered_ = !unwinding_;
        throw_if_unwinding();
        return true;
    }

    /// Lets a request that has been delivered be delivered again.
    void recancel() noexcept { delivered_ = false; }

    /// Defers delivery until as many unprotect() calls. A wait in progress is not affected.
    void protect() noexcept { ++protections_; }
    void unprotect() noexcept
    {
        BOOST_ASSERT(protections_ > 0);
        --protections_;
    }

    /// Brackets a wait: from begin() on a request interrupts it. Not nested.
    void begin(wait& w) noexcept
    {
        BOOST_ASSERT(!waiting_);
        waiting_ = &w;
    }
    void end() noexcept { waiting_ = nullptr; }

    void throw_if_unwinding()
    {
        if (unwinding_ && protections_ == 0 && std::uncaught_exceptions() == 0) [[unlikely]]
            throw_unwind();
    }

    /// For where a fiber_unwind is to arrive: at the end of the task.
    void unwound() noexcept { arrived_ = true; }

    /// At the end of the task: a fiber_unwind was thrown, and has not arrived.
    bool unwinding_was_swallowed() const noexcept { return thrown_ && !arrived_; }

    /// Returns a token that is cancelled by the request, for its reason; at once, if it has been made. Its callbacks
    /// run inside request(), on the task's thread, and are not deferred by protection. Allocates the first time.
    cancellation_token token();

    /// A deadline, and how many protections it is under: further ones defer it.
    struct time_limit
    {
        clock::time_point when = no_deadline;
        unsigned protections = 0;
    };

    /// By when a wait that begins now has to end; no_deadline if there is none, or protection defers it.
    clock::time_point deadline() const noexcept
    {
        return limit_.protections == protections_ ? limit_.when : no_deadline;
    }

    /// Says whether it has come. Reads the clock only if there is one.
    bool deadline_passed() const noexcept
    {
        const auto when = deadline();
        return when != no_deadline && clock::now() >= when;
    }

    /// Sets a deadline, or the present one if that is earlier; returns what was there before, for restore_limit().
    time_limit limit(clock::time_point when) noexcept
    {
        return std::exchange(limit_, {when < deadline() ? when : deadline(), protections_});
    }
    void restore_limit(time_limit former) noexcept { limit_ = former; }

    /// Sets a deadline whatever the present one is, for a while.
    class own_limit
    {
    public:
        own_limit(task_cancellation& of, clock::time_point when) noexcept
            : of_(of), former_(std::exchange(of.limit_, {when, of.protections_}))
        {
        }
        ~own_limit() { of_.limit_ = former_; }
        own_limit(const own_limit&) = delete;
        own_limit& operator=(const own_limit&) = delete;

    private:
        task_cancellation& of_;
        const time_limit former_;
    };

private:
    [[noreturn]] void throw_unwind();

    void tell() const noexcept
    {
        if (told_) [[unlikely]]
            told_->request_cancel(reason_);
    }

    wait* waiting_ = nullptr;
    boost::system::error_code reason_;
    time_limit limit_;
    std::optional<cancellation_source> told_; // whose tokens the task has given away
    void (*on_swallowed_)() noexcept = nullptr;
    unsigned protections_ = 0;
    bool requested_ = false;
    bool delivered_ = false;
    bool unwinding_ = false;
    bool thrown_ = false;  // a fiber_unwind
    bool arrived_ = false; // at the end of the task
};

} // namespace zsync
