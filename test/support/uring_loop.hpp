// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/uring/uring_engine.hpp>

#include "support/engines.hpp"

#include <boost/test/data/monomorphic.hpp>
#include <boost/test/unit_test.hpp>

#include <array>
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
    shared,
    one_runner,
    one_owner,
    unlocked
};

inline std::ostream& operator<<(std::ostream& out, mode m)
{
    constexpr std::array names = {"shared", "one_runner", "one_owner", "unlocked"};
    return out << names[static_cast<std::size_t>(m)];
}

inline const auto modes = boost::unit_test::data::make({mode::shared, mode::one_runner, mode::one_owner, mode::unlocked});
inline const auto locked_modes = boost::unit_test::data::make({mode::shared, mode::one_runner, mode::one_owner});

inline zsync::uring_engine_options options_of(mode m, unsigned entries)
{
    return {
        .entries = entries,
        .one_runner = m == mode::one_runner || m == mode::unlocked,
        .one_owner = m == mode::one_owner,
        .locking = m != mode::unlocked,
    };
}

/// An engine that is shut down at the end, with what the test has left in flight.
class loop
{
public:
    explicit loop(mode m, unsigned entries = 64) : engine(options_of(m, entries)) {}
    ~loop() { engine.shutdown(nullptr); }

    std::size_t turn(std::optional<std::chrono::microseconds> timeout = std::chrono::microseconds(0)) { return engine.turn(timeout, nullptr); }

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

    /// Takes everything back from the kernel in the way that this mode has.
    void take_back()
    {
        if (engine.one_owner())
            engine.leave();
        else
            engine.prepare_fork();
    }

    zsync::operation_id start(record& op)
    {
        zsync::operation_id id;
        engine.start(op, &id);
        return id;
    }

    /// Starts it and hands it over; not for what completes at once.
    zsync::operation_id let_it_wait(record& op)
    {
        const zsync::operation_id id = start(op);
        turn();
        BOOST_REQUIRE(!op.done());
        return id;
    }

    zsync::uring_engine engine;
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
                  loop_.engine.leave();
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
