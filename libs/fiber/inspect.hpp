// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/work_item.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <ostream>
#include <span>
#include <string>
#include <vector>

namespace zsync
{
class waiter;
}

namespace zsync::detail
{

class fiber;
class fiber_loop;

/// What a fiber was about.
struct fiber_snapshot
{
    enum class state
    {
        fresh, // has not run yet
        ready,
        running,
        waiting
    };

    std::uint64_t id = 0;
    std::string name;
    bool runs_items = false;
    state is = state::ready;
    std::string awaited; // of one that waits
    std::chrono::steady_clock::duration waited{};
    std::size_t stack_bytes = 0;
    std::size_t used = 0;
    std::size_t touched = 0; // by all that have had the stack; 0: the kernel does not tell
    std::vector<void*> frames;
};

/// What all fibers of a loop were about, the oldest first.
struct loop_snapshot
{
    const void* context = nullptr;
    std::string engine;
    std::vector<fiber_snapshot> fibers;
};

/// Looks into a loop. For the loop's thread, or while none runs it.
class loop_inspector
{
public:
    explicit loop_inspector(const fiber_loop& loop) noexcept : loop_(loop) {}

    /// The running fiber is shown from the frames above an address on its stack on; with null it is left out, as it
    /// does nothing but take this. @throws std::bad_alloc.
    loop_snapshot take(const void* above);

private:
    void add(const fiber& one, const void* above, loop_snapshot& all);
    void add_frames(const fiber& one, fiber_snapshot& to);
    std::string describe(const waiter& wait) const;

    const fiber_loop& loop_;
    std::unique_ptr<std::byte[]> room_; // for copies of stacks
    std::size_t room_bytes_ = 0;
};

/// Writes it down, with names. Any thread.
void print(const loop_snapshot& what, std::ostream& out);

/// Writes frames down, a line each.
void print(std::span<void* const> frames, std::ostream& out);

} // namespace zsync::detail
