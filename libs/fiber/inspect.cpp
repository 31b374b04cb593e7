// SPDX-License-Identifier: BSL-1.0
#include "inspect.hpp"

#include "backtrace.hpp"

#include <zsync/core/operation.hpp>
#include <zsync/fiber/detail/child_task.hpp>
#include <zsync/fiber/detail/fiber_loop.hpp>

#include <algorithm>
#include <array>
#include <cstdio>
#include <string_view>
#include <utility>

namespace zsync::detail
{

namespace
{

// Chosen. Whoever recurses for ever shows how in the innermost ones.
constexpr std::size_t most_frames = 64;

// For the unwinder, which takes some 4 KiB, on the first call more for the dynamic linker; and for signals.
constexpr std::size_t unwinder_bytes = 64 * 1024;

const char* name_of(opcode code) noexcept
{
    switch (code)
    {
    case opcode::nop:
        return "nop";
    case opcode::read:
        return "read";
    case opcode::write:
        return "write";
    case opcode::readv:
        return "readv";
    case opcode::writev:
        return "writev";
    case opcode::receive:
        return "receive";
    case opcode::send:
        return "send";
    case opcode::receive_message:
        return "receive_message";
    case opcode::send_message:
        return "send_message";
    case opcode::accept:
    case opcode::accept_direct:
        return "accept";
    case opcode::connect:
        return "connect";
    case opcode::poll:
        return "poll";
    case opcode::open:
        return "open";
    case opcode::sync:
        return "sync";
    case opcode::shutdown:
        return "shutdown";
    default:
        return "an operation";
    }
}

std::string shortened(std::string_view name)
{
    constexpr std::size_t longest = 160; // chosen
    return name.size() <= longest ? std::string(name) : std::string(name.substr(0, longest)) + "...";
}

std::string address_of(const void* object)
{
    char text[32];
    std::snprintf(text, sizeof text, " at %p", object);
    return text;
}

std::string label(std::uint64_t id, std::string_view name)
{
    std::string text = "fiber " + std::to_string(id);
    if (!name.empty())
        text.append(" \"").append(name).append("\"");
    return text;
}

const std::byte* as_bytes(const void* address) noexcept
{
    return static_cast<const std::byte*>(address);
}

struct frames_of_copy
{
    std::array<void*, most_frames> frames;
    std::size_t count = 0;
};

void unwind_copy(void* argument, const void* above) noexcept
{
    auto& found = *static_cast<frames_of_copy*>(argument);
    found.count = unwind(found.frames, above);
}

} // namespace

loop_snapshot loop_inspector::take(const void* above)
{
    loop_snapshot all;
    all.context = &loop_.context();
    all.engine = to_string(loop_.engine_->kind());
    all.fibers.reserve(loop_.alive_ + loop_.waiting_items_ + 1);
    for (const fiber* each = loop_.alive_fibers_; each; each = each->next)
        add(*each, above, all);
    for (const fiber* each = loop_.waiting_; each; each = each->next)
        add(*each, above, all);
    if (loop_.current_ && loop_.current_ == loop_.loop_)
        add(loop_.running(), above, all);
    std::ranges::sort(all.fibers, {}, &fiber_snapshot::id);
    return all;
}

void loop_inspector::add(const fiber& one, const void* above, loop_snapshot& all)
{
    const bool running = loop_.current_ == &one;
    if (running && !above)
        return;
    fiber_snapshot made;
    made.id = one.number.number();
    made.name = one.name;
    made.runs_items = one.is_loop;
    made.stack_bytes = one.stack().bytes;
    made.touched = (one.is_loop ? loop_.loop_stacks_ : loop_.stacks_).high_water(one.stack());
    const void* const pointer = running ? above : one.stack_pointer();
    made.used = static_cast<std::size_t>(one.stack().top() - as_bytes(pointer));
    if (running)
    {
        made.is = fiber_snapshot::state::running;
        made.frames.resize(most_frames);
        made.frames.resize(unwind(made.frames, above));
    }
    else if (!one.has_run())
        made.is = fiber_snapshot::state::fresh;
    else
    {
        if (const waiter* const awaited = one.awaited())
        {
            made.is = fiber_snapshot::state::waiting;
            made.awaited = describe(*awaited);
            made.waited = std::chrono::steady_clock::now() - one.waiting_since();
        }
        add_frames(one, made);
    }
    all.fibers.push_back(std::move(made));
}

void loop_inspector::add_frames(const fiber& one, fiber_snapshot& to)
{
    const std::size_t needed = to.used + unwinder_bytes;
    if (room_bytes_ < needed)
    {
        room_ = std::make_unique_for_overwrite<std::byte[]>(needed);
        room_bytes_ = needed;
    }
    frames_of_copy found;
    one.call_on_copy({room_.get(), room_bytes_}, &unwind_copy, &found);
    to.frames.assign(found.frames.begin(), found.frames.begin() + static_cast<std::ptrdiff_t>(found.count));
}

std::string loop_inspector::describe(const waiter& wait) const
{
    const wait_reason& reason = wait.reason();
    const std::string_view what = reason.what ? reason.what : "something";
    switch (reason.kind)
    {
    case wait_kind::operation:
    {
        const auto& op = *static_cast<const operation*>(reason.object);
        std::string text = name_of(op.code);
        if (op.descriptor >= 0)
            text.append(" on descriptor ").append(std::to_string(op.descriptor));
        return text;
    }
    case wait_kind::asynchronous:
        return shortened(type_name_in(what));
    case wait_kind::time:
        return "a point in time";
    case wait_kind::helper:
        return "a call on a helper thread";
    case wait_kind::sync:
        return shortened(type_name_in(what)) + address_of(reason.object);
    case wait_kind::task:
        if (const auto* const task = static_cast<const child_task*>(reason.object))
        {
            if (&task->home() != &loop_) // which may be running
                return "a fiber of the context" + address_of(&task->home().context());
            const agent* const child = task->child();
            return child && child->fiber_of() ? label(static_cast<const fiber*>(child)->number.number(),
                                                      static_cast<const fiber*>(child)->name)
                                              : "a fiber that has not begun";
        }
        break;
    case wait_kind::other:
        break;
    }
    return std::string(what);
}

void print(const loop_snapshot& what, std::ostream& out)
{
    symbolizer names;
    out << "fiber_context at " << what.context << " on " << what.engine << ": " << what.fibers.size()
        << (what.fibers.size() == 1 ? " fiber\n" : " fibers\n");
    char text[64];
    for (const fiber_snapshot& each : what.fibers)
    {
        out << label(each.id, each.name) << (each.runs_items ? ", of a function or handler, " : " ");
        switch (each.is)
        {
        case fiber_snapshot::state::fresh:
            out << "has not begun";
            break;
        case fiber_snapshot::state::ready:
            out << "is ready";
            break;
        case fiber_snapshot::state::running:
            out << "runs";
            break;
        case fiber_snapshot::state::waiting:
            std::snprintf(text, sizeof text, "%.3f", std::chrono::duration<double>(each.waited).count());
            out << "waits for " << each.awaited << ", " << text << " s";
            break;
        }
        out << "; stack " << each.used << " of " << each.stack_bytes << " bytes";
        if (each.touched != 0)
            out << ", touched " << each.touched;
        out << '\n';
        int number = 0;
        for (void* const frame : each.frames)
            out << "    #" << number++ << ' ' << names.describe(frame) << '\n';
    }
}

void print(std::span<void* const> frames, std::ostream& out)
{
    symbolizer names;
    int number = 0;
    for (void* const frame : frames)
        out << "    #" << number++ << ' ' << names.describe(frame) << '\n';
}

} // namespace zsync::detail
