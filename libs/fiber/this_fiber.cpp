// SPDX-License-Identifier: BSL-1.0
#include <zsync/fiber/this_fiber.hpp>

#include <zsync/core/error.hpp>
#include <zsync/fiber/detail/fiber_loop.hpp>

#include "probes.hpp"

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <limits>
#include <utility>

namespace zsync
{

// Where nothing is in the way it is one function, without a question asked twice.
inline void detail::fiber_loop::yield(fiber& self) noexcept
{
    if (self.strays || !self.is_plain()) [[unlikely]]
    {
        self.ready();
        suspend(self);
        return;
    }
    enqueue(self);
    if (loop_ == &self)
        leave_item(self);
    fiber& to = next();
    if (&to == &self)
        return;
    current_ = &to;
    if (to.strays) [[unlikely]]
        exchange_call_stacks(self, to);
    arrived_from(self.switch_as_is(to, *exceptions_));
}

} // namespace zsync

namespace zsync::this_fiber
{

namespace
{

using boost::system::error_code;
using boost::system::system_error;
using clock = std::chrono::steady_clock;

// One for the process, as its ids are.
constinit std::atomic<std::uint64_t> last_id{0};

zsync::detail::fiber* running_fiber() noexcept
{
    agent& running = agent::current();
    return running.fiber_of() ? static_cast<zsync::detail::fiber*>(&running) : nullptr;
}

[[noreturn, gnu::cold]] void refuse_to_yield(const zsync::detail::fiber& self)
{
    throw system_error(self.may_wait(), "yield");
}

/// A wait for nothing but the time, which a request ends.
class sleeper final : task_cancellation::wait
{
public:
    explicit sleeper(agent& self) noexcept : waiter_(self, {.kind = wait_kind::time}) {}

    /// Returns false if a request has ended it.
    bool sleep_until(clock::time_point when) noexcept
    {
        task_cancellation& cancellation = waiter_.owner().cancellation();
        cancellation.begin(*this);
        static_cast<void>(waiter_.wait_until(when));
        cancellation.end();
        return !interrupted_;
    }

private:
    void interrupt() noexcept override
    {
        if (!std::exchange(interrupted_, true))
            waiter_.notify();
    }

    waiter waiter_;
    bool interrupted_ = false;
};

} // namespace

id id::make() noexcept
{
    return id(last_id.fetch_add(1, std::memory_order_relaxed) + 1);
}

bool is_fiber() noexcept
{
    return agent::current().fiber_of() != nullptr;
}

id get_id() noexcept
{
    zsync::detail::fiber* const self = running_fiber();
    if (!self)
        return {};
    self->marked |= self->is_loop;
    return self->number;
}

std::string_view name() noexcept
{
    const zsync::detail::fiber* const self = running_fiber();
    return self ? self->name : "";
}

void set_name(std::string_view name) noexcept
{
    if (zsync::detail::fiber* const self = running_fiber())
    {
        const std::size_t size = std::min(name.size(), sizeof self->name - 1);
        std::copy_n(name.begin(), size, self->name);
        self->name[size] = '\0';
        self->marked |= self->is_loop;
        self->owner().renamed();
    }
}

std::size_t stack_left() noexcept
{
    const zsync::detail::fiber* const self = running_fiber();
    if (!self)
        return std::numeric_limits<std::size_t>::max();
    return static_cast<std::size_t>(static_cast<std::byte*>(__builtin_frame_address(0)) - self->stack().base);
}

std::size_t stack_high_water() noexcept
{
    const zsync::detail::fiber* const self = running_fiber();
    return self ? self->owner().high_water(*self) : 0;
}

cancellation_state cancellation() noexcept
{
    const task_cancellation& mine = agent::current().cancellation();
    return {.requested = mine.requested(), .due = mine.due(), .deferred = mine.is_protected(), .reason = mine.reason()};
}

cancellation_token get_cancellation_token()
{
    return agent::current().cancellation().token();
}

void yield()
{
    zsync::detail::fiber* const self = running_fiber();
    if (!self)
        return;
    if (self->must_return_first()) [[unlikely]]
        refuse_to_yield(*self);
    ZSYNC_PROBE(fiber_suspend, self->number.number(), -1);
    self->owner().yield(*self);
    ZSYNC_PROBE(fiber_resume, self->number.number(), -1);
    self->cancellation().throw_if_unwinding();
}

void sleep_until(clock::time_point when)
{
    error_code ec;
    sleep_until(when, ec);
    if (ec)
        throw system_error(ec, "sleep");
}

void sleep_until(clock::time_point when, error_code& ec)
{
    agent& running = agent::current();
    ec = running.may_wait();
    if (ec)
        return;
    if (running.cancellation().take())
    {
        ec = boost::asio::error::operation_aborted;
        return;
    }
    const clock::time_point limit = running.cancellation().deadline();
    if (when > clock::now())
    {
        if (!sleeper(running).sleep_until(std::min(when, limit)))
        {
            running.cancellation().take();
            ec = boost::asio::error::operation_aborted;
        }
        else if (limit < when)
            ec = error::timed_out;
    }
    running.cancellation().throw_if_unwinding();
}

namespace detail
{

void id_source::reserve() noexcept
{
    constexpr std::uint64_t run = 64; // chosen
    next_ = last_id.fetch_add(run, std::memory_order_relaxed) + 1;
    end_ = next_ + run;
}

void introduce(id which, std::string_view name) noexcept
{
    running_fiber()->number = which;
    set_name(name);
}

} // namespace detail

} // namespace zsync::this_fiber
