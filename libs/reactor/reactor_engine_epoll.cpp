// SPDX-License-Identifier: BSL-1.0
// The half of reactor_engine that faces the kernel: what is attempted, what waits in epoll, what comes of it. The lock
// is held throughout, but for the system calls of attempt_queued() and wait().
#include <zsync/reactor/reactor_engine.hpp>

#include <zsync/core/system_call.hpp>

#include <boost/system/system_error.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <new>
#include <thread>
#include <utility>

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

namespace zsync
{

namespace
{

// Chosen: what completes in one turn, and what one epoll_wait may report.
constexpr unsigned most_in_a_turn = 128;
constexpr int most_events = 128;

constexpr std::uint32_t watched_events = EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP;
static_assert(EPOLLIN == POLLIN && EPOLLOUT == POLLOUT && EPOLLPRI == POLLPRI && EPOLLERR == POLLERR &&
              EPOLLHUP == POLLHUP);

constexpr std::uint64_t wake_mark = ~std::uint64_t{0};

[[noreturn]] void fail(const char* what)
{
    throw boost::system::system_error({errno, boost::system::system_category()}, what);
}

epoll_event event_of(int descriptor, std::uint32_t generation) noexcept
{
    epoll_event event{};
    event.events = watched_events | EPOLLET;
    event.data.u64 = std::uint64_t{generation} << 32 | static_cast<std::uint32_t>(descriptor);
    return event;
}

// A receive that takes what there is, and nothing special.
bool is_plain_receive(const operation& op) noexcept
{
    constexpr std::uint32_t harmless = MSG_DONTWAIT | MSG_NOSIGNAL | MSG_CMSG_CLOEXEC;
    return op.code == opcode::receive && (op.flags & ~harmless) == 0;
}

std::uint32_t wanted_events(const operation& op) noexcept
{
    return op.awaited ? op.awaited : awaited_events(op);
}

// The result of a poll that epoll has answered; 0: poll(2) is to be asked.
int polled(const operation& op, std::uint32_t events) noexcept
{
    if (op.code != opcode::poll || op.awaited || (op.flags & ~watched_events) != 0)
        return 0;
    return static_cast<int>(events & (op.flags | EPOLLERR | EPOLLHUP));
}

bool may_go_on(const operation& op, std::uint32_t events) noexcept
{
    const std::uint32_t wanted = wanted_events(op);
    // Events that epoll was not told of come with one that it was: poll(2) says which.
    return (wanted & ~watched_events) != 0 || (events & (wanted | EPOLLERR | EPOLLHUP)) != 0;
}

// Returns true if the operation has its result.
bool attempt_now(operation& op, bool known_pollable) noexcept
{
    if (op.awaited)
    {
        const int events = detail::events_now(op.descriptor, op.awaited);
        if (events == 0)
            return false;
        if (events < 0)
        {
            op.result = events;
            return true;
        }
        op.awaited = 0;
    }
    return detail::attempt(op, known_pollable);
}

bool is_whole_milliseconds(std::chrono::microseconds time) noexcept
{
    return time.count() % 1000 == 0 && time.count() / 1000 <= INT_MAX;
}

int wait_in_milliseconds(int epoll, epoll_event* events, std::chrono::microseconds time) noexcept
{
    const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(time).count();
    const int count =
        ::epoll_wait(epoll, events, most_events, static_cast<int>(std::min<std::int64_t>(milliseconds, INT_MAX)));
    return count < 0 ? -errno : count;
}

int wait_exactly(int epoll, epoll_event* events, std::chrono::microseconds time) noexcept
{
    // By number: the C library's function came in glibc 2.35.
    const timespec limit{static_cast<time_t>(time.count() / 1'000'000),
                         static_cast<long>(time.count() % 1'000'000 * 1000)};
    const auto count = ::syscall(SYS_epoll_pwait2, epoll, events, most_events, &limit, nullptr, 0);
    return count < 0 ? -errno : static_cast<int>(count);
}

} // namespace

void reactor_engine::open()
{
    epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
    if (epoll_ < 0)
        fail("epoll_create1");
    wake_descriptor_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    epoll_event event{};
    event.events = EPOLLIN | EPOLLET;
    event.data.u64 = wake_mark;
    const char* const what = wake_descriptor_ < 0 ? "eventfd" : "epoll_ctl";
    if (wake_descriptor_ >= 0 && ::epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_descriptor_, &event) == 0)
        return;
    const int error = errno;
    ::close(std::exchange(epoll_, -1));
    if (wake_descriptor_ >= 0)
        ::close(std::exchange(wake_descriptor_, -1));
    errno = error;
    fail(what);
}

