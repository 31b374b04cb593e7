// SPDX-License-Identifier: BSL-1.0
#include <zsync/io/runtime.hpp>

#include <zsync/blocking/blocking_context.hpp>
#include <zsync/fiber/detail/fiber_loop.hpp>
#include <zsync/fiber/fiber_context.hpp>
#include <zsync/fiber/spawn.hpp>
#include <zsync/io/detail/task_shutdown.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>

#include <cstddef>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>

#include <signal.h>

namespace zsync
{

namespace
{

struct kept_actions
{
    std::mutex mutex;
    std::size_t users = 0;
    struct ::sigaction interrupt = {};
    struct ::sigaction terminate = {};
};

constinit kept_actions kept;

/// What the signals did before, and will do again. They are the process's: of several runtimes at once, on their
/// threads, the first keeps the actions and the last to end restores them.
class former_actions
{
public:
    former_actions() noexcept
    {
        const std::lock_guard held(kept.mutex);
        if (kept.users++ == 0)
        {
            ::sigaction(SIGINT, nullptr, &kept.interrupt);
            ::sigaction(SIGTERM, nullptr, &kept.terminate);
        }
    }

    ~former_actions()
    {
        const std::lock_guard held(kept.mutex);
        if (--kept.users == 0)
        {
            ::sigaction(SIGTERM, &kept.terminate, nullptr);
            ::sigaction(SIGINT, &kept.interrupt, nullptr);
        }
    }

    former_actions(const former_actions&) = delete;
    former_actions& operator=(const former_actions&) = delete;
};

/// The signals that end a program, as long as it lives.
class ending_signals
{
public:
    template <class Executor>
    explicit ending_signals(const Executor& executor) : signals(executor, SIGINT, SIGTERM)
    {
    }

private:
    const former_actions restored_;

public:
    boost::asio::signal_set signals;
};

/// Ends a root and its tasks in two steps. Lives on the thread that runs their context. (Its timer is the loop's own:
/// what a stock timer is made of is for the program to say, by <zsync/drop_in.hpp>, and not for this library.)
class graceful_shutdown : private loop_timer
{
public:
    graceful_shutdown(fiber_context& context, agent* const& root, std::chrono::steady_clock::duration patience)
        : context_(context), root_(root), patience_(patience), ending_(context.get_executor())
    {
        expired = [](loop_timer& self) noexcept { static_cast<graceful_shutdown&>(self).cancel_all(); };
        ending_.signals.async_wait(
            [this](const boost::system::error_code& ec, int)
            {
                if (!ec)
                    begin();
            });
    }

    ~graceful_shutdown() { timers().cancel(*this); }

    /// The signal may have come before the root could be told.
    void root_started() noexcept
    {
        if (begun_)
            root_->cancellation().request(detail::shutdown_reason);
    }

private:
    void begin()
    {
        begun_ = true;
        if (root_)
            root_->cancellation().request(detail::shutdown_reason);
        timers().insert(*this, timer_wheel::clock::now() + patience_);
        ending_.signals.async_wait(
            [this](const boost::system::error_code& ec, int)
            {
                if (!ec)
                    cancel_all();
            });
    }

    void cancel_all()
    {
        boost::system::error_code ignored;
        ending_.signals.clear(ignored);
        timers().cancel(*this);
        context_.loop().cancel_fibers(boost::asio::error::operation_aborted);
    }

    timer_wheel& timers() noexcept { return *context_.loop().timers(); }

    fiber_context& context_;
    agent* const& root_;
    const std::chrono::steady_clock::duration patience_;
    ending_signals ending_;
    bool begun_ = false;
};

/// Waits for a signal on a thread of its own, and turns it into a request.
class signal_thread
{
public:
    explicit signal_thread(cancellation_source request) : ending_(context_.get_executor()), request_(std::move(request))
    {
        ending_.signals.async_wait(
            [this](const boost::system::error_code& ec, int)
            {
                if (ec)
                    return;
                boost::system::error_code ignored;
                ending_.signals.clear(ignored);
                request_.request_cancel(detail::shutdown_reason);
            });
        thread_ = std::thread([this] { context_.run(); });
    }

    ~signal_thread()
    {
        context_.stop();
        thread_.join();
    }

private:
    boost::asio::io_context context_{1};
    ending_signals ending_;
    cancellation_source request_;
    std::thread thread_;
};

} // namespace

void runtime::run_root(root_function root, const void* call) const
{
    if (options_.model == model::blocking)
        run_blocking(root, call);
    else
        run_green(root, call);
}

void runtime::run_blocking(root_function root, const void* call) const
{
    blocking_context context;
    const io where(context);
    if (!options_.shutdown_on_signals)
        return root(call, where);
    const cancellation_source source;
    const signal_thread signals(source);
    root(call, where.with_cancellation(source.token()));
}

void runtime::run_green(root_function root, const void* call) const
{
    // Before the context, whose destructor may unwind the root.
    agent* running = nullptr;
    std::exception_ptr failure;
    bool ended = false;

    fiber_context context(options_.fibers);
    std::optional<graceful_shutdown> shutdown;
    if (options_.shutdown_on_signals)
        shutdown.emplace(context, running, options_.shutdown_deadline);
    spawn(
        context,
        [&]
        {
            running = &agent::current();
            if (shutdown)
                shutdown->root_started();
            root(call, io(context));
        },
        [&](std::exception_ptr reason) // of a root that could not be started: it keeps its own errors
        {
            running = nullptr;
            failure = reason;
            ended = true;
            context.stop();
        });
    while (!ended)
    {
        context.restart();
        context.run();
    }
    if (failure)
        std::rethrow_exception(failure);
}

} // namespace zsync
