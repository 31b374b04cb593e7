// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/sync/mutex.hpp>

#include <boost/asio/async_result.hpp>
#include <boost/assert.hpp>
#include <boost/system/error_code.hpp>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <tuple>
#include <utility>

namespace zsync
{

namespace detail
{

/// A handler's wait that locks a mutex after it has ended, and only then is told.
class locking_notice : public wait_node
{
public:
    locking_notice(complete_function told, mutex& locked) noexcept
        : wait_node([](wait_node& node) noexcept { static_cast<locking_notice&>(node).lock(); }),
          told_(told),
          mutex_(locked),
          turn_(*this)
    {
    }

    std::tuple<boost::system::error_code> results() noexcept { return {result}; }

protected:
    ~locking_notice() = default;

private:
    class turn final : public wait_node
    {
    public:
        explicit turn(locking_notice& owner) noexcept
            : wait_node(
                  [](wait_node& node) noexcept
                  {
                      locking_notice& of = static_cast<turn&>(node).of_;
                      of.told_(of);
                  }),
              of_(owner)
        {
        }

    private:
        locking_notice& of_;
    };

    void lock() noexcept { mutex_.start(turn_); }

    const complete_function told_;
    mutex& mutex_;
    turn turn_;
};

} // namespace detail

/// Waits for a change of what a mutex protects, for fibers, threads and handlers alike. As std::condition_variable, and
/// without its spurious wake-ups; all the same somebody else may have had the mutex first, so wait with a predicate.
///
/// notify_one() wakes the one that has waited longest. A wait() that is cancelled or out of time has taken no
/// notification from others.
///
/// @par Cancellation and deadlines
/// Each wait is a cancellation point. However it ends, the mutex is held again; getting it is not cut short.
///
/// @par Thread safety
/// All may be called by several threads at once. Who has been notified may destroy it, while notify_one() or
/// notify_all() has not returned; but of handlers, when they are called.
class condition_variable final : private detail::wait_queue
{
public:
    condition_variable() noexcept = default;

    /// Wakes the one that has waited longest, if any. Never blocks; any thread, with the mutex held or not.
    void notify_one() noexcept;

    /// Wakes all that wait. Never blocks; any thread.
    void notify_all() noexcept;

    /// Lets go of the mutex, waits for a notification, and locks again. Suspends the fiber or blocks the thread.
    /// @throws boost::system::system_error as mutex::lock().
    void wait(std::unique_lock<mutex>& lock)
    {
        detail::throw_failed(wait_notified(lock, detail::no_deadline), "condition_variable::wait");
    }

    /// The same; stores the error, or success.
    void wait(std::unique_lock<mutex>& lock, boost::system::error_code& ec)
    {
        ec = wait_notified(lock, detail::no_deadline);
    }

    /// Waits until the predicate holds; not at all if it does.
    template <class Predicate>
    void wait(std::unique_lock<mutex>& lock, Predicate holds)
    {
        while (!holds())
            wait(lock);
    }

    /// The same; stores the error. Returns what the predicate says at the end.
    template <class Predicate>
    bool wait(std::unique_lock<mutex>& lock, Predicate holds, boost::system::error_code& ec)
    {
        return wait_until(lock, detail::no_deadline, holds, ec);
    }

    /// Waits, no longer than to a point in time. @throws as wait().
    std::cv_status wait_until(std::unique_lock<mutex>& lock, detail::sync_clock::time_point deadline)
    {
        return detail::in_time(wait_notified(lock, deadline), "condition_variable::wait_until")
                   ? std::cv_status::no_timeout
                   : std::cv_status::timeout;
    }

    /// The same; stores the error, which is error::timed_out if the time has come.
    void wait_until(std::unique_lock<mutex>& lock, detail::sync_clock::time_point deadline,
                    boost::system::error_code& ec)
    {
        ec = wait_notified(lock, deadline);
    }

    /// Waits until the predicate holds, no longer than to a point in time. Returns what the predicate says at the end.
    /// @throws as wait().
    template <class Predicate>
    bool wait_until(std::unique_lock<mutex>& lock, detail::sync_clock::time_point deadline, Predicate holds)
    {
        boost::system::error_code ec;
        const bool held = wait_until(lock, deadline, holds, ec);
        if (!held)
            detail::in_time(ec, "condition_variable::wait_until");
        return held;
    }

    /// The same; stores the error. It is none if the predicate holds, even where a wait has ended with one.
    template <class Predicate>
    bool wait_until(std::unique_lock<mutex>& lock, detail::sync_clock::time_point deadline, Predicate holds,
                    boost::system::error_code& ec)
    {
        ec.clear();
        while (!holds())
        {
            if (ec)
                return false;
            ec = wait_notified(lock, deadline);
        }
        ec.clear();
        return true;
    }

    template <class Rep, class Period>
    std::cv_status wait_for(std::unique_lock<mutex>& lock, const std::chrono::duration<Rep, Period>& time)
    {
        return wait_until(lock, detail::deadline_after(time));
    }

    template <class Rep, class Period, class Predicate>
    bool wait_for(std::unique_lock<mutex>& lock, const std::chrono::duration<Rep, Period>& time, Predicate holds)
    {
        return wait_until(lock, detail::deadline_after(time), std::move(holds));
    }

    /// Lets go of the mutex, waits for a notification, locks again, and then calls the handler: `void(error_code)`. The
    /// lock object is not touched, and says all the time that it holds the mutex, which is so again when the handler is
    /// called, whatever the error. Only the mutex must live until then, not the lock.
    ///
    /// Never completes inline; never blocks. All types of cancellation end the wait with operation_aborted. The handler
    /// needs an associated executor.
    template <BOOST_ASIO_COMPLETION_TOKEN_FOR(void(boost::system::error_code)) Token>
    auto async_wait(std::unique_lock<mutex>& lock, Token&& token)
    {
        BOOST_ASSERT(lock.owns_lock());
        return boost::asio::async_initiate<Token, void(boost::system::error_code)>(
            [this]<class Handler>(Handler&& handler, mutex* held)
            {
                using waiting = detail::handler_wait<detail::locking_notice, std::decay_t<Handler>>;
                start(waiting::make(std::decay_t<Handler>(std::forward<Handler>(handler)), *this, *held), *held);
            },
            token, lock.mutex());
    }

private:
    boost::system::error_code wait_notified(std::unique_lock<mutex>& lock, detail::sync_clock::time_point deadline);
    void start(detail::wait_node& node, mutex& held) noexcept;

    detail::wait_list waiters_;
};

} // namespace zsync
