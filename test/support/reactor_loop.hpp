// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/reactor/reactor_engine.hpp>

#include "support/engines.hpp"

#include <boost/test/data/monomorphic.hpp>
#include <boost/test/unit_test.hpp>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <optional>
#include <ostream>
#include <thread>

namespace test
{

inline constexpr auto forever = std::nullopt;

enum class mode
{
    locked,
    unlocked
};

inline std::ostream& operator<<(std::ostream& out, mode m)
{
    return out << (m == mode::locked ? "locked" : "unlocked");
}

inline const auto modes = boost::unit_test::data::make({mode::locked, mode::unlocked});
inline const auto locked_modes = boost::unit_test::data::make({mode::locked});

/// An engine that is shut down at the end, with what the test has left in flight.
class loop
{
public:
    explicit loop(mode m = mode::locked) : engine({.locking = m == mode::locked}) {}
    ~loop() { engine.shutdown(nullptr); }

    std::size_t turn(std::optional<std::chrono::microseconds> timeout = std::chrono::microseconds(0))
    {
        return engine.turn(timeout, nullptr);
    }

    template <class Condition>
    bool until(Condition condition)
    {
        return eventually(
            [&]
            {
                const bool holds = condition();
                if (!holds)
                    turn(std::chrono::milliseconds(10));
                return holds;
            });
    }

    bool finish(const record& op)
    {
        return until([&] { return op.done(); });
    }

    /// Performs one operation and returns its result.
    int perform(record& op)
    {
        op.completions = 0;
        engine.start(op);
        return finish(op) ? op.result : -ETIME;
    }

    int perform(opcode what, int fd = -1, void* memory = nullptr, std::size_t size = 0, unsigned bits = 0)
    {
        record op(what, fd, memory, size, bits);
        return perform(op);
    }

    /// Has what waits attempted once more.
    void take_back() { turn(); }

    zsync::operation_id start(record& op)
    {
        zsync::operation_id id;
        engine.start(op, &id);
        return id;
    }

    /// Starts it and lets a turn attempt it; not for what completes at once.
    zsync::operation_id let_it_wait(record& op)
    {
        const zsync::operation_id id = start(op);
        turn();
        BOOST_REQUIRE(!op.done());
        return id;
    }

    zsync::reactor_engine engine;
};

/// A thread that takes turns until it is told to stop.
class runner
{
public:
    explicit runner(loop& on)
        : loop_(on),
          thread_(
              [this]
              {
                  while (!stop_)
                      loop_.turn(std::nullopt);
              })
    {
    }

    ~runner() { stop(); }

    void stop()
    {
        stop_ = true;
        loop_.engine.wake();
        if (thread_.joinable())
            thread_.join();
    }

private:
    loop& loop_;
    std::atomic<bool> stop_{false};
    std::thread thread_;
};

} // namespace test
