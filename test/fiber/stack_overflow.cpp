// SPDX-License-Identifier: BSL-1.0
// Each program of the first suite is one of its own, which a case of the second one starts: a process has one handler
// of SIGSEGV, and that is installed once.
#include <zsync/fiber/detail/fiber.hpp>
#include <zsync/fiber/fiber.hpp>
#include <zsync/fiber/fiber_context.hpp>
#include <zsync/fiber/spawn.hpp>
#include <zsync/fiber/this_fiber.hpp>

#include "support/captured_errors.hpp"
#include "support/child_process.hpp"
#include "support/forbid_ring.hpp"

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <ostream>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include <alloca.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using zsync::fiber;
using zsync::fiber_context;

namespace
{

constexpr bool sanitized = ZSYNC_HAS_ASAN || ZSYNC_HAS_TSAN;

volatile int never = -1;

[[gnu::noinline]] int recurse(int depth)
{
    volatile char frame[512];
    frame[0] = static_cast<char>(depth);
    return depth == never ? 0 : recurse(depth + 1) + frame[0];
}

void overflow()
{
    recurse(0);
}

void say(std::string_view text)
{
    static_cast<void>(!::write(STDERR_FILENO, text.data(), text.size()));
}

__attribute__((noinline, no_sanitize("undefined"))) void write_to(std::uintptr_t address)
{
    *reinterpret_cast<volatile char*>(address) = 1;
}

void install(void (*handler)(int, siginfo_t*, void*), int flags)
{
    struct sigaction action = {};
    action.sa_sigaction = handler;
    action.sa_flags = SA_SIGINFO | flags;
    ::sigaction(SIGSEGV, &action, nullptr);
}

void say_mine_and_exit(int, siginfo_t* info, void* context)
{
    say(info && context ? "mine" : "mine, without what belongs to it");
    ::_exit(3);
}

void run_alone(fiber_context& ctx, std::string name, void (*function)())
{
    fiber one(ctx, {.name = std::move(name)}, function);
    one.detach();
    ctx.run();
}

} // namespace

BOOST_AUTO_TEST_SUITE(stack_overflow_programs, *boost::unit_test::disabled())

BOOST_AUTO_TEST_CASE(named_fiber)
{
    fiber_context ctx;
    run_alone(ctx, "deep", &overflow);
}

BOOST_AUTO_TEST_CASE(spawned_fiber)
{
    fiber_context ctx({.stack_bytes = 64 * 1024});
    zsync::spawn(ctx, &overflow, asio::detached);
    ctx.run();
}

BOOST_AUTO_TEST_CASE(posted_function)
{
    fiber_context ctx({.loop_stack_bytes = 256 * 1024});
    asio::post(ctx, &overflow);
    ctx.run();
}

BOOST_AUTO_TEST_CASE(posted_function_that_has_waited)
{
    fiber_context ctx;
    asio::post(ctx,
               []
               {
                   zsync::this_fiber::set_name("posted");
                   zsync::this_fiber::sleep_for(1ms);
                   overflow();
               });
    ctx.run();
}

BOOST_AUTO_TEST_CASE(second_of_two_threads)
{
    fiber_context one;
    fiber_context two;
    auto work = asio::prefer(one.get_executor(), asio::execution::outstanding_work.tracked);
    std::thread first([&] { one.run(); });
    std::thread second([&] { run_alone(two, "of the second", &overflow); });
    first.join();
    second.join();
}

BOOST_AUTO_TEST_CASE(context_within_a_fiber)
{
    fiber_context outer;
    run_alone(outer, "outer",
              []
              {
                  {
                      fiber_context inner;
                      run_alone(inner, "inner", [] {});
                  }
                  overflow();
              });
}

BOOST_AUTO_TEST_CASE(handler_installed_before)
{
    install(&say_mine_and_exit, 0);
    fiber_context ctx;
    run_alone(ctx, "deep", &overflow);
}

BOOST_AUTO_TEST_CASE(handler_installed_before_that_returns)
{
    install([](int, siginfo_t*, void*) { say("mine"); }, 0);
    fiber_context ctx;
    run_alone(ctx, "deep", &overflow);
}

BOOST_AUTO_TEST_CASE(handler_of_another_fault)
{
    install(&say_mine_and_exit, 0);
    fiber_context ctx;
    run_alone(ctx, "null", [] { write_to(0); });
}

BOOST_AUTO_TEST_CASE(handler_for_once)
{
    install([](int, siginfo_t*, void*) { say("mine"); }, SA_RESETHAND);
    fiber_context ctx;
    run_alone(ctx, "null", [] { write_to(0); });
}

