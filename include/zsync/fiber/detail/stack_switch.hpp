// SPDX-License-Identifier: BSL-1.0
#pragma once

// The one place that changes stacks, with all that has to change along: the context of the processor (Boost.Context),
// the exceptions being handled, Asio's stacks of calls, and what the sanitizers believe. Tested with Boost 1.81.

#include <zsync/core/detail/asio.hpp>
#include <zsync/core/detail/sanitizers.hpp>
#include <zsync/fiber/stack_pool.hpp>

#include <boost/context/detail/fcontext.hpp>

#include <cstddef>
#include <cstdint>
#include <span>

#include <cxxabi.h>

namespace zsync::detail
{

/// The exceptions that a stack is handling and throwing: the C++ ABI's __cxa_eh_globals. A fiber may wait inside a
/// handler, while others throw.
struct exception_state
{
    void* caught = nullptr;
    unsigned int uncaught = 0;

    /// Returns the calling thread's. The address is the thread's for good.
    static exception_state* of_this_thread() noexcept
    {
        return reinterpret_cast<exception_state*>(abi::__cxa_get_globals());
    }
};

/// A stack in use, as others see it while it does not run.
///
/// A thread's own stack is one too, default-constructed. Switches are made by one thread at a time, and may go on, on
/// another thread, only where its program orders the two.
class execution
{
public:
    /// `from` is what switched here first: ended, it may be destroyed now.
    using entry_function = void (*)(execution& self, execution& from) noexcept;

    execution() noexcept { adopt_thread(); }

    /// Prepares a stack on which `entry(*this, from)` begins at the first switch to it. It must not return: it ends with
    /// leave(). The object lives above `top`, on the same stack, and `calls` are the call stacks it begins with.
    execution(stack_view stack, std::byte* top, entry_function entry, const asio_call_stacks& calls) noexcept
        : point_(boost::context::detail::make_fcontext(top, static_cast<std::size_t>(top - stack.base), &begin)),
          entry_(entry), calls_(calls), stack_(stack)
    {
#if ZSYNC_HAS_TSAN
        tsan_fiber_ = __tsan_create_fiber(0);
#endif
    }

    ~execution()
    {
#if ZSYNC_HAS_TSAN
        if (entry_)
            __tsan_destroy_fiber(tsan_fiber_);
#endif
    }

    execution(const execution&) = delete;
    execution& operator=(const execution&) = delete;

    /// For a thread's own stack: it is now the calling thread's.
    void adopt_thread() noexcept
    {
#if ZSYNC_HAS_TSAN
        tsan_fiber_ = __tsan_get_current_fiber();
#endif
    }

    /// Runs `to` on the calling thread, and returns when somebody switches back here. `thread` is the calling thread's.
    /// Nothing after the switch touches the thread: it may be another.
    ///
    /// @return who switched back. Ended, it may be destroyed now.
    execution& switch_to(execution& to, exception_state& thread) noexcept
    {
        exceptions_ = thread;
        calls_ = asio_call_stacks::current();
        thread = to.exceptions_;
        to.calls_.install();
        return *jump(to, &asan_frames_);
    }

    /// The last switch of a stack: it does not come back.
    [[noreturn]] void leave(execution& to, exception_state& thread) noexcept
    {
        ended_ = true;
        thread = to.exceptions_;
        to.calls_.install();
        jump(to, nullptr);
        __builtin_unreachable();
    }

    bool ended() const noexcept { return ended_; }
    stack_view stack() const noexcept { return stack_; }

    /// The call stacks of what runs here, while it does not run; or those it is to begin with.
    const asio_call_stacks& call_stacks() const noexcept { return calls_; }

    /// Lets it go on with others. For what does not run.
    void set_call_stacks(const asio_call_stacks& calls) noexcept { calls_ = calls; }

    /// For what does not run: where its stack ends, and whether it ever ran.
    const void* stack_pointer() const noexcept { return point_; }
    bool has_run() const noexcept { return target_ != nullptr; }

