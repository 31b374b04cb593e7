// SPDX-License-Identifier: BSL-1.0
#include <zsync/core/agent.hpp>

#include <zsync/core/detail/asio.hpp>

#include <condition_variable>
#include <mutex>
#include <utility>

namespace zsync
{

namespace
{

/// A thread outside fibers. It may always wait; whether that makes sense is its caller's question.
class thread_agent final : public agent
{
public:
    thread_agent() noexcept : agent(nullptr) {}

    boost::system::error_code may_wait() const noexcept override { return {}; }

private:
    void wait(waiter& w) noexcept override
    {
        std::unique_lock held(mutex_);
        notified_.wait(held, [&] { return w.is_done(); });
    }

    bool wait_until(waiter& w, std::chrono::steady_clock::time_point deadline) noexcept override
    {
        std::unique_lock held(mutex_);
        return notified_.wait_until(held, deadline, [&] { return w.is_done(); });
    }

    // Under the lock to the end: the thread cannot see it, go on and end, before this has let go.
    void notify(waiter& w) noexcept override
    {
        const std::lock_guard held(mutex_);
        w.set_done();
        notified_.notify_all();
    }

    std::mutex mutex_;
    std::condition_variable notified_;
};

thread_local agent* const* current_agent = nullptr;

agent& this_thread()
{
    thread_local thread_agent instance;
    return instance;
}

} // namespace

[[gnu::noinline]] agent& agent::current() noexcept
{
    return current_agent && *current_agent ? **current_agent : this_thread();
}

void agent::free_signal_block() noexcept
{
    detail::free_cached_block(signal_block_);
}

[[gnu::noinline]] agent* const* detail::set_current_agent(agent* const* where) noexcept
{
    return std::exchange(current_agent, where);
}

} // namespace zsync
