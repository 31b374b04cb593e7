// SPDX-License-Identifier: BSL-1.0
#pragma once

// The behavioural twin: each asynchronous member of each kind of native object, in each situation, tells its handler on
// a ring what it tells it on io_context. What that is is not written down: it comes from running Asio's own.

#include "contexts.hpp"
#include "report.hpp"
#include "sockets.hpp"

#include <support/descriptors.hpp>
#include <support/process_state.hpp>

#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

namespace test
{

/// What happens to an operation.
enum class situation
{
    ready,                    ///< what it wants is there when it starts
    late,                     ///< it comes when the operation is in flight
    spoiled,                  ///< it cannot succeed
    spoiled_late,             ///< that happens in flight
    not_open,                 ///< its object is closed
    cancelled_before_it_runs, ///< by the object's cancel()
    cancelled,                ///< the same in flight
    terminal,                 ///< its slot is emitted in flight
    partial,
    total,
    closed_before_it_runs,
    closed,
    released,
    assigned, ///< another object is assigned to its object
    moved,    ///< its object is moved to and fro, and then it succeeds
    context_destroyed_before_it_runs,
    context_destroyed,
};

inline constexpr std::pair<situation, const char*> situations[] = {
    {situation::ready, "ready"},
    {situation::late, "late"},
    {situation::spoiled, "spoiled"},
    {situation::spoiled_late, "spoiled late"},
    {situation::not_open, "not open"},
    {situation::cancelled_before_it_runs, "cancelled before it runs"},
    {situation::cancelled, "cancelled"},
    {situation::terminal, "terminal"},
    {situation::partial, "partial"},
    {situation::total, "total"},
    {situation::closed_before_it_runs, "closed before it runs"},
    {situation::closed, "closed"},
    {situation::released, "released"},
    {situation::assigned, "assigned"},
    {situation::moved, "moved"},
    {situation::context_destroyed_before_it_runs, "context destroyed before it runs"},
    {situation::context_destroyed, "context destroyed"},
};

/// What every stage has: an object of the context under test, and what its operations use. The other side is reached by
/// system calls, or through a context that nobody runs. A handler may own it all.
template <class Object>
struct basic_stage
{
    explicit basic_stage(asio::io_context& ctx) : object(ctx) {}

    Object object;
    descriptor other;
    std::vector<char> bytes = std::vector<char>(64, '-');
    std::vector<char> much = std::vector<char>(256 * 1024, 'm');
    bool satisfied = false;

    /// For a satisfy() that counts once.
    bool first_time() { return !std::exchange(satisfied, true); }

    /// What was read.
    std::string text() const { return {bytes.data(), bytes.size()}; }
};

/// A member, and how to make it wait, succeed and fail.
template <class Stage>
struct member
{
    using stage = Stage;

    const char* name;
    void (*prepare)(Stage&); ///< so that it would wait, if it ever does
    void (*start)(Stage&, handler);
    void (*satisfy)(Stage&) = [](Stage&) {}; ///< so that it succeeds; called again and again
    void (*spoil)(Stage&) = nullptr;         ///< so that it fails. Null: nothing makes it fail but a closed object
    std::string (*seen)(Stage&) = [](Stage& s) { return s.text(); }; ///< what it left beside its count
    std::uint64_t native = 1;                                        ///< operations on a ring
    bool waits = true;                                               ///< else it ends by itself, whatever happens
    bool can_succeed = true;
    bool opens = false; ///< what is closed: that is no error
    /// No send, but done by Asio in the initiating function. A ring does it later: what follows at once comes first.
    bool tried_at_once = false;

    bool has(situation what) const
    {
        switch (what)
        {
        case situation::spoiled:
        case situation::spoiled_late:
            return spoil != nullptr;
        case situation::ready:
        case situation::late:
        case situation::moved:
            return can_succeed;
        case situation::not_open:
            return !opens;
        case situation::cancelled_before_it_runs:
        case situation::closed_before_it_runs:
            return !tried_at_once;
        default:
            return true;
        }
    }

