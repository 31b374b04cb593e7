// SPDX-License-Identifier: BSL-1.0
#include "stack_overflow.hpp"

#include <zsync/fiber/detail/fiber_loop.hpp>
#include <zsync/fiber/stack_pool.hpp>
#include <zsync/platform/memory.hpp>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <optional>
#include <string_view>
#include <utility>

#include <signal.h>
#include <ucontext.h>
#include <unistd.h>

// A signal has one handler a process, which finds what it needs in statics and in its thread: these are that handler's,
// and nobody else's.
//
// Which stack has overflowed needs no register of stacks, and no lock: only the stack that a thread runs on can, and
// the thread's loop knows which that is. The handler runs on the thread whose instruction has faulted, so what it reads
// is at rest: its own thread's loop, up to the call that has faulted.

namespace zsync::detail
{
namespace
{

// What was there before. Null until it is known; set once, then only read.
constinit std::atomic<const struct sigaction*> previous{nullptr};

// initial-exec: what the handler reads is there in every thread, without a function that may allocate it.
[[gnu::tls_model("initial-exec")]] constinit thread_local const fiber_loop* watched = nullptr;

// What a frame may touch below the stack pointer: 128 bytes on x86-64 for one that calls nothing, 512 for AArch64's
// stores that lower it by the way. Further below is a wrong pointer, not a stack that has grown.
constexpr std::uintptr_t reach = 512;

/// Where the handler runs, for the thread's own stack may be the one that is full. A thread that has such a stack
/// already keeps it.
class alternate_stack
{
public:
    alternate_stack() noexcept
    {
        stack_t there;
        if (::sigaltstack(nullptr, &there) != 0 || !(there.ss_flags & SS_DISABLE))
            return;
        try
        {
            stack_ = pool_.emplace(stack_pool_options{.stack_bytes = bytes(), .stacks_per_slab = 1}).take();
        }
        catch (const std::bad_alloc&)
        {
            return; // an overflow is then a SIGSEGV without a word
        }
        const stack_t mine{.ss_sp = stack_.base, .ss_flags = 0, .ss_size = stack_.bytes};
        ::sigaltstack(&mine, nullptr);
    }

    ~alternate_stack()
    {
        if (!stack_.base)
            return;
        stack_t there;
        if (::sigaltstack(nullptr, &there) == 0 && there.ss_sp == stack_.base)
        {
            const stack_t none{.ss_sp = nullptr, .ss_flags = SS_DISABLE, .ss_size = 0};
            ::sigaltstack(&none, nullptr);
        }
        pool_->give_back(stack_);
    }

    alternate_stack(const alternate_stack&) = delete;
    alternate_stack& operator=(const alternate_stack&) = delete;

private:
    // Chosen: room for the program's own handler, which may write a backtrace; taken page by page.
    static std::size_t bytes() noexcept
    {
        const long recommended = ::sysconf(_SC_SIGSTKSZ);
        return std::max<std::size_t>(64 * 1024, recommended > 0 ? static_cast<std::size_t>(recommended) : 0);
    }

    std::optional<stack_pool> pool_;
    stack_view stack_;
};

/// Text in a signal handler. What does not fit is left out.
class message
{
public:
    message& operator<<(std::string_view text) noexcept
    {
        const std::size_t size = std::min(text.size(), sizeof text_ - size_);
        std::copy_n(text.data(), size, text_ + size_);
        size_ += size;
        return *this;
    }

    message& operator<<(std::uint64_t number) noexcept
    {
        char digits[20];
        return *this << std::string_view(digits, std::to_chars(digits, std::end(digits), number).ptr);
    }

