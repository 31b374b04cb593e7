// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/engine.hpp>
#include <zsync/core/in_flight.hpp>
#include <zsync/core/light_mutex.hpp>

#include <atomic>
#include <mutex>

namespace zsync
{

/// Performs each operation by its system call, on the thread that starts it.
///
/// start() blocks that thread until the operation has its result; the next turn delivers it. So nothing is ever in
/// flight: operations complete in the order in which they were performed, and a cancellation comes too late for each
/// of them, finds nothing, and is not counted. Needs no descriptor and no thread, and allocates for nothing but
/// attach_descriptor(). Thread safety: see engine; two threads that start operations block each by itself.
class blocking_engine final : public engine
{
public:
    /// Never fails.
    blocking_engine() noexcept = default;

    /// Requires that all that was started has been delivered, by turns or by shutdown().
    ~blocking_engine() override;

    engine_kind kind() const noexcept override { return engine_kind::blocking; }
    bool supports(opcode code) const noexcept override;

    /// Performs the operation: blocks the thread, unlike other engines' start(). Never throws. The id that is given out
    /// names nothing, because there is no time at which it could be used.
    void start(operation& op, operation_id* id = nullptr) override;

    /// As start(), but what is performed needs no turn to be delivered. Blocks the thread.
    bool perform_now(operation& op) noexcept override;

    void cancel(operation_id id) noexcept override;
    void cancel_descriptor(int descriptor) noexcept override;
    boost::system::error_code attach_descriptor(int descriptor) noexcept override;
    void detach_descriptor(int descriptor) noexcept override;

    /// Delivers. If there is nothing to deliver, it waits for wake(), or for another thread to start something.
    std::size_t turn(std::optional<std::chrono::microseconds> timeout, void* sink) override;

    void wake() noexcept override;
    metrics counters() const noexcept override;

    /// Delivers what has been performed, with its own results. Afterwards nothing may be started, and no turn waits.
    void shutdown(void* sink) noexcept override;

    /// Says whether shutdown() has begun. Any thread.
    bool stopped() const noexcept { return stopped_.load(std::memory_order_acquire); }

private:
    using lock = std::unique_lock<light_mutex>;
    using queue = operation_list<&operation::queue>;

    void call(operation& op) noexcept;
    void count(const operation& op) noexcept; // the lock is held
    std::size_t deliver(lock& held, void* sink) noexcept;
    void sleep(std::optional<std::chrono::microseconds> timeout) noexcept;

    // Closes the race between a turn about to sleep and wake(): whoever exchanges last sees the other. A turn waits on
    // it with futex(2), which wake() may use in a signal handler.
    enum class sleep_state : int
    {
        awake,
        asleep,  // set by a turn, under the lock, before it waits
        notified // set by wake(); a turn that finds it does not wait
    };

    mutable light_mutex mutex_;
    queue finished_;     // to be delivered by the next turn
    in_flight attached_; // descriptors only
    std::atomic<sleep_state> sleep_{sleep_state::awake};
    std::atomic<bool> stopped_{false};
    metric_counters counters_; // written under the lock
    std::atomic<std::uint64_t> wakes_{0};
};

} // namespace zsync
