// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>

namespace zsync
{

/// Counts events of one thread, readable from all.
///
/// One thread writes, at the cost of a plain increment; any thread may read a value that was true a moment ago. Not
/// for two writers: their increments would overwrite each other.
class counter
{
public:
    counter() noexcept = default;
    counter(const counter&) = delete;
    counter& operator=(const counter&) = delete;

    /// Adds one. For the owning thread only; never blocks.
    counter& operator++() noexcept { return *this += 1; }

    /// Adds `n`. For the owning thread only; never blocks.
    counter& operator+=(std::uint64_t n) noexcept
    {
        value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
        return *this;
    }

    /// Reads the count, from any thread. Orders nothing else. Never blocks.
    [[nodiscard]] std::uint64_t load() const noexcept { return value_.load(std::memory_order_relaxed); }

private:
    // Written by the owner, read by whoever takes a snapshot; relaxed, for no other data is published through it.
    std::atomic<std::uint64_t> value_{0};
};

/// Holds what is counted: std::uint64_t in a snapshot, `counter` while it is being counted.
template <class Value>
struct metric_fields
{
    Value operations_started{};   ///< operations handed to an engine
    Value operations_completed{}; ///< operations that have their result, whatever it is
    Value operations_cancelled{}; ///< of those, the ones that ended with operation_aborted
    Value operations_retried{};   ///< attempts an engine made again on its own, unseen by the caller
    Value cancels_requested{};    ///< cancellations asked for; not each one finds its operation still there
    Value ring_enters{};          ///< calls of io_uring_enter
    Value ring_waits{};           ///< of those, the calls that were allowed to wait for a completion
    Value spins{};                ///< times the completion queue was watched before such a wait
    Value spin_hits{};            ///< of those, the times that something came meanwhile
    Value wakes{};                ///< times another thread had to be woken, by a write or a ring message
    Value completions{};          ///< completion queue entries taken from the ring
    Value cq_overflows{};         ///< times the kernel kept completions back because their queue was full
    Value sq_full{};              ///< times an operation had to wait for a place in the submission queue
    Value multishot_results{}; ///< accepted connections and filled buffers that operations with many results have had
    Value buffers_dry{};       ///< times such a receive had to wait until a view gave its buffer back
    Value direct_full{};       ///< accepts that got a descriptor because the table for direct ones was full
    Value zero_copy_sends{};   ///< zero-copy sends that have completed
    Value zero_copy_copied{};  ///< of those, the ones that the kernel has copied all the same
    Value reactor_runs{};      ///< times Asio's own reactor was run as a guest of the engine's loop
    Value timer_waits{};       ///< waits of stock timers that began in the engine's own timer wheel
    Value fibers_started{};    ///< fibers that have been made by spawn() and its like
    Value fibers_alive{};      ///< of those, the ones that have not ended
    Value fibers_peak{};       ///< the most that have had a stack at once; in a sum of contexts, the sum of theirs
    Value guards_missing{};    ///< stacks, free or not, that have nothing but a canary below
    Value memory_releases{};   ///< times free stacks were given back because memory was short
    Value loop_stalls{};       ///< times a handler or fiber held its loop too long: fiber_options::stall_limit

    bool operator==(const metric_fields&) const = default;
};

/// Calls `f(name, field...)` for every field, in declaration order, with that field of each of `sets`.
template <class F, class... Sets>
constexpr void for_each_metric(F&& f, Sets&... sets)
{
    using namespace std::string_view_literals;
    f("operations_started"sv, sets.operations_started...);
    f("operations_completed"sv, sets.operations_completed...);
    f("operations_cancelled"sv, sets.operations_cancelled...);
    f("operations_retried"sv, sets.operations_retried...);
    f("cancels_requested"sv, sets.cancels_requested...);
    f("ring_enters"sv, sets.ring_enters...);
    f("ring_waits"sv, sets.ring_waits...);
    f("spins"sv, sets.spins...);
    f("spin_hits"sv, sets.spin_hits...);
    f("wakes"sv, sets.wakes...);
    f("completions"sv, sets.completions...);
    f("cq_overflows"sv, sets.cq_overflows...);
    f("sq_full"sv, sets.sq_full...);
    f("multishot_results"sv, sets.multishot_results...);
    f("buffers_dry"sv, sets.buffers_dry...);
    f("direct_full"sv, sets.direct_full...);
    f("zero_copy_sends"sv, sets.zero_copy_sends...);
    f("zero_copy_copied"sv, sets.zero_copy_copied...);
    f("reactor_runs"sv, sets.reactor_runs...);
    f("timer_waits"sv, sets.timer_waits...);
    f("fibers_started"sv, sets.fibers_started...);
    f("fibers_alive"sv, sets.fibers_alive...);
    f("fibers_peak"sv, sets.fibers_peak...);
    f("guards_missing"sv, sets.guards_missing...);
    f("memory_releases"sv, sets.memory_releases...);
    f("loop_stalls"sv, sets.loop_stalls...);
}

/// A snapshot: plain numbers, to copy, compare and sum. Never blocks; shared objects are not safe to write.
struct metrics : metric_fields<std::uint64_t>
{
    /// Adds another worker's numbers to these.
    constexpr metrics& operator+=(const metrics& other) noexcept
    {
        for_each_metric([](auto, std::uint64_t& mine, std::uint64_t theirs) { mine += theirs; }, *this, other);
        return *this;
    }

    /// Calls `f(std::string_view name, std::uint64_t value)` for every number, in declaration order.
    template <class F>
    constexpr void for_each(F&& f) const
    {
        for_each_metric(f, *this);
    }

    bool operator==(const metrics&) const = default;
};

/// The live counters of one worker, which is their only writer. Kept on cache lines that other threads do not write,
/// an increment costs what one of a plain integer does.
struct metric_counters : metric_fields<counter>
{
    /// Reads all counters, from any thread, each by itself: a snapshot taken while the worker runs may show an
    /// operation as completed and not yet as started. Never blocks.
    [[nodiscard]] metrics snapshot() const noexcept
    {
        metrics result;
        for_each_metric([](auto, const counter& from, std::uint64_t& to) { to = from.load(); }, *this, result);
        return result;
    }
};

} // namespace zsync
