// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/error.hpp>
#include <boost/assert.hpp>
#include <boost/system/error_code.hpp>

#include <exception>
#include <utility>

namespace zsync
{

/// Thrown through a fiber whose context is being destroyed, so that its frames unwind. Not a std::exception on purpose.
/// Code that catches everything must throw it on: where it does not, it is thrown again at the next cancellation point.
class fiber_unwind
{
};

/// The cancellation of one task: a request, and where it stands.
///
/// A request is delivered once, at the task's next cancellation point; a point is a call that waits. Where the work of
/// a point completes in spite of the request, its result counts and the request stays pending. Not thread-safe: all is
/// called on the task's own thread.
class task_cancellation
{
public:
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

    /// Makes the request, unless there has been one. Interrupts the wait in progress. `reason` must be an error.
    bool request(boost::system::error_code reason = boost::asio::error::operation_aborted) noexcept
    {
        if (requested_)
            return false;
        requested_ = true;
        reason_ = reason;
        if (waiting_ && due())
            waiting_->interrupt();
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
    }

    /// Makes every point end at once from here on, with fiber_unwind thrown from it (outside destructors of frames that
    /// unwind already). For a context that is being destroyed; protection defers it likewise.
    void request_unwind() noexcept
    {
        unwinding_ = true;
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

    void throw_if_unwinding() const
    {
        if (unwinding_ && protections_ == 0 && std::uncaught_exceptions() == 0) [[unlikely]]
            throw fiber_unwind();
    }

private:
    wait* waiting_ = nullptr;
    boost::system::error_code reason_;
    unsigned protections_ = 0;
    bool requested_ = false;
    bool delivered_ = false;
    bool unwinding_ = false;
};

} // namespace zsync
