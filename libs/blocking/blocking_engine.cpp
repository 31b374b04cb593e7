// SPDX-License-Identifier: BSL-1.0
#include <zsync/blocking/blocking_engine.hpp>

#include <zsync/core/detail/from_errno.hpp>
#include <zsync/core/system_call.hpp>

#include "core/attachable.hpp"

#include <boost/assert.hpp>

#include <cerrno>
#include <new>
#include <utility>

#include <linux/futex.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

namespace zsync
{

using boost::system::error_code;
using detail::from_errno;

blocking_engine::~blocking_engine()
{
    BOOST_ASSERT(finished_.empty());
}

bool blocking_engine::supports(opcode code) const noexcept
{
    return has_system_call(code);
}

void blocking_engine::start(operation& op, operation_id* id)
{
    op.id = {};
    if (id)
        *id = op.id;
    call(op);

    lock held(mutex_);
    count(op);
    op.where = operation::state::finished;
    finished_.push(op);
    if (sleep_.load(std::memory_order_relaxed) == sleep_state::asleep)
        wake();
}

bool blocking_engine::perform_now(operation& op) noexcept
{
    call(op);
    lock held(mutex_);
    count(op);
    return true;
}

void blocking_engine::call(operation& op) noexcept
{
    BOOST_ASSERT(!stopped());
    if (op.code == opcode::poll)
    {
        lock held(mutex_);
        if (!attached_.pollable(op.descriptor))
        {
            op.result = -EOPNOTSUPP; // as epoll has it; poll(2) would call it ready
            return;
        }
    }
    perform(op);
}

void blocking_engine::count(const operation& op) noexcept
{
    ++counters_.operations_started;
    ++counters_.operations_completed;
    if (op.result == -ECANCELED)
        ++counters_.operations_cancelled;
}

void blocking_engine::cancel(operation_id) noexcept {}

void blocking_engine::cancel_descriptor(int) noexcept {}

error_code blocking_engine::attach_descriptor(int descriptor) noexcept
try
{
    struct stat file;
    if (const error_code refused = detail::stat_attachable(descriptor, file))
        return refused;
    lock held(mutex_);
    if (!attached_.attach(descriptor, {file.st_dev, file.st_ino}, !S_ISREG(file.st_mode) && !S_ISDIR(file.st_mode)))
        return from_errno(EEXIST);
    return {};
}
catch (const std::bad_alloc&)
{
    return from_errno(ENOMEM);
}

void blocking_engine::detach_descriptor(int descriptor) noexcept
{
    lock held(mutex_);
    attached_.detach(descriptor);
}

std::size_t blocking_engine::turn(std::optional<std::chrono::microseconds> timeout, void* sink)
{
    lock held(mutex_);
    const bool may_wait = (!timeout || timeout->count() > 0) && finished_.empty() && !stopped_;
    auto expected = sleep_state::awake;
    if (may_wait && sleep_.compare_exchange_strong(expected, sleep_state::asleep))
    {
        held.unlock();
        sleep(timeout);
        held.lock();
    }
    sleep_.store(sleep_state::awake);
    return deliver(held, sink);
}

// Returns at a wake-up, at the end of the time, or at a signal.
void blocking_engine::sleep(std::optional<std::chrono::microseconds> timeout) noexcept
{
    static_assert(sizeof sleep_ == sizeof(int) && std::atomic<sleep_state>::is_always_lock_free);
    timespec limit{};
    if (timeout)
    {
        limit.tv_sec = static_cast<time_t>(timeout->count() / 1'000'000);
        limit.tv_nsec = static_cast<long>(timeout->count() % 1'000'000 * 1000);
    }
    ::syscall(SYS_futex, &sleep_, FUTEX_WAIT_PRIVATE, static_cast<int>(sleep_state::asleep), timeout ? &limit : nullptr,
              nullptr, 0);
}

void blocking_engine::wake() noexcept
{
    if (sleep_.exchange(sleep_state::notified) != sleep_state::asleep)
        return;
    const int error = errno; // a signal handler may be where this is
    ::syscall(SYS_futex, &sleep_, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
    errno = error;
    wakes_.fetch_add(1, std::memory_order_relaxed);
}

metrics blocking_engine::counters() const noexcept
{
    metrics now = counters_.snapshot();
    now.wakes = wakes_.load(std::memory_order_relaxed);
    return now;
}

void blocking_engine::shutdown(void* sink) noexcept
{
    lock held(mutex_);
    stopped_ = true;
    deliver(held, sink);
}

std::size_t blocking_engine::deliver(lock& held, void* sink) noexcept
{
    queue finished = std::exchange(finished_, {});
    held.unlock();
    std::size_t count = 0;
    while (operation* op = finished.pop())
    {
        op->where = operation::state::idle;
        count += !op->background;
        op->on_complete(*op, sink);
    }
    return count;
}

} // namespace zsync