    using look_function = void (*)(void* argument, const void* above) noexcept;

    /// Calls `look(argument, above)` on a copy of this suspended stack, made in `room`, as if what is suspended here had
    /// called it: for an unwinder, which sees the suspended frames above the address `above`. Nothing here changes, and
    /// this stack need have no room left. Returns false if `room` has not enough for it.
    ///
    /// Frames are found by stack pointers in the copy, by frame pointers in the original, which reads the same.
    bool call_on_copy(std::span<std::byte> room, look_function look, void* argument) const noexcept
    {
        constexpr std::size_t alignment = 64;
        constexpr std::size_t least_room = 16 * 1024;
        const auto* const from = static_cast<const std::byte*>(static_cast<const void*>(point_));
        const auto bytes = static_cast<std::size_t>(stack_.top() - from);
        if (room.size() < bytes + alignment + least_room)
            return false;
        std::byte* copy = room.data() + room.size() - bytes;
        copy -= (reinterpret_cast<std::uintptr_t>(copy) - reinterpret_cast<std::uintptr_t>(from)) % alignment;
        copy_stack(copy, from, bytes);
        look_call call{look, argument};
        boost::context::detail::ontop_fcontext(copy, &call, &look_from_copy);
        return true;
    }

private:
    struct look_call
    {
        look_function look;
        void* argument;
    };

    // Not by memcpy(3): AddressSanitizer would object to reading between the variables.
    ZSYNC_NO_SANITIZE static void copy_stack(std::byte* to, const volatile std::byte* from, std::size_t bytes) noexcept
    {
        for (std::size_t index = 0; index < bytes; ++index)
            to[index] = from[index];
    }

    ZSYNC_NO_SANITIZE static boost::context::detail::transfer_t look_from_copy(
        boost::context::detail::transfer_t caller) noexcept
    {
        const auto& call = *static_cast<const look_call*>(caller.data);
        call.look(call.argument, __builtin_frame_address(0));
        boost::context::detail::jump_fcontext(caller.fctx, nullptr); // for good: the copy is dropped
        __builtin_unreachable();
    }

    execution* jump(execution& to, [[maybe_unused]] void** asan_frames) noexcept
    {
        target_ = &to;
#if ZSYNC_HAS_TSAN
        __tsan_switch_to_fiber(to.tsan_fiber_, 0);
#endif
#if ZSYNC_HAS_ASAN
        __sanitizer_start_switch_fiber(asan_frames, to.stack_.base, to.stack_.bytes);
#endif
        const auto from = boost::context::detail::jump_fcontext(to.point_, this);
        return arrive(from, asan_frames_);
    }

    static execution* arrive(boost::context::detail::transfer_t transfer, [[maybe_unused]] void* asan_frames) noexcept
    {
        auto* const from = static_cast<execution*>(transfer.data);
        from->point_ = transfer.fctx;
#if ZSYNC_HAS_ASAN
        // A thread's own stack is known from the first switch away from it.
        const void* base = nullptr;
        std::size_t bytes = 0;
        __sanitizer_finish_switch_fiber(asan_frames, &base, &bytes);
        if (from->stack_is_the_threads())
            from->stack_ = {static_cast<std::byte*>(const_cast<void*>(base)), bytes};
#endif
        return from;
    }

    static void begin(boost::context::detail::transfer_t transfer) noexcept
    {
        execution& from = *arrive(transfer, nullptr);
        execution& self = *from.target_;
        self.entry_(self, from);
        __builtin_unreachable();
    }

    bool stack_is_the_threads() const noexcept { return !entry_; }

    boost::context::detail::fcontext_t point_ = nullptr;
    bool ended_ = false;
    entry_function entry_ = nullptr;
    execution* target_ = nullptr; // of the switch being made
    exception_state exceptions_;
    asio_call_stacks calls_;
    stack_view stack_;
    void* asan_frames_ = nullptr; // frames that AddressSanitizer keeps aside
    void* tsan_fiber_ = nullptr;
};

} // namespace zsync::detail