BOOST_AUTO_TEST_CASE(handler_installed_after)
{
    fiber_context ctx;
    install(&say_mine_and_exit, SA_ONSTACK);
    run_alone(ctx, "deep", &overflow);
}

struct sigaction before_mine;

BOOST_AUTO_TEST_CASE(handler_installed_after_that_passes_on)
{
    fiber_context ctx;
    ::sigaction(SIGSEGV, nullptr, &before_mine);
    install(
        [](int number, siginfo_t* info, void* context)
        {
            say("mine, then ");
            before_mine.sa_sigaction(number, info, context);
        },
        SA_ONSTACK);
    run_alone(ctx, "deep", &overflow);
}

BOOST_AUTO_TEST_CASE(null_pointer)
{
    fiber_context ctx;
    run_alone(ctx, "null", [] { write_to(0); });
}

BOOST_AUTO_TEST_CASE(stray_pointer_into_a_guard)
{
    fiber_context ctx;
    run_alone(ctx, "stray",
              []
              {
                  const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
                  for (std::uintptr_t below = here - 64 * 1024; below > here - 256 * 1024; below -= 1024)
                      write_to(below);
              });
}

BOOST_AUTO_TEST_CASE(overflow_outside_any_context)
{
    const rlimit small{8 * 1024 * 1024, 8 * 1024 * 1024};
    ::setrlimit(RLIMIT_STACK, &small);
    fiber_context ctx;
    run_alone(ctx, "done", [] {});
    overflow();
}

BOOST_AUTO_TEST_CASE(sent_signal)
{
    fiber_context ctx;
    run_alone(ctx, "sends", [] { ::raise(SIGSEGV); });
}

BOOST_AUTO_TEST_CASE(ignored_signal)
{
    std::signal(SIGSEGV, SIG_IGN);
    fiber_context ctx;
    run_alone(ctx, "sends",
              []
              {
                  ::raise(SIGSEGV);
                  say("goes on");
                  write_to(0);
              });
}

BOOST_AUTO_TEST_CASE(switched_off)
{
    struct sigaction first;
    ::sigaction(SIGSEGV, nullptr, &first);
    fiber_context ctx({.report_stack_overflow = false});
    run_alone(ctx, "first", [] {});
    struct sigaction then;
    ::sigaction(SIGSEGV, nullptr, &then);
    say(first.sa_handler == then.sa_handler ? "untouched" : "changed");
    ctx.restart();
    run_alone(ctx, "deep", &overflow);
}

BOOST_AUTO_TEST_CASE(alternate_stacks)
{
    std::thread(
        []
        {
            alignas(64) static char mine[64 * 1024];
            const stack_t set{.ss_sp = mine, .ss_flags = 0, .ss_size = sizeof mine};
            ::sigaltstack(&set, nullptr);
            fiber_context ctx;
            run_alone(ctx, "first", [] {});
            stack_t now;
            ::sigaltstack(nullptr, &now);
            say(now.ss_sp == mine ? "kept " : "replaced ");
            const stack_t none{.ss_sp = nullptr, .ss_flags = SS_DISABLE, .ss_size = 0};
            ::sigaltstack(&none, nullptr);
        })
        .join();
    std::thread(
        []
        {
            const stack_t none{.ss_sp = nullptr, .ss_flags = SS_DISABLE, .ss_size = 0};
            ::sigaltstack(&none, nullptr); // the sanitizers give each thread one
            fiber_context ctx;
            run_alone(ctx, "second", [] {});
            stack_t now;
            ::sigaltstack(nullptr, &now);
            say(now.ss_flags & SS_DISABLE ? "none" : "given");
        })
        .join();
}

#if !ZSYNC_HAS_ASAN && !ZSYNC_HAS_TSAN
BOOST_AUTO_TEST_CASE(mprotect_guard)
{
    if (test::forbid_system_calls({SYS_madvise}, EINVAL) != 0) // as a kernel before 6.13 has it
        return say("skipped: no seccomp filters");
    fiber_context ctx;
    run_alone(ctx, "deep", &overflow);
}

BOOST_AUTO_TEST_CASE(canary_for_a_guard)
{
    if (test::forbid_system_calls({SYS_madvise, SYS_mprotect}, EINVAL) != 0)
        return say("skipped: no seccomp filters");
    fiber_context ctx;
    run_alone(ctx, "deep",
              []
              {
                  const auto& self = static_cast<zsync::detail::fiber&>(zsync::agent::current());
                  write_to(reinterpret_cast<std::uintptr_t>(self.stack().base) - 8);
              });
}