// Attempts what is queued, until it is all done or waits, or enough has been done for one turn.
void reactor_engine::attempt_queued(lock& held) noexcept
{
    unsigned done = 0;
    while (done < most_in_a_turn)
    {
        operation* const op = queued_.pop();
        if (!op)
            return;
        op->where = operation::state::in_kernel;
        bool has_result = false;
        if (!would_be_in_vain(*op))
        {
            const bool known_pollable = is_known_pollable(*op);
            attempted_ = op;
            held.unlock();
            has_result = attempt_now(*op, known_pollable);
            held.lock();
            attempted_ = nullptr;
        }
        if (has_result)
        {
            ++done;
            note_drained(*op);
            finish(*op, op->result);
        }
        else if (op->cancel_requested)
        {
            ++done;
            finish(*op, op->result > 0 ? op->result : -ECANCELED);
        }
        else
        {
            try
            {
                wait_until_ready(*op);
            }
            catch (const std::bad_alloc&)
            {
                finish(*op, op->result > 0 ? op->result : -ENOMEM);
            }
        }
    }
}

// Waits for events, takes them, and returns a negated errno if that failed.
int reactor_engine::wait(lock& held, std::optional<std::chrono::microseconds> timeout) noexcept
{
    std::array<epoll_event, most_events> events;
    const int epoll = epoll_;
    held.unlock();
    int count = -ENOSYS;
    if (!timeout)
    {
        count = ::epoll_wait(epoll, events.data(), most_events, -1);
        if (count < 0)
            count = -errno;
    }
    else
    {
        if (exact_waits_ && !is_whole_milliseconds(*timeout))
        {
            count = wait_exactly(epoll, events.data(), *timeout);
            exact_waits_ = count != -ENOSYS && count != -EPERM; // EPERM: a sandbox that does not know it
        }
        if (!exact_waits_ || is_whole_milliseconds(*timeout))
            count = wait_in_milliseconds(epoll, events.data(), *timeout);
    }
    held.lock();
    sleep_.store(sleep_state::awake);
    take_events(events.data(), count);
    return std::min(count, 0);
}

