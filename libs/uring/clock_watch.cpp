// SPDX-License-Identifier: BSL-1.0
#include <zsync/uring/detail/clock_watch.hpp>

#include <boost/system/system_error.hpp>

#include <cerrno>
#include <cstdint>

#include <poll.h>
#include <sys/timerfd.h>
#include <unistd.h>

namespace zsync::detail
{

namespace
{

int make_timer()
{
    const int descriptor = ::timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    // It must be armed in order to be cancelled, for a time that never comes.
    itimerspec never{};
    never.it_value.tv_sec = std::int64_t{1} << 33;
    if (descriptor < 0 ||
        ::timerfd_settime(descriptor, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, nullptr) < 0)
    {
        const boost::system::error_code error(errno, boost::system::system_category());
        if (descriptor >= 0)
            ::close(descriptor);
        throw boost::system::system_error(error, "timerfd");
    }
    return descriptor;
}

} // namespace

clock_watch::clock_watch() noexcept
{
    code = opcode::poll;
    flags = POLLIN;
    background = true;
    on_complete = [](operation& self, void*) noexcept { static_cast<clock_watch&>(self).changed(); };
}

clock_watch::~clock_watch()
{
    if (operation::descriptor >= 0)
        ::close(operation::descriptor);
}

void clock_watch::start(uring_engine& engine)
{
    const std::lock_guard held(mutex_);
    if (engine_)
        return;
    if (operation::descriptor < 0)
        operation::descriptor = make_timer();
    engine.start(*this);
    engine_ = &engine;
}

void clock_watch::renew(uring_engine& engine)
{
    if (!engine_)
        return;
    const int fresh = make_timer();
    ::close(operation::descriptor);
    engine.replace_descriptor(*this, fresh);
}

// The turn that delivers this ends; the next one reads the clock.
void clock_watch::changed() noexcept
{
    std::uint64_t count;
    [[maybe_unused]] const auto ignored = ::read(operation::descriptor, &count, sizeof count); // ECANCELED
    if (!engine_->stopped())
        engine_->start(*this); // cannot throw: its slot was freed a moment ago
}

} // namespace zsync::detail
