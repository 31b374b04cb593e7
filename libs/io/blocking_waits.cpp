// SPDX-License-Identifier: BSL-1.0
#include <zsync/io/detail/blocking_waits.hpp>

#include <zsync/core/descriptor.hpp>
#include <zsync/core/error.hpp>
#include <zsync/io/detail/steps.hpp>

#include <boost/asio/error.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <optional>

#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

namespace zsync::detail
{

namespace
{

using boost::asio::error::operation_aborted;
using boost::system::error_code;

/// A descriptor that becomes readable when a token is cancelled; none for a token that never is.
class cancellation_event
{
public:
    cancellation_event(const cancellation_token& token, error_code& ec)
    {
        if (!token.can_be_cancelled())
            return;
        descriptor_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (descriptor_ < 0)
            ec = from_errno(errno);
        else
            callback_.emplace(token, signal{descriptor_});
    }

    ~cancellation_event()
    {
        callback_.reset();
        if (descriptor_ >= 0)
            ::close(descriptor_);
    }

    cancellation_event(const cancellation_event&) = delete;
    cancellation_event& operator=(const cancellation_event&) = delete;

    int native() const noexcept { return descriptor_; }

private:
    struct signal
    {
        int descriptor;
        void operator()() const noexcept
        {
            const std::uint64_t one = 1;
            [[maybe_unused]] const ssize_t written = ::write(descriptor, &one, sizeof one);
        }
    };

    int descriptor_ = -1;
    std::optional<cancellation_callback<signal>> callback_;
};

/// Waits for poll(2) events on a descriptor (-1: for nothing), for a time that ends it (true), for the cancellation or
/// the deadline (false).
bool wait_for(int descriptor, std::uint32_t events, settings::clock::time_point until, const settings& with,
              const cancellation_event& cancelled, error_code& ec)
{
    const auto end = std::min(until, with.deadline);
    for (;;)
    {
        pollfd both[2] = {{descriptor, static_cast<short>(events), 0}, {cancelled.native(), POLLIN, 0}};
        timespec left{};
        if (end != settings::no_deadline)
        {
            const auto time = std::max(end - settings::clock::now(), settings::clock::duration::zero());
            const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(time);
            left.tv_sec = seconds.count();
            left.tv_nsec = std::chrono::nanoseconds(time - seconds).count();
        }
        const int count = ::ppoll(both, 2, end == settings::no_deadline ? nullptr : &left, nullptr);
        if (count > 0 && both[0].revents)
            return true;
        if (count > 0 || with.cancellation.cancel_requested())
        {
            ec = operation_aborted;
            return false;
        }
        if (count < 0 && errno != EINTR)
        {
            ec = from_errno(errno);
            return false;
        }
        if (settings::clock::now() < end)
            continue;
        if (until <= with.deadline)
            return true;
        ec = error::timed_out;
        return false;
    }
}

} // namespace

bool blocking_waits::perform_limited(error_code& ec)
{
    if (with_.cancellation.cancel_requested())
    {
        ec = operation_aborted;
        return false;
    }
    record_.result = 0;
    record_.connecting = false;
    if (try_perform(record_))
        return true;
    const cancellation_event cancelled(with_.cancellation, ec);
    if (ec)
        return false;
    do
    {
        if (!wait_for(record_.descriptor, awaited_events(record_), settings::no_deadline, with_, cancelled, ec))
            return false;
    } while (!try_perform(record_));
    return true;
}

bool blocking_waits::pause(settings::clock::time_point until, error_code& ec)
{
    if (cancellation_.take() || with_.cancellation.cancel_requested())
    {
        ec = operation_aborted;
        return false;
    }
    const cancellation_event cancelled(with_.cancellation, ec);
    return !ec && wait_for(-1, 0, until, with_, cancelled, ec);
}

bool blocking_waits::call(helper_call& what, error_code& ec)
{
    if (cancellation_.take() || with_.cancellation.cancel_requested())
    {
        ec = operation_aborted;
        return false;
    }
    if (settings::clock::now() >= with_.deadline)
    {
        ec = error::timed_out;
        return false;
    }
    what.make();
    return true;
}

bool blocking_waits::idle(descriptor_core& core, error_code& ec)
{
    ec = agent::current().may_wait();
    if (ec)
        return false;
    struct note : descriptor_core::idle_waiter
    {
        waiter who;
    } end;
    end.idle = [](descriptor_core::idle_waiter& self) noexcept { static_cast<note&>(self).who.notify(); };
    core.when_idle(end);
    end.who.wait();
    return true;
}

} // namespace zsync::detail