void reactor_engine::take_events(const epoll_event* events, int count) noexcept
{
    for (int index = 0; index < count; ++index)
    {
        const epoll_event& event = events[index];
        if (event.data.u64 == wake_mark)
            continue;
        watch* const place = find_watch(static_cast<int>(event.data.u64 & 0xffff'ffff));
        if (!place || !place->registered || place->generation != event.data.u64 >> 32)
            continue;

        constexpr std::uint32_t lasting = EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI;
        place->never_dry |= (event.events & lasting) != 0;
        place->drained &= (event.events & (EPOLLIN | lasting)) == 0;
        operation* op = place->waiting.front();
        while (op)
        {
            operation* const next = queue::next(*op);
            if (may_go_on(*op, event.events))
            {
                place->waiting.erase(*op);
                // Not asked again: a pressure file tells of its event once.
                if (const int result = polled(*op, event.events))
                {
                    finish(*op, result);
                }
                else
                {
                    enqueue(*op);
                    if (!op->background)
                        ++counters_.operations_retried;
                }
            }
            op = next;
        }
    }
}

bool reactor_engine::is_known_pollable(const operation& op) const noexcept
{
    const watch* const place = find_watch(op.descriptor);
    return place && place->attached && records_.pollable(op.descriptor);
}

bool reactor_engine::would_be_in_vain(const operation& op) const noexcept
{
    if (!is_plain_receive(op) || op.awaited)
        return false;
    const watch* const place = find_watch(op.descriptor);
    return place && place->drained;
}

// TCP gives less than was asked for only if there is no more: what comes after makes an edge. Not so at the end of the
// stream, whose edge may have come with the last data, and at urgent data, where a receive stops. Local sockets stop
// where descriptors are passed.
void reactor_engine::note_drained(const operation& op) noexcept
{
    if (!is_plain_receive(op))
        return;
    watch* const place = find_watch(op.descriptor);
    if (place && place->attached && place->stream)
        place->drained = op.result > 0 && static_cast<std::uint32_t>(op.result) < op.length && !place->never_dry;
}

// @throws std::bad_alloc
void reactor_engine::wait_until_ready(operation& op)
{
    watch& place = watch_at(op.descriptor);
    const int error = enter_epoll(op.descriptor, place);
    if (error == 0)
    {
        place.waiting.push(op);
    }
    else if (error != EPERM)
    {
        finish(op, op.result > 0 ? op.result : -error);
    }
    else if (op.awaited || op.code == opcode::poll)
    {
        finish(op, -EOPNOTSUPP); // nothing tells when a file has such events
    }
    else
    {
        perform(op); // what cannot be waited for never has to wait
        finish(op, op.result);
    }
}

// Makes sure that what happens on a descriptor from here on, or has happened already, is reported. Returns an errno.
int reactor_engine::enter_epoll(int descriptor, watch& place) noexcept
{
    if (place.registered)
    {
        if (place.attached || still_the_same(descriptor, place))
            return 0;
        forget(descriptor, place);
    }
    epoll_event event = event_of(descriptor, ++place.generation);
    if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &event) < 0 &&
        // A file that left its number and has come back to it.
        (errno != EEXIST || ::epoll_ctl(epoll_, EPOLL_CTL_MOD, descriptor, &event) < 0))
        return errno;
    place.registered = true;
    return 0;
}

// Asks whether a number stands for the file that entered epoll by it. What is ready there is then reported again.
bool reactor_engine::still_the_same(int descriptor, const watch& place) const noexcept
{
    epoll_event event = event_of(descriptor, place.generation);
    return ::epoll_ctl(epoll_, EPOLL_CTL_MOD, descriptor, &event) == 0;
}

// Takes a number out of epoll, and what waits there, too. If its file has been closed behind our back, epoll has
// forgotten it as well, or will go on to report it, if it is open elsewhere, to nobody.
void reactor_engine::forget(int descriptor, watch& place) noexcept
{
    if (place.registered)
    {
        epoll_event unused{};
        ::epoll_ctl(epoll_, EPOLL_CTL_DEL, descriptor, &unused);
    }
    place.registered = place.attached = place.stream = place.drained = place.never_dry = false;
    ++place.generation;
    while (operation* op = place.waiting.front())
        request_cancel(*op);
}

// @throws std::bad_alloc
reactor_engine::watch& reactor_engine::watch_at(int descriptor)
{
    const auto index = static_cast<std::size_t>(descriptor);
    if (index >= watches_.size()) [[unlikely]]
        watches_.resize(std::max(index + 1, 2 * watches_.size()));
    return watches_[index];
}

const reactor_engine::watch* reactor_engine::find_watch(int descriptor) const noexcept
{
    const bool known = descriptor >= 0 && static_cast<std::size_t>(descriptor) < watches_.size();
    return known ? &watches_[static_cast<std::size_t>(descriptor)] : nullptr;
}

reactor_engine::watch* reactor_engine::find_watch(int descriptor) noexcept
{
    return const_cast<watch*>(std::as_const(*this).find_watch(descriptor));
}

void reactor_engine::finish(operation& op, int result) noexcept
{
    op.result = result;
    op.where = operation::state::finished;
    finished_.push(op);
    if (operation* const next = records_.leave(op))
        enqueue(*next);
    if (!op.background)
    {
        ++counters_.operations_completed;
        if (op.result == -ECANCELED)
            ++counters_.operations_cancelled;
    }
}

void reactor_engine::enqueue(operation& op) noexcept
{
    op.where = operation::state::queued;
    queued_.push(op);
}

// Something was queued, or has finished: a turn that sleeps would not see it.
void reactor_engine::prompt() noexcept
{
    if (sleep_.load(std::memory_order_relaxed) == sleep_state::asleep)
        wake();
}

} // namespace zsync
