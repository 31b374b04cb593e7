// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/light_mutex.hpp>

#include <boost/asio/execution_context.hpp>
#include <boost/system/error_code.hpp>

#include <atomic>
#include <concepts>
#include <cstddef>
#include <type_traits>

namespace zsync
{

class agent;
class loop;

/// A wait for several things, each under an index, of which one ends it: what select() makes.
///
/// @par The race between the things waited for
/// It is decided by `decision_`, by one compare-exchange from undecided: whoever makes it has ended the wait, and owes
/// it wake(). A thing that has something to hand over hands it over after a claim that succeeded, in the same section
/// of its lock, and to nobody else; where the claim fails it keeps it, for the next who waits. So exactly one thing is
/// taken, and nothing is lost to a wait that has ended.
///
/// A claim is made of a wait only after all its things have been armed under all their locks. So two selections that
/// meet at one thing never look at each other half armed: the one that comes second holds the lock, is in no list yet,
/// and can only claim, not be claimed.
class selection
{
public:
    static constexpr std::size_t undecided = static_cast<std::size_t>(-1);

    selection(const selection&) = delete;
    selection& operator=(const selection&) = delete;

    /// Ends the wait for what has this index. False: something else has. Any thread; never blocks.
    bool claim(std::size_t index) noexcept
    {
        std::size_t expected = undecided;
        return decision_.compare_exchange_strong(expected, index, std::memory_order_acq_rel, std::memory_order_acquire);
    }

    /// What has ended it.
    std::size_t decision() const noexcept { return decision_.load(std::memory_order_acquire); }

    /// Lets the waiter go on. For whoever has claimed, once it has let go of its locks; the last it may do with it.
    virtual void wake() noexcept = 0;

    /// The agent that waits, from before its operations are made until after they are gone; null: a handler does.
    virtual agent* waiting() noexcept { return nullptr; }

    /// Says why an operation of this context cannot be part of it; `target` is the context's loop, if that is ours.
    virtual boost::system::error_code admit(boost::asio::execution_context* context, loop* target) = 0;

    /// Brackets an operation: the waiter does not go before all that have started are over, and each tells so once, as
    /// the last it does with the selection.
    void operation_started() noexcept { left_.fetch_add(1, std::memory_order_relaxed); }
    void operation_over() noexcept
    {
        if (leave())
            all_over();
    }

protected:
    selection() noexcept = default;
    ~selection() = default;

    /// For the waiter, when it has asked them all to end. True: none was left.
    bool leave() noexcept { return left_.fetch_sub(1, std::memory_order_acq_rel) == 1; }

    /// What operation_over() calls when nothing is left.
    virtual void all_over() noexcept = 0;

private:
    std::atomic<std::size_t> decision_{undecided};
    std::atomic<std::size_t> left_{1}; // operations, and the waiter, until it leaves
};

/// One wait for a waitable, as part of a selection; it stays where it is made.
///
/// - `lock()`: what protects the next two; null: nothing has to;
/// - `try_now()`: takes it, if that can be had at once. It may throw, and has then taken nothing;
/// - `arm()`: enters; from when the lock is released on, the selection may be claimed by its index. True: it could be
///   had in the end, and has been taken;
/// - `settle()`: what is left to do after one of these, without the lock: tell others;
/// - `disarm()`: leaves, once the selection is decided. When it returns nobody touches the wait any more, unless it is
///   an operation, which is now asked to end;
/// - `take(chosen)`: what it has come to; `chosen` says that it was what has ended the selection.
template <class W>
concept waitable_wait = requires(W& wait, bool chosen)
{
    {
        wait.lock()
    }
    noexcept->std::same_as<light_mutex*>;
    {
        wait.try_now()
        } -> std::same_as<bool>;
    {
        wait.arm()
    }
    noexcept->std::same_as<bool>;
    {
        wait.settle()
    }
    noexcept;
    {
        wait.disarm()
    }
    noexcept;
    wait.take(chosen);
};

/// What select() takes: something that makes such waits, from itself, a selection and an index. `result_type` is what
/// the wait comes to.
template <class T>
concept waitable = requires
{
    typename std::remove_cvref_t<T>::result_type;
    requires waitable_wait<typename std::remove_cvref_t<T>::wait_type>;
    requires std::is_constructible_v < typename std::remove_cvref_t<T>::wait_type, std::remove_cvref_t<T>
    &, selection&, std::size_t > ;
};

} // namespace zsync