// Sleeps where so many bytes are left, each in a process of its own: some overflow in the switch itself, where the loop
// names another fiber already.
BOOST_AUTO_TEST_CASE(overflow_in_a_switch)
{
    fiber_context installs;
    ::sigaction(SIGSEGV, nullptr, &before_mine);
    int overflowed = 0;
    int told = 0;
    for (std::size_t left = 0; left < 1536; left += 32)
    {
        const test::captured_errors errors;
        const auto child = test::run_in_child(
            [&](const test::child_voice&)
            {
                ::sigaction(SIGSEGV, &before_mine, nullptr); // the child has begun with the default
                errors.redirect();
                fiber_context ctx({.engine = zsync::engine_kind::reactor});
                fiber deep(ctx, {.name = "deep"},
                           [left]
                           {
                               const auto& self = static_cast<zsync::detail::fiber&>(zsync::agent::current());
                               const auto base = reinterpret_cast<std::uintptr_t>(self.stack().base);
                               const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
                               static_cast<char* volatile*>(alloca(here - base - left))[0] = nullptr;
                               zsync::this_fiber::yield();
                           });
                deep.detach();
                run_alone(ctx, "other", [] { zsync::this_fiber::yield(); });
            });
        overflowed += child.signal == SIGSEGV;
        told += child.signal == SIGSEGV && errors.text().find("\"deep\": its 131072 bytes") != std::string::npos;
    }
    say(overflowed > 0 && told == overflowed
            ? "all told"
            : "overflowed: " + std::to_string(overflowed) + ", told: " + std::to_string(told));
}
#endif

BOOST_AUTO_TEST_SUITE_END()

namespace
{

struct outcome
{
    test::child_result child;
    std::string errors;

    // A sanitizer ends the process in its own way, after its own report.
    bool crashed() const noexcept { return child.signal == SIGSEGV || (sanitized && child.status > 0); }

    bool says(std::string_view text) const noexcept { return errors.find(text) != errors.npos; }

    friend std::ostream& operator<<(std::ostream& out, const outcome& result)
    {
        return out << result.child << ", on standard error: " << result.errors;
    }
};

outcome run_program(const std::string& name)
{
    const test::captured_errors errors;
    auto child = test::run_in_child(
        [&](const test::child_voice& voice)
        {
            errors.redirect();
            static_cast<void>(!std::freopen("/dev/null", "w", stdout)); // its own count of cases
            const rlimit no_core{};
            ::setrlimit(RLIMIT_CORE, &no_core);
            const std::string which = "--run_test=stack_overflow_programs/" + name;
            ::execl("/proc/self/exe", "test_fiber", which.c_str(), "--catch_system_errors=no", "--report_level=no",
                    static_cast<char*>(nullptr));
            voice.say("not started");
        });
    return {std::move(child), errors.text()};
}

} // namespace

// ThreadSanitizer delivers signals in a way of its own.
BOOST_AUTO_TEST_SUITE(stack_overflow, *boost::unit_test::enable_if<!ZSYNC_HAS_TSAN>())

BOOST_AUTO_TEST_CASE(an_overflow_names_the_fiber_its_stack_and_the_option)
{
    const outcome named = run_program("named_fiber");
    BOOST_TEST(named.crashed(), named);
    BOOST_TEST(named.errors.starts_with("zsync: stack overflow in fiber "), named);
    BOOST_TEST(named.says(" \"deep\": its 131072 bytes are used up (fiber_options::stack_bytes)\n"), named);

    const outcome spawned = run_program("spawned_fiber");
    BOOST_TEST(spawned.crashed(), spawned);
    BOOST_TEST(spawned.errors.starts_with("zsync: stack overflow in fiber "), spawned);
    BOOST_TEST(spawned.says(": its 65536 bytes"), spawned);
}

BOOST_AUTO_TEST_CASE(so_does_that_of_a_posted_function)
{
    const outcome posted = run_program("posted_function");
    BOOST_TEST(posted.crashed(), posted);
    BOOST_TEST(posted.errors.starts_with("zsync: stack overflow in a posted function or a handler, on fiber "), posted);
    BOOST_TEST(posted.says(": its 262144 bytes are used up (fiber_options::loop_stack_bytes)\n"), posted);

    const outcome waited = run_program("posted_function_that_has_waited");
    BOOST_TEST(waited.crashed(), waited);
    BOOST_TEST(waited.says("a posted function or a handler, on fiber "), waited);
    BOOST_TEST(waited.says(" \"posted\": its 1048576 bytes"), waited);
}

