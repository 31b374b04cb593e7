// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/engine.hpp>
#include <zsync/core/in_flight.hpp>
#include <zsync/core/light_mutex.hpp>

#include <atomic>
#include <mutex>
#include <vector>

struct epoll_event;

namespace zsync
{

/// Says how an engine is used.
struct reactor_engine_options
{
    /// false: no function of the engine is ever called by two threads at once, and none but wake() is locked.
    bool locking = true;
};

/// Performs operations by system calls that do not block, and waits with epoll(7) for those that would.
///
/// The twin of uring_engine, with the same semantics: started records wait in a list until a turn attempts them; the
/// oldest transfer in each direction on a descriptor is attempted, the others are held. What would block waits for its
/// descriptor's readiness and is attempted again. Files and directories are performed in the turn and take as long as
/// the storage does; so do `open` and `sync`. What an attempt can and cannot promise is said at try_perform(). No
/// descriptor has O_NONBLOCK set for it.
///
/// A descriptor enters epoll when something has to wait for it, edge-triggered and once for all events, and stays
/// until it is detached or closed. For an attached descriptor that is the whole cost: a socket that echoes costs a
/// recv(2), a send(2) and its part of an epoll_wait(2) for each message. For one that was not attached epoll is asked
/// at each wait whether its number still stands for the same file.
///
/// Any Linux that the library runs on. Thread safety: see engine; the functions added here say theirs.
class reactor_engine final : public engine
{
public:
    /// Makes an epoll descriptor and an eventfd(2). @throws boost::system::system_error if there is none to be had.
    explicit reactor_engine(const reactor_engine_options& options = {});

    /// Requires that shutdown() has been called, or that nothing is in flight.
    ~reactor_engine() override;

    engine_kind kind() const noexcept override { return engine_kind::reactor; }
    bool supports(opcode code) const noexcept override;
    void start(operation& op, operation_id* id = nullptr) override;
    bool perform_now(operation& op) noexcept override;
    void cancel(operation_id id) noexcept override;
    void cancel_descriptor(int descriptor) noexcept override;
    boost::system::error_code attach_descriptor(int descriptor) noexcept override;
    void detach_descriptor(int descriptor) noexcept override;
    std::size_t turn(std::optional<std::chrono::microseconds> timeout, void* sink) override;
    void wake() noexcept override;
    metrics counters() const noexcept override;

    /// Attempts the sends and writes that were started on a descriptor and not attempted yet. To be called before what a
    /// program expects to come after them: a shutdown(2), or a send of its own. detach_descriptor() does so too. Does not
    /// block, but for a file's storage.
    void try_sends(int descriptor) noexcept;

    /// Returns the epoll descriptor, for a host that watches it in a loop of its own (level-triggered, POLLIN). It is
    /// readable when something that a turn has begun to wait for may go on. It is not made readable by start(),
    /// cancel() or wake() outside a turn: after these the host calls turn(0), and again until that returns 0, before it
    /// waits. Changes in child_after_fork(). Never blocks; not while that runs.
    int descriptor() const noexcept { return epoll_; }

    /// To be called before a fork(2), while no turn is in progress. Nothing has to be taken back: the operations of
    /// both processes wait on.
    void prepare_fork() noexcept {}

    /// Makes a new epoll descriptor in the child; what waits is attempted again by the next turn, and then waits there.
    /// @throws boost::system::system_error if there is none to be had; then nothing but shutdown() may be called.
    void child_after_fork();

    /// Cancels all and completes it through `sink`. No turn may be in progress. Afterwards nothing may be started;
    /// cancel and the descriptor functions are still accepted, until destruction.
    void shutdown(void* sink) noexcept override;

    /// Says whether shutdown() has begun. Any thread.
    bool stopped() const noexcept { return stopped_.load(std::memory_order_acquire); }

private:
    using lock = std::unique_lock<light_mutex>;
    using queue = operation_list<&operation::queue>;

    // What epoll has been told of a number.
    struct watch
    {
        queue waiting;                // for readiness
        std::uint32_t generation = 0; // of the registration: an event of a former one, fetched already, finds nothing
        bool registered = false;
        bool attached = false;  // its number is promised to stand for the same file until it is detached
        bool stream = false;    // TCP: a receive that got less than it asked for has taken all
        bool drained = false;   // the last receive did, and no event has come since
        bool never_dry = false; // at its end, broken, or with urgent data: such a receive proves nothing
    };

    void open();
    static std::size_t deliver(queue finished, void* sink) noexcept;

    // The lock is held in all of these; the first three let go of it while they are in the kernel.
    void attempt_queued(lock& held) noexcept;
    int wait(lock& held, std::optional<std::chrono::microseconds> timeout) noexcept;
    void await_attempt_on(int descriptor, lock& held) const noexcept;
    void take_events(const epoll_event* events, int count) noexcept;
    bool is_known_pollable(const operation& op) const noexcept;
    bool would_be_in_vain(const operation& op) const noexcept;
    void note_drained(const operation& op) noexcept;
    void wait_until_ready(operation& op);
    int enter_epoll(int descriptor, watch& place) noexcept;
    bool still_the_same(int descriptor, const watch& place) const noexcept;
    void forget(int descriptor, watch& place) noexcept;
    watch& watch_at(int descriptor);
    const watch* find_watch(int descriptor) const noexcept;
    watch* find_watch(int descriptor) noexcept;
    bool cancel_all_on(int descriptor) noexcept;
    void try_sends_on(int descriptor) noexcept;
    void request_cancel(operation& op) noexcept;
    void finish(operation& op, int result) noexcept;
    void enqueue(operation& op) noexcept;
    void prompt() noexcept;

    // Closes the race between a turn about to sleep and wake(): whoever exchanges last sees the other.
    enum class sleep_state : int
    {
        awake,
        asleep,  // set by a turn, under the lock, before it waits in the kernel
        notified // set by wake(); a turn that finds it does not wait
    };

    mutable light_mutex mutex_;
    int epoll_ = -1;
    int wake_descriptor_ = -1; // an eventfd, watched edge-triggered: nobody has to read it
    std::atomic<bool> stopped_{false};
    std::atomic<sleep_state> sleep_{sleep_state::awake};

    in_flight records_;
    queue queued_;                   // to be attempted
    queue finished_;                 // to be delivered by the next turn
    std::vector<watch> watches_;     // by descriptor
    operation* attempted_ = nullptr; // by the turn, at this moment, without the lock
    unsigned turns_without_events_ = 0;
    bool exact_waits_ = true; // epoll_pwait2, Linux 5.11

    metric_counters counters_; // written under the lock
    std::atomic<std::uint64_t> wakes_{0};
};

} // namespace zsync
