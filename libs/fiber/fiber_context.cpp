// SPDX-License-Identifier: BSL-1.0
#include <zsync/fiber/fiber_context.hpp>

#include <zsync/fiber/detail/fiber_loop.hpp>

namespace zsync
{

fiber_context::fiber_context() : fiber_context(fiber_options()) {}

fiber_context::fiber_context(const fiber_options& options) : loop_(std::make_unique<detail::fiber_loop>(*this, options))
{
}

// The services go while there is still a loop: what they destroy refers to it. What they queue as they are shut down may
// hold I/O objects, whose services must still be there.
fiber_context::~fiber_context()
{
    loop_->end_fibers();
    loop_->shutdown();
    shutdown();
    loop_->destroy_items();
    destroy();
    loop_->destroy_items();
}

fiber_context::executor_type fiber_context::get_executor() noexcept
{
    return executor_type(*loop_);
}

std::size_t fiber_context::run()
{
    return loop_->run({});
}

std::size_t fiber_context::run_until(std::chrono::steady_clock::time_point deadline)
{
    return loop_->run({.deadline = deadline});
}

std::size_t fiber_context::run_one()
{
    return loop_->run({.one = true});
}

std::size_t fiber_context::poll()
{
    return loop_->run({.wait = false});
}

std::size_t fiber_context::poll_one()
{
    return loop_->run({.wait = false, .one = true});
}

void fiber_context::stop() noexcept
{
    loop_->stop();
}

bool fiber_context::stopped() const noexcept
{
    return loop_->stopped();
}

void fiber_context::restart() noexcept
{
    loop_->restart();
}

engine_kind fiber_context::engine() const noexcept
{
    return loop_->io().kind();
}

const std::string& fiber_context::why() const noexcept
{
    return loop_->why();
}

std::size_t fiber_context::fibers_alive() const noexcept
{
    return loop_->alive();
}

stack_usage fiber_context::stacks() const noexcept
{
    return loop_->stacks();
}

void fiber_context::release_memory() noexcept
{
    loop_->release_memory();
}

metrics fiber_context::counters() const noexcept
{
    return loop_->counters();
}

} // namespace zsync
