// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/engine.hpp>
#include <zsync/core/in_flight.hpp>
#include <zsync/core/light_mutex.hpp>
#include <zsync/core/multishot.hpp>

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

struct io_uring_cqe;

namespace zsync
{

namespace detail
{
class provided_buffers;
class ring;
enum class ring_mode : int;
} // namespace detail

/// Says how an engine's ring is used, and so how it is to be set up.
struct uring_engine_options
{
    /// Entries of the submission queue; the kernel rounds up to a power of two and clamps.
    unsigned entries = 256;

    /// One thread at a time takes the turns. It alone submits, and completions do not interrupt it (COOP_TASKRUN, Linux
    /// 5.19). Without this promise the ring begins in the same way, because most programs have one thread, and is
    /// changed for one that several threads can share when a second thread takes a turn with operations in flight.
    bool one_runner = false;

    /// The turns are taken by several threads, one at a time. Spares the change that the first of them to take over
    /// would bring about.
    bool several_runners = false;

    /// Beyond one_runner, the runner is a single thread as long as something of the user's is in flight, and it calls
    /// leave() before another takes over (SINGLE_ISSUER and DEFER_TASKRUN, Linux 6.1). Implies one_runner.
    bool one_owner = false;

    /// false: no function of the engine is ever called by two threads at once, and none but wake() is locked.
    bool locking = true;

    /// How long a turn that has to wait watches the completion queue before it sleeps in the kernel.
    std::chrono::microseconds spin_for{0};

    /// The buffers that buffers() makes.
    buffer_options buffers{};

    /// Places of the table for direct descriptors: see uring_options.
    unsigned direct_descriptors = 0;
};

/// Performs operations through one io_uring.
///
/// Started records wait in a list until a turn hands them over (or, while a turn sleeps in the kernel, the thread that
/// starts them), so that an operation can be cancelled, closed or kept across fork(2) before the kernel has seen it.
/// The kernel names a record by index and generation, never by address. Where the kernel gives an operation up though
/// nobody asked (its submitting thread has ended, or the ring was quiesced), the engine starts it again.
///
/// Linux 5.11 or later (IORING_FEAT_EXT_ARG). Thread safety: see engine; the functions added here say theirs.
class uring_engine final : public engine
{
public:
    /// Sets the ring up. @throws boost::system::system_error with the set-up's errno.
    explicit uring_engine(const uring_engine_options& options = {});

    /// Requires that shutdown() has been called, or that nothing but waits of its own is in flight.
    ~uring_engine() override;

    engine_kind kind() const noexcept override { return engine_kind::uring; }
    bool supports(opcode code) const noexcept override;
    buffer_pool_ptr make_buffers(const buffer_options& options) override;
    buffer_pool_ptr buffers() override;
    void start(operation& op, operation_id* id = nullptr) override;
    bool perform_now(operation& op) noexcept override;
    void cancel(operation_id id) noexcept override;
    void cancel_descriptor(int descriptor) noexcept override;
    boost::system::error_code attach_descriptor(int descriptor) noexcept override;
    void detach_descriptor(int descriptor) noexcept override;
    int take_place() noexcept override;
    void give_back_place(int place) noexcept override;
    std::size_t turn(std::optional<std::chrono::microseconds> timeout, void* sink) override;
    void wake() noexcept override;
    metrics counters() const noexcept override;

    /// Tries, by system call, the sends and writes that were started on a descriptor and that the kernel has not seen.
    /// To be called before what a program expects to come after them: a shutdown(2), or a send of its own.
    /// detach_descriptor() does so too. Does not block, but for a file's storage.
    void try_sends(int descriptor) noexcept;

    /// Returns the ring's descriptor, for a host that watches it in a loop of its own (level-triggered, POLLIN). It is
    /// readable when the kernel has finished something. It is not made readable by start(), cancel() or wake(): after
    /// these the host calls turn(0), and again until that returns 0 and needs_turn() is false, before it waits. For
    /// engines made with several_runners; changes in child_after_fork(). Never blocks; not while that runs.
    int descriptor() const noexcept;

    /// Says whether something waits to be handed over or delivered by a turn. Any thread; never blocks.
    bool needs_turn() const noexcept;

    /// Says whether the ring belongs to one thread at a time. Any thread.
    bool one_owner() const noexcept { return one_owner_; }

    /// The owner is about to stop taking turns. What the kernel holds is taken back, since completions would be
    /// invisible to any other thread; the next turn starts it again, on whatever thread. Does nothing on other threads
    /// and for other rings. Blocks only until the kernel has let go, which it does at once.
    void leave() override;

    /// Gives the ring with one owner up for one that any thread may run. To be called by the thread that is to take the
    /// next turn. @throws boost::system::system_error if no new ring can be had.
    void share();

    /// Takes everything back from the kernel before a fork(2), so that each operation is either finished in both
    /// processes or in flight in both. No turn may be in progress.
    void prepare_fork();

    /// Makes a record in flight go on with another descriptor: one that stands for the same thing after a fork.
    void replace_descriptor(operation& op, int descriptor);

    /// Makes a new ring in the child. @throws boost::system::system_error if there is none to be had.
    void child_after_fork();

    /// Cancels all, waits until the kernel has let go of every record, and completes them through `sink`. Afterwards
    /// nothing may be started; cancel and the descriptor functions are still accepted, until destruction.
    void shutdown(void* sink) noexcept override;

