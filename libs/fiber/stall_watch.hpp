// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string_view>
#include <thread>

#include <sys/types.h>

namespace zsync::detail
{

class fiber;

/// Finds out when a loop stalls, and shows by what: a thread that looks at the loop twice within the limit.
///
/// The loop announces what it runs by a beat, a count that changes with each item. A stall is one beat, not of a loop
/// that sleeps, that the watch has seen three times in a row: so a process that was stopped in between, which is one
/// late look, is none. Then the watch asks the loop's thread by a signal to unwind its stack, and reports.
class stall_watch
{
public:
    /// @throws std::system_error if there can be no thread.
    stall_watch(std::chrono::milliseconds limit, const std::function<void(std::string_view)>& report);
    ~stall_watch();
    stall_watch(const stall_watch&) = delete;
    stall_watch& operator=(const stall_watch&) = delete;

    // The loop's thread.
    void enter() noexcept; // run()
    void leave() noexcept;
    void begins(const fiber* what) noexcept; // null: a function or a handler
    void sleeps() noexcept { beat(true); }

    std::uint64_t stalls() const noexcept { return stalls_.load(std::memory_order_relaxed); } // any thread

private:
    class answer;

    static constexpr std::size_t name_words = 4; // of fiber::name

    void beat(bool asleep) noexcept
    {
        const std::uint64_t now = beat_.load(std::memory_order_relaxed);
        beat_.store(((now | 1) + 1) | (asleep ? 1 : 0), std::memory_order_release);
    }

    void watch() noexcept;
    void tell(std::chrono::milliseconds held) noexcept;

    const std::chrono::milliseconds limit_;
    const std::function<void(std::string_view)> report_;

    // Written by the loop's thread alone, read by the watch: by acquiring a beat it has what was written before that,
    // and a report that mixes two beats, since the loop went on meanwhile, is harmless.
    std::atomic<std::uint64_t> beat_{1}; // even: something runs
    std::atomic<pid_t> thread_{0};
    std::atomic<std::uint64_t> fiber_{0}; // 0: a function or a handler
    std::array<std::atomic<std::uint64_t>, name_words> name_{};

    std::atomic<std::uint64_t> stalls_{0}; // by the watch alone
    answer* answer_;                       // by the signal's handler; the watch's to free

    std::mutex mutex_; // of stopping_
    std::condition_variable stop_;
    bool stopping_ = false;
    std::thread watcher_; // last: it uses all the others
};

} // namespace zsync::detail