    void write() const noexcept
    {
        for (std::size_t done = 0; done < size_;)
        {
            const ssize_t written = ::write(STDERR_FILENO, text_ + done, size_ - done);
            if (written <= 0 && errno != EINTR)
                return;
            done += written > 0 ? static_cast<std::size_t>(written) : 0;
        }
    }

private:
    char text_[256];
    std::size_t size_ = 0;
};

message describe_overflow(const fiber& of) noexcept
{
    message text;
    text << "zsync: stack overflow in " << (of.is_loop ? "a posted function or a handler, on " : "") << "fiber "
         << of.number.number();
    if (of.name[0] != '\0')
        text << " \"" << of.name << "\"";
    text << ": its " << of.stack().bytes
         << " bytes are used up (fiber_options::" << (of.is_loop ? "loop_stack_bytes" : "stack_bytes") << ")";
    return text;
}

std::optional<std::uintptr_t> stack_pointer([[maybe_unused]] const void* context) noexcept
{
#if defined(__x86_64__)
    return static_cast<std::uintptr_t>(static_cast<const ucontext_t*>(context)->uc_mcontext.gregs[REG_RSP]);
#elif defined(__aarch64__)
    return static_cast<std::uintptr_t>(static_cast<const ucontext_t*>(context)->uc_mcontext.sp);
#else
    return std::nullopt;
#endif
}

/// Returns the fiber whose stack the faulting instruction has grown into its guard.
const fiber* overflowed(const siginfo_t& info, const void* context) noexcept
{
    if (!watched || info.si_code <= 0) // not a fault: somebody has sent it
        return nullptr;
    const auto address = reinterpret_cast<std::uintptr_t>(info.si_addr);
    if (const auto pointer = stack_pointer(context); pointer && address + reach < *pointer)
        return nullptr;
    return watched->with_guard_at(address);
}

void take_default() noexcept
{
    struct sigaction action = {};
    action.sa_handler = SIG_DFL;
    ::sigaction(SIGSEGV, &action, nullptr);
}

/// Does what would have been done without this handler.
void pass_on(int number, siginfo_t* info, void* context) noexcept
{
    const struct sigaction* const to = previous.load(std::memory_order_acquire);
    const bool sent = info->si_code <= 0;
    if (to && to->sa_handler == SIG_IGN && sent)
        return;
    if (!to || to->sa_handler == SIG_DFL || to->sa_handler == SIG_IGN) // a fault cannot be ignored
    {
        take_default(); // the instruction is executed again, so that a core dump shows it
        if (sent)
            ::raise(number); // delivered when this handler returns
        return;
    }
    if (to->sa_flags & SA_RESETHAND)
        take_default();
    if (to->sa_flags & SA_SIGINFO)
        to->sa_sigaction(number, info, context);
    else
        to->sa_handler(number);
}

void handle(int number, siginfo_t* info, void* context) noexcept
{
    const int error = errno;
    const fiber* const of = overflowed(*info, context);
    if (of)
        (describe_overflow(*of) << "\n").write();
    pass_on(number, info, context);
    if (of)
        take_default(); // whoever returns here has not mended it: the same fault ends the process
    errno = error;
}

[[gnu::noinline]] const fiber_loop* exchange_watched(const fiber_loop* loop) noexcept
{
    return std::exchange(watched, loop);
}

} // namespace

void install_overflow_handler() noexcept
{
    static constinit std::atomic<bool> begun{false};
    if (begun.exchange(true, std::memory_order_relaxed))
        return;
    static constinit struct sigaction before = {};
    ::sigaction(SIGSEGV, nullptr, &before);
    struct sigaction mine = {};
    mine.sa_sigaction = &handle;
    mine.sa_mask = before.sa_mask;
    mine.sa_flags = SA_SIGINFO | SA_ONSTACK | (before.sa_flags & (SA_NODEFER | SA_RESTART));
    previous.store(&before, std::memory_order_release);
    ::sigaction(SIGSEGV, &mine, nullptr);
}

overflow_watch::overflow_watch(const fiber_loop* loop) noexcept : outer_(exchange_watched(loop))
{
    if (loop)
        static thread_local const alternate_stack here;
}

overflow_watch::~overflow_watch()
{
    exchange_watched(outer_);
}

void abort_overflowed(const fiber& of) noexcept
{
    (describe_overflow(of) << "; seen when it ended: memory may be corrupt\n").write();
    std::abort();
}

// In a switch the loop names the stack it goes to while it still runs on the one it leaves, so that all are looked at.
// The lists' next pointers are written one by one, and lead to the end at any time.
const fiber* fiber_loop::with_guard_at(std::uintptr_t address) const noexcept
{
    const std::size_t guard = page_size();
    const auto in_guard = [&](const fiber& one)
    {
        const auto base = reinterpret_cast<std::uintptr_t>(one.stack().base);
        return address < base && base - address <= guard;
    };
    if (current_ && in_guard(running()))
        return &running();
    for (const fiber* list : {alive_fibers_, waiting_, spares_, loop_})
        for (; list; list = list == loop_ ? nullptr : list->next)
            if (in_guard(*list))
                return list;
    return nullptr;
}

} // namespace zsync::detail