BOOST_AUTO_TEST_CASE(each_thread_tells_of_its_own_fibers)
{
    const outcome second = run_program("second_of_two_threads");
    BOOST_TEST(second.crashed(), second);
    BOOST_TEST(second.says("\"of the second\": its"), second);

    const outcome outer = run_program("context_within_a_fiber");
    BOOST_TEST(outer.crashed(), outer);
    BOOST_TEST(outer.says("\"outer\": its"), outer);
}

BOOST_AUTO_TEST_CASE(a_handler_that_was_there_is_called_after_the_message)
{
    const outcome exits = run_program("handler_installed_before");
    BOOST_TEST(exits.child.status == 3, exits);
    BOOST_TEST(exits.errors.starts_with("zsync: stack overflow in fiber "), exits);
    BOOST_TEST(exits.errors.ends_with("\nmine"), exits);

    const outcome returns = run_program("handler_installed_before_that_returns");
    BOOST_TEST(returns.crashed(), returns);
    BOOST_TEST(returns.errors.ends_with("\nmine"), returns);
}

BOOST_AUTO_TEST_CASE(a_handler_that_was_there_has_all_other_faults_to_itself)
{
    const outcome other = run_program("handler_of_another_fault");
    BOOST_TEST(other.child.status == 3, other);
    BOOST_TEST(other.errors == "mine", other);

    const outcome once = run_program("handler_for_once");
    BOOST_TEST(once.crashed(), once);
    BOOST_TEST(once.errors == "mine", once);
}

BOOST_AUTO_TEST_CASE(a_handler_that_comes_later_is_the_only_one_unless_it_passes_on)
{
    const outcome later = run_program("handler_installed_after");
    BOOST_TEST(later.child.status == 3, later);
    BOOST_TEST(later.errors == "mine", later);

    const outcome passes_on = run_program("handler_installed_after_that_passes_on");
    BOOST_TEST(passes_on.crashed(), passes_on);
    BOOST_TEST(passes_on.errors.starts_with("mine, then zsync: stack overflow in fiber "), passes_on);
}

BOOST_AUTO_TEST_CASE(other_faults_are_not_called_overflows)
{
    for (const char* name : {"null_pointer", "stray_pointer_into_a_guard", "overflow_outside_any_context"})
    {
        const outcome result = run_program(name);
        BOOST_TEST(result.crashed(), name << ": " << result);
        BOOST_TEST(!result.says("zsync:"), name << ": " << result);
    }
}

BOOST_AUTO_TEST_CASE(a_signal_that_was_sent_does_what_it_did)
{
    const outcome sent = run_program("sent_signal");
    BOOST_TEST(sent.crashed(), sent);
    BOOST_TEST(!sent.says("zsync:"), sent);

    const outcome ignored = run_program("ignored_signal");
    BOOST_TEST(ignored.crashed(), ignored); // of the fault: that cannot be ignored
    BOOST_TEST(ignored.errors.starts_with("goes on"), ignored);
}

BOOST_AUTO_TEST_CASE(switched_off_it_leaves_the_signal_alone)
{
    const outcome result = run_program("switched_off");
    BOOST_TEST(result.crashed(), result);
    BOOST_TEST(result.errors.starts_with("untouched"), result);
    BOOST_TEST(!result.says("zsync:"), result);
}

BOOST_AUTO_TEST_CASE(a_thread_has_an_alternate_stack_its_own_or_ours)
{
    const outcome result = run_program("alternate_stacks");
    BOOST_TEST(result.errors == "kept given", result);
    BOOST_TEST(result.child.ok(), result);
}

#if !ZSYNC_HAS_ASAN && !ZSYNC_HAS_TSAN
BOOST_AUTO_TEST_CASE(a_guard_of_mprotect_is_as_good_and_a_canary_better_than_nothing)
{
    const outcome guarded = run_program("mprotect_guard");
    if (guarded.says("skipped"))
    {
        BOOST_TEST_MESSAGE(guarded.errors);
        return;
    }
    BOOST_TEST(guarded.crashed(), guarded);
    BOOST_TEST(guarded.says(" \"deep\": its 131072 bytes are used up"), guarded);

    const outcome canary = run_program("canary_for_a_guard");
    BOOST_TEST(canary.child.signal == SIGABRT, canary);
    BOOST_TEST(canary.says(" \"deep\": its 131072 bytes are used up"), canary);
    BOOST_TEST(canary.says("seen when it ended"), canary);
}

BOOST_AUTO_TEST_CASE(an_overflow_in_a_switch_names_who_leaves)
{
    const outcome result = run_program("overflow_in_a_switch");
    BOOST_TEST(result.errors == "all told", result);
}
#endif

BOOST_AUTO_TEST_SUITE_END()
