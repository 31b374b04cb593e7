// SPDX-License-Identifier: BSL-1.0
#pragma once

// The contexts that every drop-in case runs over. Include <zsync/drop_in.hpp> first.

#include <zsync/drop_in.hpp>

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <tuple>

namespace test
{

/// A context under test: Asio's own, or one of ours. A case sees both through io_context&, as a program would.
class context
{
public:
    /// Ends a run that would hang. Nothing waits for it otherwise.
    static constexpr std::chrono::seconds watchdog{10};

    context(const context&) = delete;
    context& operator=(const context&) = delete;

    boost::asio::io_context& ctx() noexcept { return *context_; }
    boost::asio::any_io_executor executor() { return ctx().get_executor(); }

    /// Null for Asio's own.
    zsync::uring_context* uring() noexcept { return uring_; }

    /// Says whether stream sockets here are served by a ring.
    bool is_native() const noexcept { return uring_ && uring_->engine() == zsync::engine_kind::uring; }

    /// Returns how many native operations were started so far.
    std::uint64_t native() const { return uring_ ? uring_->counters().operations_started : 0; }

    /// Checks that native operations were started since the last call: at least so many with a ring, none without.
    void check_native(std::uint64_t at_least = 1)
    {
        const std::uint64_t now = native();
        if (is_native())
            BOOST_TEST(now - checked_ >= at_least);
        else
            BOOST_TEST(now == 0u);
        checked_ = now;
    }

    /// Runs until there is no work left; checks that this did not take the watchdog's time.
    void run()
    {
        restart();
        if (uring_)
            uring_->run_for(watchdog);
        else
            context_->run_for(watchdog);
        BOOST_TEST_REQUIRE(context_->stopped(), "the context still has work after the watchdog's time");
    }

    /// Runs until stopped, or until there is no work left: for a thread of its own, which must not check anything.
    void run_here()
    {
        if (uring_)
            uring_->run();
        else
            context_->run();
    }

    /// Runs what can run without waiting: what was started before is then in the kernel's hands, or with the reactor.
    void settle()
    {
        restart();
        if (uring_)
            uring_->poll();
        else
            context_->poll();
    }

    /// Runs until `done()`; calls `each`, if any, again and again meanwhile. Returns false for the watchdog's time, and
    /// where the work ended before.
    bool run_until(const std::function<bool()>& done, const std::function<void()>& each = {})
    {
        const auto end = std::chrono::steady_clock::now() + watchdog;
        while (!done())
        {
            if (std::chrono::steady_clock::now() >= end)
                return false;
            restart();
            if (each)
                each();
            const auto patience = each ? std::chrono::steady_clock::now() + std::chrono::milliseconds(5) : end;
            const std::size_t count = uring_ ? uring_->run_one_until(patience) : context_->run_one_until(patience);
            if (count == 0 && context_->stopped() && !each && !done())
                return false;
        }
        return true;
    }

    /// Ends the context's life before this object's.
    void destroy()
    {
        uring_ = nullptr;
        checked_ = 0;
        context_.reset();
    }

protected:
    explicit context(std::shared_ptr<boost::asio::io_context> made) : context_(std::move(made)) {}

    explicit context(std::shared_ptr<zsync::uring_context> made) : uring_(made.get()), context_(std::move(made))
    {
        if (!is_native())
            BOOST_TEST_MESSAGE("skipped: native operations, since there is no ring: " << uring_->why());
    }

    virtual ~context() = default;

private:
    void restart()
    {
        if (context_->stopped())
            context_->restart();
    }

    std::uint64_t checked_ = 0;
    zsync::uring_context* uring_ = nullptr;
    std::shared_ptr<boost::asio::io_context> context_; // io_context has no virtual destructor; this remembers which
};

struct plain_io_context : context
{
    static constexpr const char* name = "io_context";
    plain_io_context() : context(std::make_shared<boost::asio::io_context>()) {}
};

struct default_uring_context : context
{
    static constexpr const char* name = "uring_context";
    default_uring_context() : context(std::make_shared<zsync::uring_context>()) {}
};

struct hint_1_uring_context : context
{
    static constexpr const char* name = "uring_context, hint 1";
    hint_1_uring_context() : context(std::make_shared<zsync::uring_context>(1)) {}
};

struct one_thread_uring_context : context
{
    static constexpr const char* name = "uring_context, one_thread";
    one_thread_uring_context()
        : context(std::make_shared<zsync::uring_context>(zsync::uring_options{.one_thread = true}))
    {
    }
};

/// For BOOST_AUTO_TEST_CASE_TEMPLATE. Keep the case itself short, and its body in a function that takes context&: it is
/// then compiled once.
using contexts = std::tuple<plain_io_context, default_uring_context, hint_1_uring_context, one_thread_uring_context>;

using uring_contexts = std::tuple<default_uring_context, hint_1_uring_context, one_thread_uring_context>;

} // namespace test

/// Declares a case that runs over all contexts: `ON_ALL_CONTEXTS(name, under_test) { under_test.ctx()... }`.
#define ON_ALL_CONTEXTS(name, under_test)                                                                              \
    static void name##_on(test::context& under_test);                                                                  \
    BOOST_AUTO_TEST_CASE_TEMPLATE(name, Context, test::contexts)                                                       \
    {                                                                                                                  \
        Context made;                                                                                                  \
        name##_on(made);                                                                                               \
    }                                                                                                                  \
    static void name##_on(test::context& under_test)
