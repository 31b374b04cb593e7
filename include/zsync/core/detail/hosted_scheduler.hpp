// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/detail/asio.hpp>

#include <chrono>
#include <cstddef>
#include <limits>
#include <optional>

namespace zsync::detail
{

/// What a loop does for the Asio scheduler that is its guest.
class scheduler_host
{
public:
    /// Waits for what the loop waits for, at most so long; nullopt: without limit. Runs no user code. Below the guest's
    /// frame: nothing may await here.
    virtual void wait_for_guest(std::optional<std::chrono::microseconds> timeout) = 0;

    /// Ends that wait. Any thread.
    virtual void wake_for_guest() noexcept = 0;

protected:
    ~scheduler_host() = default;
};

/// Asio's scheduler as the guest of a loop that is not Asio's: what stock I/O objects on the loop's context complete
/// through. Installed before any stock object can make Asio start a thread of its own for it.
///
/// No awaiting code runs below the guest's frames: a function suspended there would keep what was posted after it in a
/// queue on its stack, and leave the thread's call stack pointing into it. So handlers of stock objects that are bound
/// to the loop's executor are only queued from here, and an await in any other is refused: see running().
///
/// The guest holds one unit of work for good: with none, it stops for ever.
class hosted_scheduler final : public service_base<hosted_scheduler>, private scheduler_task
{
public:
    /// Adds the guest to a context. The host must live until the context's services are destroyed.
    static hosted_scheduler& install(boost::asio::execution_context& context, scheduler_host& host);

    explicit hosted_scheduler(boost::asio::execution_context& context, scheduler_host* host = nullptr);

    /// Nothing is left to be done in the guest. Any thread.
    bool idle() const noexcept { return outstanding_work(scheduler_) <= 1; }

    /// Makes one unit of the guest's work, which there is, not count: for a wait of the library's own. And count again:
    /// before that wait ends. Any thread.
    void discount_work() noexcept { scheduler_.work_finished(); }
    void count_work() noexcept { scheduler_.work_started(); }

    /// A handler of the guest is running below on the calling stack. For the loop's thread.
    bool running() const noexcept { return running_; }

    /// Runs the guest's handlers that are ready, at most so many. Never waits; throws what they throw.
    std::size_t poll(std::size_t most = std::numeric_limits<std::size_t>::max());

    /// Waits in the host, so that whatever becomes ready in the guest, posted from whatever thread, ends the wait.
    /// Runs at most one handler of the guest.
    void wait(std::optional<std::chrono::microseconds> timeout);

    /// Makes Asio's reactor now, so that it can be watched from the start. Else the first stock object makes it.
    void use_reactor();

    /// The descriptor to watch for the guest: when it is readable, set_readable() is to be called. -1: no stock object
    /// has wanted the reactor yet. For the loop's thread.
    int descriptor();

    void set_readable() noexcept { readable_ = true; }
    bool readable() const noexcept { return readable_; }

private:
    // Ends the guest's wait. Handlers that were posted meanwhile come before it, so it may stay queued for a while.
    struct end_of_wait : scheduler_operation
    {
        end_of_wait();
        bool queued = false;
    };

    static scheduler_task* find(boost::asio::execution_context& context);
    void shutdown() override {}
    void run(long usec, scheduler_queue& ready) override;
    void interrupt() override { host_->wake_for_guest(); }

    scheduler_host* const host_; // null only where Asio's registry would make a service that nobody installed
    scheduler& scheduler_;
    epoll_reactor* reactor_ = nullptr;
    end_of_wait end_of_wait_;
    std::optional<std::chrono::microseconds> timeout_;
    bool waiting_ = false;
    bool running_ = false;
    bool readable_ = false;
};

} // namespace zsync::detail
