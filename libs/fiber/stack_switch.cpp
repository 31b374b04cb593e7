// SPDX-License-Identifier: BSL-1.0
#include <zsync/fiber/detail/stack_switch.hpp>

#include <cstdint>

// The return addresses that a processor predicts.
//
// It keeps a stack of its own of them: a call pushes, a return pops and is predicted to go there. jump_fcontext is
// called, but leaves by a jump, so that with each switch an address stays on that stack which no return will take, and
// every return up to the function that waited goes elsewhere than predicted: 6 ns for each of them on a Zen 4, where
// the jump itself takes 5. Two things keep that stack in order.
//
// A switch calls zsync_jump_fcontext instead. It pushes the address of its own last instructions for jump_fcontext to
// go on with, and jumps there; so what goes on, goes on with a return, for the call by which it was left. All calls
// come from one place, so that this return goes where the last call has come from. Boost's function is named by the
// compiler, in a pointer: from 1.88 on it is one of C++, with a mangled name.
//
// A stack that ends returns to where it began, and is left by a jump from there, as it was entered by one. Then the
// stack of predictions is again what it was at the switch to it: where a fiber spawns another and awaits its end, all
// returns are predicted.

#if defined(__x86_64__) && defined(__LP64__) && defined(__ELF__) && !(defined(__CET__) && (__CET__ & 2))
#    define ZSYNC_JUMPS_RETURN 1
#else // other processors, of which this is not known; and shadow stacks, which want to see calls and returns only
#    define ZSYNC_JUMPS_RETURN 0
#endif

#if ZSYNC_JUMPS_RETURN

extern "C"
{

    using zsync_jump_function = decltype(&boost::context::detail::jump_fcontext);
    [[gnu::visibility("hidden")]] extern const zsync_jump_function zsync_boost_jump_fcontext;
    [[gnu::used]] const zsync_jump_function zsync_boost_jump_fcontext = &boost::context::detail::jump_fcontext;

    [[gnu::visibility("hidden")]] boost::context::detail::transfer_t
    zsync_jump_fcontext(boost::context::detail::fcontext_t to, void* data) noexcept;

} // extern "C"

// Twice, for the alignment of the stack. The nop is where debuggers and unwinders look for what they believe to be the
// call before the address.
asm(R"(
    .pushsection .text.zsync_jump_fcontext, "ax", @progbits
    .p2align 4
    .globl zsync_jump_fcontext
    .hidden zsync_jump_fcontext
    .type zsync_jump_fcontext, @function
zsync_jump_fcontext:
    .cfi_startproc
    leaq 0f(%rip), %rax
    pushq %rax
    .cfi_adjust_cfa_offset 8
    pushq %rax
    .cfi_adjust_cfa_offset 8
    jmp *zsync_boost_jump_fcontext(%rip)
    .cfi_adjust_cfa_offset -8
    nop
0:
    addq $8, %rsp
    .cfi_adjust_cfa_offset -8
    ret
    .cfi_endproc
    .size zsync_jump_fcontext, . - zsync_jump_fcontext
    .popsection
)");

#endif

namespace zsync::detail
{

namespace
{

boost::context::detail::transfer_t jump(boost::context::detail::fcontext_t to, void* data) noexcept
{
#if ZSYNC_JUMPS_RETURN
    return zsync_jump_fcontext(to, data);
#else
    return boost::context::detail::jump_fcontext(to, data);
#endif
}

// For good, and without a call.
[[noreturn, gnu::always_inline]] inline void leave_for(boost::context::detail::fcontext_t to, void* data) noexcept
{
#if ZSYNC_JUMPS_RETURN
    asm volatile("jmp *%2" : : "D"(to), "S"(data), "m"(zsync_boost_jump_fcontext) : "memory");
#else
    boost::context::detail::jump_fcontext(to, data);
#endif
    __builtin_unreachable();
}

// Not by memcpy(3): AddressSanitizer would object to reading between the variables.
ZSYNC_NO_SANITIZE void copy_stack(std::byte* to, const volatile std::byte* from, std::size_t bytes) noexcept
{
    for (std::size_t index = 0; index < bytes; ++index)
        to[index] = from[index];
}

} // namespace

[[gnu::noinline]] execution& execution::switch_as_is(execution& to, exception_state& thread) noexcept
{
    exception_state::copy(thread, exceptions_);
    exception_state::copy(to.exceptions_, thread);
    announce_switch_to(to, &asan_frames_);
    return arrive(jump(to.point_, this), asan_frames_);
}

inline void execution::announce_switch_to(execution& to, [[maybe_unused]] void** asan_frames) noexcept
{
    target_ = &to;
#if ZSYNC_HAS_TSAN
    __tsan_switch_to_fiber(to.tsan_fiber_, 0);
#else
    static_cast<void>(tsan_fiber_); // to Clang it were unused otherwise
#endif
#if ZSYNC_HAS_ASAN
    __sanitizer_start_switch_fiber(asan_frames, to.stack_.base, to.stack_.bytes);
#endif
}

inline execution& execution::arrive(boost::context::detail::transfer_t transfer,
                                    [[maybe_unused]] void* asan_frames) noexcept
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
    return *from;
}

void* execution::make_point(std::byte* top, std::size_t bytes) noexcept
{
    return boost::context::detail::make_fcontext(top, bytes, &begin);
}

void execution::begin(boost::context::detail::transfer_t transfer) noexcept
{
    execution& from = arrive(transfer, nullptr);
    execution& self = *from.target_;
    execution& to = self.entry_(self, from);
    self.announce_switch_to(to, nullptr);
    leave_for(to.point_, &self);
}

struct execution::look_call
{
    look_function look;
    void* argument;
};

bool execution::call_on_copy(std::span<std::byte> room, look_function look, void* argument) const noexcept
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

ZSYNC_NO_SANITIZE boost::context::detail::transfer_t
execution::look_from_copy(boost::context::detail::transfer_t caller)
{
    const auto& call = *static_cast<const look_call*>(caller.data);
    call.look(call.argument, __builtin_frame_address(0));
    boost::context::detail::jump_fcontext(caller.fctx, nullptr); // for good: the copy is dropped
    __builtin_unreachable();
}

} // namespace zsync::detail
