// SPDX-License-Identifier: BSL-1.0
#include <zsync/reactor/reactor_engine.hpp>

#include <zsync/core/detail/from_errno.hpp>
#include <zsync/core/direction.hpp>

#include "core/attachable.hpp"
#include "core/transfer_now.hpp"

#include <boost/assert.hpp>
#include <boost/system/system_error.hpp>

#include <cerrno>
#include <new>
#include <utility>

#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace zsync
{

namespace
{

using boost::system::error_code;
using detail::from_errno;

// Turns that have something to deliver and so need not ask epoll what else there is; chosen.
constexpr unsigned most_turns_without_events = 16;

bool is_tcp(int descriptor) noexcept
{
    int protocol = 0;
    socklen_t size = sizeof protocol;
    return ::getsockopt(descriptor, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) == 0 && protocol == IPPROTO_TCP;
}

} // namespace

reactor_engine::reactor_engine(const reactor_engine_options& options) : mutex_(options.locking)
{
    open();
}

reactor_engine::~reactor_engine()
{
    BOOST_ASSERT(queued_.empty() && finished_.empty());
    ::close(epoll_);
    ::close(wake_descriptor_);
}

// Whatever a kernel lacks here, it lacks as a system call, too.
bool reactor_engine::supports(opcode code) const noexcept
{
    return has_system_call(code);
}

void reactor_engine::start(operation& op, operation_id* id)
{
    BOOST_ASSERT(!stopped());
    lock held(mutex_);
    op.way = direction_of(op);
    const bool is_first = records_.enter(op);
    op.begin();
    op.result = 0;
    if (id)
        *id = op.id;
    if (!op.background)
        ++counters_.operations_started;
    if (op.code == opcode::poll && !records_.pollable(op.descriptor))
    {
        finish(op, -EOPNOTSUPP); // as epoll has it; poll(2) would call it ready
    }
    else if (is_first)
    {
        queued_.push(op);
    }
    else
    {
        op.where = operation::state::held;
    }
    prompt();
}

// Under the lock, which close() takes, too. What it leaves in the socket has had its event, or will have one.
bool reactor_engine::perform_now(operation& op) noexcept
{
    const std::lock_guard held(mutex_);
    return !stopped_ && detail::transfer_now(op, records_, counters_);
}

void reactor_engine::cancel(operation_id id) noexcept
{
    lock held(mutex_);
    if (operation* op = records_.find(id))
    {
        request_cancel(*op);
        prompt();
    }
}

void reactor_engine::cancel_descriptor(int descriptor) noexcept
{
    lock held(mutex_);
    if (cancel_all_on(descriptor))
        prompt();
}

error_code reactor_engine::attach_descriptor(int descriptor) noexcept
try
{
    struct stat file;
    if (const error_code refused = detail::stat_attachable(descriptor, file))
        return refused;
    const bool stream = S_ISSOCK(file.st_mode) && is_tcp(descriptor);

    lock held(mutex_);
    watch& place = watch_at(descriptor);
    const bool fresh =
        records_.attach(descriptor, {file.st_dev, file.st_ino}, !S_ISREG(file.st_mode) && !S_ISDIR(file.st_mode));
    // Eventfds and their like share one inode; epoll tells them apart.
    const bool same = place.registered && still_the_same(descriptor, place);
    if (!fresh && (same || !place.registered))
        return from_errno(EEXIST);
    if (!same)
    {
        forget(descriptor, place);
        prompt();
    }
    place.attached = true;
    place.stream = stream;
    return {};
}
catch (const std::bad_alloc&)
{
    return from_errno(ENOMEM);
}

void reactor_engine::try_sends(int descriptor) noexcept
{
    lock held(mutex_);
    await_attempt_on(descriptor, held);
    try_sends_on(descriptor);
    if (!finished_.empty())
        prompt();
}

void reactor_engine::detach_descriptor(int descriptor) noexcept
{
    lock held(mutex_);
    await_attempt_on(descriptor, held);
    try_sends_on(descriptor);
    const bool anything = cancel_all_on(descriptor);
    records_.detach(descriptor);
    if (watch* const place = find_watch(descriptor))
        forget(descriptor, *place);
    if (anything)
        prompt();
}

void reactor_engine::wake() noexcept
{
    if (sleep_.exchange(sleep_state::notified) != sleep_state::asleep)
        return;
    const int error = errno; // a signal handler may be where this is
    const std::uint64_t one = 1;
    // Fails only if the counter is full, which takes longer than any machine lasts.
    [[maybe_unused]] const auto written = ::write(wake_descriptor_, &one, sizeof one);
    errno = error;
    wakes_.fetch_add(1, std::memory_order_relaxed);
}

std::size_t reactor_engine::turn(std::optional<std::chrono::microseconds> timeout, void* sink)
{
    lock held(mutex_);
    attempt_queued(held);

    int result = 0;
    if (finished_.empty() || ++turns_without_events_ > most_turns_without_events)
    {
        turns_without_events_ = 0;
        const bool may_wait = (!timeout || timeout->count() > 0) && finished_.empty() && queued_.empty() && !stopped_;
        auto expected = sleep_state::awake;
        const bool asleep = may_wait && sleep_.compare_exchange_strong(expected, sleep_state::asleep);
        result = wait(held, asleep ? timeout : std::chrono::microseconds(0));
        attempt_queued(held);
    }
    sleep_.store(sleep_state::awake);

    queue finished = std::exchange(finished_, {});
    held.unlock();
    const std::size_t delivered = deliver(finished, sink);

    if (result < 0 && result != -EINTR)
        throw boost::system::system_error(from_errno(-result), "epoll_wait");
    return delivered;
}

void reactor_engine::child_after_fork()
{
    lock held(mutex_);
    ::close(std::exchange(epoll_, -1));
    ::close(std::exchange(wake_descriptor_, -1));
    for (watch& place : watches_)
    {
        ++place.generation;
        place.registered = place.drained = place.never_dry = false;
        while (operation* op = place.waiting.pop())
            enqueue(*op);
    }
    sleep_ = sleep_state::awake;
    open();
}

void reactor_engine::shutdown(void* sink) noexcept
{
    lock held(mutex_);
    BOOST_ASSERT(!attempted_);
    stopped_ = true;
    records_.for_each([this](operation& op) { request_cancel(op); });
    queue finished = std::exchange(finished_, {});
    held.unlock();
    deliver(finished, sink);
}

std::size_t reactor_engine::deliver(queue finished, void* sink) noexcept
{
    std::size_t count = 0;
    while (operation* op = finished.pop())
    {
        op->where = operation::state::idle;
        count += !op->background;
        op->on_complete(*op, sink);
    }
    return count;
}

metrics reactor_engine::counters() const noexcept
{
    metrics now = counters_.snapshot();
    now.wakes = wakes_.load(std::memory_order_relaxed);
    return now;
}

} // namespace zsync
