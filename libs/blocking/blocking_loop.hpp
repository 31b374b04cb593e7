// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/blocking/blocking_engine.hpp>
#include <zsync/core/detail/driving_agent.hpp>
#include <zsync/core/detail/hosted_scheduler.hpp>
#include <zsync/core/helper_threads.hpp>
#include <zsync/core/loop.hpp>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

namespace zsync::detail
{

/// The loop of a blocking_context.
///
/// One thread at a time leads: it is inside run() or drive_until(), once or several times over. Others that wait
/// follow: they block until the leader tells that their waiter is done, or leaves.
class blocking_loop final : public loop, private scheduler_host
{
public:
    using time_point = std::chrono::steady_clock::time_point;

    explicit blocking_loop(boost::asio::execution_context& context);
    ~blocking_loop();

    engine& io() noexcept override { return engine_; }
    timer_wheel* timers() noexcept override { return nullptr; }
    helper_threads& helpers() noexcept override { return helpers_; }
    void post(work_item& item) noexcept override;
    void work_started() noexcept override;
    void work_finished() noexcept override;
    bool may_run_inline() const noexcept override { return running_here() && !guest_.running(); }
    bool is_driven_by_waiting() const noexcept override { return true; }

    /// The waiter's agent must be a driving_agent of this loop. Throws what a function throws; the waiter may then not
    /// be done yet.
    void drive_until(waiter& w) override;
    bool drive_until(waiter& w, time_point deadline) override { return drive(w, deadline); }

    /// Bounds of a call of run().
    struct limits
    {
        std::optional<time_point> deadline{}; // none: as long as there is work
        bool wait = true;
        bool one = false;
    };

    std::size_t run(const limits& bounds);

    void stop() noexcept;
    bool stopped() const noexcept { return stopped_.load(std::memory_order_acquire); }
    void restart() noexcept { stopped_.store(false, std::memory_order_release); }

    /// Destroys what is queued, without running it.
    void abandon_items() noexcept;

    void stop_helpers() noexcept { helpers_.stop(); }
    void shut_down_engine() noexcept { engine_.shutdown(nullptr); }

private:
    class level;
    class fork_service;

    /// A thread that waits while another leads. On its stack; the list is protected by the mutex.
    struct follower
    {
        waiter& awaited;
        follower* next;
        bool done = false; // set by the leader
    };

    /// The engine, but for one thing: a completion that another thread has started is delivered by the one that leads.
    class woken_engine final : public engine
    {
    public:
        explicit woken_engine(blocking_loop& owner) noexcept : owner_(owner) {}

        engine_kind kind() const noexcept override { return performer_.kind(); }
        bool supports(opcode code) const noexcept override { return performer_.supports(code); }
        void start(operation& op, operation_id* id) override;
        bool perform_now(operation& op) noexcept override { return performer_.perform_now(op); }
        void cancel(operation_id id) noexcept override { performer_.cancel(id); }
        void cancel_descriptor(int descriptor) noexcept override { performer_.cancel_descriptor(descriptor); }
        boost::system::error_code attach_descriptor(int descriptor) noexcept override
        {
            return performer_.attach_descriptor(descriptor);
        }
        void detach_descriptor(int descriptor) noexcept override { performer_.detach_descriptor(descriptor); }
        std::size_t turn(std::optional<std::chrono::microseconds> timeout, void* sink) override
        {
            return performer_.turn(timeout, sink);
        }
        void wake() noexcept override { owner_.wake(); }
        metrics counters() const noexcept override { return performer_.counters(); }
        void shutdown(void* sink) noexcept override { performer_.shutdown(sink); }

    private:
        blocking_loop& owner_;
        blocking_engine performer_;
    };

    using lock = std::unique_lock<std::mutex>;

    void wait_for_guest(std::optional<std::chrono::microseconds> timeout) override;
    void wake_for_guest() noexcept override { wake(); }

    bool drive(waiter& w, std::optional<time_point> deadline);
    bool follow(lock& held, waiter& w, std::optional<time_point> deadline);
    void leave() noexcept;
    void tell_followers() noexcept;

    std::size_t run_ready(std::size_t most, const waiter* awaited);
    void run_item(work_item& item);
    void poll_guest();
    bool out_of_work() const noexcept;
    void wait(std::optional<time_point> deadline);

    void wake() noexcept;
    void wake(lock& held) noexcept;
    void forked_child() noexcept;

    handler_memory memory_;
    hosted_scheduler& guest_; // the context's
    helper_threads helpers_;
    woken_engine engine_{*this};

    // The leader's.
    work_queue ready_;
    level* top_ = nullptr; // null: nobody leads

    // Written by any thread: what is queued, and what executors track. The leader reads zero as the end of work. The
    // last to take off from another thread does so under the mutex, as it wakes the leader afterwards, who then leaves.
    std::atomic<long> work_{0};
    std::atomic<bool> stopped_{false};
    std::atomic<bool> followed_{false}; // written under the mutex; spares the leader to take it

    std::mutex mutex_; // guards all below. Whoever wakes holds it to the end: afterwards the loop may be gone
    std::condition_variable left_or_told_;
    work_queue incoming_; // of other threads
    follower* followers_ = nullptr;
    std::thread::id leader_; // none: nobody leads
    int event_ = -1;         // an eventfd, made by the first wait
    bool sleeping_ = false;  // the leader waits for the eventfd
    bool woken_ = false;     // it is not to
};

} // namespace zsync::detail
