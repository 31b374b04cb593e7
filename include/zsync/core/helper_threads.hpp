// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/execution_context.hpp>
#include <boost/system/error_code.hpp>

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <string>
#include <vector>

#include <pthread.h>

namespace zsync
{

/// A call for a helper thread, made by its owner out of its own memory. Exactly one of the two functions is called,
/// once, for each job that was accepted; from that call on, the job is the owner's again and may be gone.
struct job
{
    void (*run)(job&) noexcept;     ///< makes the call; on a helper thread
    void (*abandon)(job&) noexcept; ///< the call will not be made; on the thread that stops
    job* next = nullptr;            ///< used while the job is queued
};

/// Runs calls that have no asynchronous form, such as a name look-up, on a few threads of its own.
///
/// No thread starts before the first job. A further one starts only when no thread is free for a job, up to a maximum;
/// threads then stay until stop. Each blocks all signals and bears the name given. The queue takes jobs from any
/// thread, in order, without bound or allocation: its memory is the jobs'.
///
/// fork: threads do not survive it. Call notify_fork as for any execution context, or else neither use nor destroy the
/// child's copy: its destructor would wait for threads that the child does not have.
///
/// Shared objects are thread-safe, except where a function says otherwise.
class helper_threads
{
public:
    /// Chosen: a look-up that hangs for its 5 s holds up no other, as it does with Asio's single thread; and a thread
    /// too many costs nothing, as it is never started.
    static constexpr std::size_t default_max = 4;

    /// Starts nothing. `max` is at least 1. Linux keeps the first 15 characters of `name`.
    explicit helper_threads(std::size_t max = default_max, std::string name = "zsync-helper");

    helper_threads(const helper_threads&) = delete;
    helper_threads& operator=(const helper_threads&) = delete;

    /// Stops; see stop.
    ~helper_threads();

    /// Queues a job. On an error the job was not accepted and neither function is called: operation_aborted after
    /// stop; or what kept the very first thread from starting, resource_unavailable_try_again as a rule. When a
    /// further thread cannot start, the job waits for those that exist. Never blocks; starting a thread takes its time.
    [[nodiscard]] boost::system::error_code post(job& j) noexcept;

    /// Abandons the jobs that have not begun, then blocks until those that have are done and the threads have ended.
    /// Later posts are refused. Not to be called from a job. A second call waits likewise.
    void stop() noexcept;

    /// Carries the queue across fork. `fork_prepare` blocks until the running jobs are done and ends the threads;
    /// `fork_parent` goes on with the queue; `fork_child` abandons what it inherited, for the parent runs that. No
    /// other thread may use the object from fork_prepare until the event that ends it.
    void notify_fork(boost::asio::execution_context::fork_event event) noexcept;

    /// Counts the threads that exist: started and not yet joined. Never blocks.
    [[nodiscard]] std::size_t started() const noexcept;

    [[nodiscard]] std::size_t max() const noexcept { return max_; }

private:
    enum class state
    {
        running,
        paused, // between the events of a fork: threads end, jobs are kept
        stopped,
    };

    static void* thread_entry(void* self) noexcept;
    void serve() noexcept;
    boost::system::error_code start_thread() noexcept;
    void join_all() noexcept;
    job* take_queue() noexcept;
    static void abandon_all(job* first) noexcept;

    const std::size_t max_;
    const std::string name_;
    std::mutex join_mutex_;    // held by the one thread that joins; taken before mutex_
    mutable std::mutex mutex_; // guards all below
    std::condition_variable wake_;
    state state_ = state::running;
    job* head_ = nullptr;
    job* tail_ = nullptr;
    std::size_t queued_ = 0;
    std::size_t free_ = 0; // threads that are not running a job
    std::vector<pthread_t> threads_;
};

} // namespace zsync
