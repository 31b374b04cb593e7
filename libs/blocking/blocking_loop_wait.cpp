// SPDX-License-Identifier: BSL-1.0

// How whoever leads a blocking_loop waits for the guest, and is woken.

#include "blocking_loop.hpp"

#include <algorithm>
#include <cstdint>
#include <utility>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace zsync::detail
{

namespace
{

// Chosen: how long to wait at a time where there is no descriptor to be woken by.
constexpr std::chrono::microseconds without_event(1000);

} // namespace

void blocking_loop::poll_guest()
{
    if (guest_.idle())
        return;
    if (const int descriptor = guest_.descriptor(); descriptor >= 0)
    {
        pollfd watched{descriptor, POLLIN, 0};
        if (::poll(&watched, 1, 0) > 0)
            guest_.set_readable();
    }
    guest_.poll();
}

// Waits, or runs a handler of the guest.
void blocking_loop::wait(std::optional<time_point> deadline)
{
    // Another thread may have made the first stock object.
    if (guest_.descriptor() < 0 && boost::asio::has_service<epoll_reactor>(context()))
        guest_.use_reactor();
    std::optional<std::chrono::microseconds> timeout;
    if (deadline)
    {
        const auto left = std::chrono::ceil<std::chrono::microseconds>(*deadline - std::chrono::steady_clock::now());
        timeout = std::max(left, std::chrono::microseconds(0));
    }
    guest_.wait(timeout);
}

void blocking_loop::wait_for_guest(std::optional<std::chrono::microseconds> timeout)
{
    pollfd watched[] = {{-1, POLLIN, 0}, {guest_.descriptor(), POLLIN, 0}};
    {
        const lock held(mutex_);
        if (std::exchange(woken_, false))
            return;
        if (event_ < 0)
            event_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        watched[0].fd = event_;
        sleeping_ = true;
    }
    if (watched[0].fd < 0)
        timeout = timeout ? std::min(*timeout, without_event) : without_event;
    timespec length{};
    if (timeout)
    {
        const auto seconds = std::chrono::floor<std::chrono::seconds>(*timeout);
        length.tv_sec = seconds.count();
        length.tv_nsec = std::chrono::nanoseconds(*timeout - seconds).count();
    }
    ::ppoll(watched, 2, timeout ? &length : nullptr, nullptr);
    if (watched[1].revents)
        guest_.set_readable();

    const lock held(mutex_);
    woken_ = false;
    if (!std::exchange(sleeping_, false) && event_ >= 0)
    {
        std::uint64_t ignored = 0;
        [[maybe_unused]] const auto drained = ::read(event_, &ignored, sizeof ignored);
    }
}

void blocking_loop::wake() noexcept
{
    lock held(mutex_);
    wake(held);
}

void blocking_loop::wake(lock&) noexcept
{
    woken_ = true;
    if (std::exchange(sleeping_, false) && event_ >= 0)
    {
        const std::uint64_t one = 1;
        [[maybe_unused]] const auto written = ::write(event_, &one, sizeof one);
    }
}

void blocking_loop::forked_child() noexcept
{
    if (event_ >= 0)
        ::close(std::exchange(event_, -1)); // the parent's
    woken_ = sleeping_ = false;
}

} // namespace zsync::detail