    /// Says whether shutdown() has begun. Any thread.
    bool stopped() const noexcept { return stopped_.load(std::memory_order_acquire); }

private:
    struct wake_operation : operation
    {
        uring_engine* engine = nullptr;
    };

    using lock = std::unique_lock<light_mutex>;
    using queue = operation_list<&operation::queue>;

    void refuse(operation& op, operation_id* id) noexcept;
    void woken() noexcept;
    static std::size_t deliver(queue finished, void* sink) noexcept;

    // The lock is held in all of these; submit() lets go of it while it is in the kernel.
    bool may_enter() const noexcept;
    [[gnu::noinline]] bool may_poll(int descriptor) noexcept;
    void become_runner(lock& held);
    void become_owner();
    void renew_ring(detail::ring_mode mode);
    void replace_ring(std::unique_ptr<detail::ring> fresh) noexcept;
    detail::ring_mode mode() const noexcept;
    void quiesce() noexcept;
    bool fill_cancels() noexcept;
    bool fill_closes() noexcept;
    bool fill() noexcept;
    bool goes_to_kernel(operation& op) noexcept;
    int submit(lock& held) noexcept;
    void prompt(lock& held) noexcept;
    void prompt() noexcept;
    void spin(lock& held, std::optional<std::chrono::microseconds>& timeout) noexcept;
    bool nothing_to_deliver() const noexcept;
    void reap() noexcept;
    bool cancel_all_on(int descriptor) noexcept;
    void enqueue(operation& op) noexcept
    {
        op.where = operation::state::queued;
        queued_.push(op);
    }
    void try_sends_on(int descriptor) noexcept;
    void request_cancel(operation& op) noexcept;
    void enter_kernel(operation& op) noexcept
    {
        op.where = operation::state::in_kernel;
        ++in_kernel_;
        background_in_kernel_ += op.background;
    }
    void note_drained(const operation& op, const io_uring_cqe& cqe) noexcept;
    void take_special(operation& op, const io_uring_cqe& cqe) noexcept;
    void take_one_of_many(multishot_operation& op, const io_uring_cqe& cqe) noexcept;
    void let_go(operation& op) noexcept;
    void settle(operation& op, int result) noexcept;
    void finish_or_retry(operation& op, int result) noexcept;
    void finish(operation& op, int result) noexcept;
    void finished(operation& op) noexcept;
    void hand_over_cancels(lock& held) noexcept;
    void take_back_all() noexcept;
    buffer_pool_ptr make_buffers_locked(const buffer_options& options);
    detail::provided_buffers* buffers_of(const multishot_operation& op) noexcept;
    bool ready_to_receive(operation& op) noexcept;
    void refill() noexcept;
    void starve(multishot_operation& op) noexcept;
    void end_starvation(operation& op) noexcept;
    void make_table(unsigned places);
    bool has_direct() const noexcept { return free_places_.size() != places_; }
    void give_table() noexcept;
    void detach_direct(int descriptor) noexcept;
    static void deliver_news(news_list& news, void* sink) noexcept;

    // Closes the race between a turn about to sleep and wake(): whoever exchanges last sees the other.
    enum class sleep_state : int
    {
        awake,
        spinning, // set by a turn, under the lock: it looks here, so that nobody need write to it
        asleep,   // set by a turn, under the lock, before it waits in the kernel
        notified  // set by wake(); a turn that finds it does not wait
    };

    mutable light_mutex mutex_;
    std::unique_ptr<detail::ring> ring_;
    const unsigned entries_;
    const std::chrono::microseconds spin_for_;
    std::atomic<bool> one_owner_;
    const bool one_runner_;   // promised
    bool cooperative_ = true; // the ring is one for one runner
    bool enabled_ = true;     // false: a ring whose one owner is not known yet
    bool left_ = false;       // by its one owner, since the last turn
    int entering_ = 0;        // threads between having published entries and having submitted them
    std::atomic<bool> stopped_{false};
    std::uint64_t runner_ = 0; // this_thread_number() of who took the last turn, or owns the ring
    std::atomic<sleep_state> sleep_{sleep_state::awake};

    in_flight records_;
    queue queued_;    // to be handed to the kernel
    queue to_cancel_; // in the kernel, to be cancelled there
    queue finished_;  // to be delivered by the next turn
    news_list news_;  // likewise
    std::size_t in_kernel_ = 0;
    std::size_t background_in_kernel_ = 0;

    const buffer_options buffer_options_;
    unsigned last_operation_ = 0;                                     // that the kernel knows
    std::vector<std::unique_ptr<detail::provided_buffers>> provided_; // by group
    buffer_pool_ptr default_buffers_;

    // The ring's own table of files: see uring_engine_direct.cpp. None of these grows.
    std::atomic<unsigned> places_{0};
    std::vector<std::uint32_t> free_places_;
    std::vector<std::uint32_t> leaving_; // to be closed
    std::vector<int> table_;             // what a new ring is given

    int wake_descriptor_ = -1; // an eventfd
    wake_operation wake_poll_; // a poll, not a read: the kernel then holds no memory of ours
    metric_counters counters_; // written under the lock
    std::atomic<std::uint64_t> wakes_{0};
};

} // namespace zsync
