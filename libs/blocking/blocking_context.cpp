// SPDX-License-Identifier: BSL-1.0
#include <zsync/blocking/blocking_context.hpp>

#include "blocking_loop.hpp"

namespace zsync
{

blocking_context::blocking_context() : loop_(std::make_unique<detail::blocking_loop>(*this)) {}

// Whatever is destroyed here may destroy I/O objects, whose services must still be there; and may hold work, or post,
// for which the loop must.
blocking_context::~blocking_context()
{
    loop_->stop_helpers();
    loop_->abandon_items();
    shutdown();
    loop_->shut_down_engine();
    loop_->abandon_items();
    destroy();
    loop_->abandon_items();
}

blocking_context::executor_type blocking_context::get_executor() noexcept
{
    return executor_type(*loop_);
}

blocking_context::count_type blocking_context::run()
{
    return loop_->run({});
}

blocking_context::count_type blocking_context::run_one()
{
    return loop_->run({.one = true});
}

blocking_context::count_type blocking_context::poll()
{
    return loop_->run({.wait = false});
}

blocking_context::count_type blocking_context::poll_one()
{
    return loop_->run({.wait = false, .one = true});
}

blocking_context::count_type blocking_context::run_until(std::chrono::steady_clock::time_point time)
{
    return loop_->run({.deadline = time});
}

blocking_context::count_type blocking_context::run_one_until(std::chrono::steady_clock::time_point time)
{
    return loop_->run({.deadline = time, .one = true});
}

void blocking_context::stop() noexcept
{
    loop_->stop();
}

bool blocking_context::stopped() const noexcept
{
    return loop_->stopped();
}

void blocking_context::restart() noexcept
{
    loop_->restart();
}

} // namespace zsync
