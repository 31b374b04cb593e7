// SPDX-License-Identifier: BSL-1.0
#pragma once

// The one place that changes stacks, with its .cpp, and all that has to change along: the context of the processor
// (Boost.Context), the exceptions being handled, Asio's stacks of calls, and what the sanitizers believe. Tested with
// Boost 1.81.

#include <zsync/core/detail/asio.hpp>
#include <zsync/core/detail/sanitizers.hpp>
#include <zsync/fiber/stack_pool.hpp>

#include <boost/context/detail/fcontext.hpp>

#include <cstddef>
#include <cstring>
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

    /// Copies whole words, padding included: half the instructions of an assignment.
    static void copy(const exception_state& from, exception_state& to) noexcept { std::memcpy(&to, &from, sizeof to); }
};

/// A stack in use, as others see it while it does not run.
///
/// A thread's own stack is one too, default-constructed. Switches are made by one thread at a time, and may go on, on
/// another thread, only where its program orders the two.
class execution
{
public:
    /// What runs on a stack. `from` is what switched here first: ended, it may be destroyed now. It must not return
    /// before its last switch, but with what leave() has returned.
    using entry_function = execution& (*)(execution& self, execution& from) noexcept;

    execution() noexcept { adopt_thread(); }

    /// Prepares a stack on which `entry(*this, from)` begins at the first switch to it. The object lives above `top`,
    /// on the same stack, and `calls` are the call stacks it begins with.
    execution(stack_view stack, std::byte* top, entry_function entry, const asio_call_stacks& calls) noexcept
        : point_(make_point(top, static_cast<std::size_t>(top - stack.base))),
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
        calls_ = asio_call_stacks::current();
        to.calls_.install();
        return switch_as_is(to, thread);
    }

    /// The same for two whose call stacks are in place already: those that `to` is to go on with are the thread's, and
    /// this one's are noted.
    ///
    /// Not inline, so that all that is suspended is so at the same place: see stack_switch.cpp.
    execution& switch_as_is(execution& to, exception_state& thread) noexcept;

    /// Prepares the last switch of a stack, with call stacks as for switch_as_is(). Nothing may happen there after it but
    /// returns, up to the entry function's: that makes the switch.
    execution& leave(execution& to, exception_state& thread) noexcept
    {
        ended_ = true;
        exception_state::copy(to.exceptions_, thread);
        return to;
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
    bool call_on_copy(std::span<std::byte> room, look_function look, void* argument) const noexcept;

private:
    struct look_call;

    static boost::context::detail::transfer_t look_from_copy(boost::context::detail::transfer_t caller);
    static void* make_point(std::byte* top, std::size_t bytes) noexcept;
    static void begin(boost::context::detail::transfer_t transfer) noexcept;
    void announce_switch_to(execution& to, void** asan_frames) noexcept;
    static execution& arrive(boost::context::detail::transfer_t transfer, void* asan_frames) noexcept;
    bool stack_is_the_threads() const noexcept { return !entry_; }

    void* point_ = nullptr; // where it goes on
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