    friend std::ostream& operator<<(std::ostream& out, const member& m) { return out << m.name; }
};

/// Plays one member in one situation, and tells what came of it.
template <class Stage>
std::string play(context& c, const member<Stage>& tested, situation what)
{
    report result;
    const auto told = std::make_shared<outcome>();
    auto stage = std::make_shared<Stage>(c.ctx());
    const std::weak_ptr<Stage> stage_alive = stage;
    auto spare = std::make_shared<decltype(stage->object)>(c.ctx());
    asio::cancellation_signal signal;
    const auto is = [&](auto... any) { return ((what == any) || ...); };

    if (!is(situation::not_open))
        tested.prepare(*stage);
    if (is(situation::ready))
        tested.satisfy(*stage);
    if (is(situation::spoiled))
        tested.spoil(*stage);

    const bool loses_context = is(situation::context_destroyed, situation::context_destroyed_before_it_runs);
    const std::uint64_t native_before = c.native();
    tested.start(*stage, record_in(told, signal.slot(), loses_context ? stage : nullptr));
    if (c.is_native() && c.native() - native_before != (is(situation::not_open) ? 0 : tested.native))
        result.add("not so many native operations: " + std::to_string(c.native() - native_before));
    if (told->calls)
        result.add("inside the initiating function");

    if (!is(situation::ready, situation::spoiled, situation::not_open, situation::cancelled_before_it_runs,
            situation::closed_before_it_runs, situation::context_destroyed_before_it_runs))
    {
        if (tested.waits)
        {
            c.settle();
            result.add(told->calls ? "at once" : "waited");
        }
        else
        {
            c.run_until([&] { return told->calls != 0; });
        }
    }

    error_code ignored;
    descriptor released;
    switch (what)
    {
    case situation::ready:
    case situation::late:
    case situation::spoiled:
    case situation::not_open:
        break;
    case situation::spoiled_late:
        tested.spoil(*stage);
        break;
    case situation::cancelled_before_it_runs:
    case situation::cancelled:
        stage->object.cancel(ignored);
        break;
    case situation::terminal:
        signal.emit(asio::cancellation_type::terminal);
        break;
    case situation::partial:
        signal.emit(asio::cancellation_type::partial);
        break;
    case situation::total:
        signal.emit(asio::cancellation_type::total);
        break;
    case situation::closed_before_it_runs:
    case situation::closed:
        stage->object.close(ignored);
        break;
    case situation::released:
        released = descriptor(stage->object.release());
        break;
    case situation::assigned:
        stage->object = std::move(*spare);
        break;
    case situation::moved:
        *spare = std::move(stage->object);
        stage->object = std::move(*spare);
        break;
    case situation::context_destroyed_before_it_runs:
    case situation::context_destroyed:
        spare.reset();
        stage.reset();
        c.destroy();
        result.add(told->calls ? "called" : "not called");
        result.add(stage_alive.expired() ? "destroyed" : "LEFT");
        return result.text();
    }

    const bool keeps_trying = is(situation::late, situation::moved);
    const auto ended = [&] { return told->calls != 0; };
    if (!(keeps_trying ? c.run_until(ended, [&] { tested.satisfy(*stage); }) : c.run_until(ended)))
        result.add("DID NOT END");
    result.add(told->error);
    result.add(told->bytes);
    if (told->calls > 1)
        result.add("CALLED TWICE");
    if (!told->error)
        result.add(tested.seen(*stage));
    return result.text();
}

template <class Context, class Stage>
std::string play_on(const member<Stage>& tested, situation what)
{
    const std::size_t before = open_descriptors();
    std::string text;
    {
        Context under_test;
        text = play(under_test, tested, what);
    }
    if (open_descriptors() != before)
        text += " LEAKED";
    return text;
}

/// Checks a member in all situations.
template <class Stage>
void check_twins(const member<Stage>& tested)
{
    for (const auto& [what, name] : situations)
        BOOST_TEST_CONTEXT(name)
        {
            if (!tested.has(what))
                continue;
            const std::string expected = play_on<plain_io_context>(tested, what);
            BOOST_TEST_MESSAGE(tested.name << ", " << name << ": " << expected);
            BOOST_TEST(expected.find("DID NOT END") == expected.npos);
            BOOST_TEST(play_on<default_uring_context>(tested, what) == expected);
            BOOST_TEST(play_on<hint_1_uring_context>(tested, what) == expected);
            BOOST_TEST(play_on<one_thread_uring_context>(tested, what) == expected);
        }
}

} // namespace test
