// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace zsync::detail
{

class fiber;
class fiber_loop;

/// Puts the handler of SIGSEGV that tells overflows of fibers' stacks in front of the one there is, for the rest of the
/// process's life. Further calls do nothing. Any thread; never blocks.
void install_overflow_handler() noexcept;

/// Ends the process, for a stack without a guard whose overflow was found when its fiber had ended.
[[noreturn]] void abort_overflowed(const fiber& of) noexcept;

/// Lets the handler know, for as long as it lives, that the calling thread runs a loop. Nests; null: a loop
/// whose overflows are not told.
class overflow_watch
{
public:
    explicit overflow_watch(const fiber_loop* loop) noexcept;
    ~overflow_watch();
    overflow_watch(const overflow_watch&) = delete;
    overflow_watch& operator=(const overflow_watch&) = delete;

private:
    const fiber_loop* const outer_;
};

} // namespace zsync::detail
