// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/detail/asio.hpp>
#include <zsync/core/engine.hpp>
#include <zsync/uring/detail/drop_in_marker.hpp> // nobody else has descriptors with an executor of the type `here`

#include <boost/asio/execution.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>

#include <atomic>

namespace zsync::detail
{

/// An engine on a context whose threads belong to Asio's scheduler: it takes its turns there, without waiting, whenever
/// something was started, and when Asio's reactor says that the engine's descriptor is readable.
///
/// Turns are requested by counting: who counts from 0 posts one; the turn that finds no more than it began with sets
/// the count back to 0. So there is one turn at a time, and no request is lost. Counts no work of its own: the wait for
/// the descriptor, which is in place from the first operation on, is taken off the scheduler's count.
///
/// Engine is reactor_engine or uring_engine: what has a descriptor to watch, in whose place fork puts another.
template <class Engine>
class guest_engine final : public service_base<guest_engine<Engine>>, public engine
{
public:
    /// Makes the engine from its options. @throws boost::system::system_error if it cannot be had.
    template <class... Options>
    explicit guest_engine(boost::asio::execution_context& context, const Options&... options)
        : service_base<guest_engine>(context),
          scheduler_(boost::asio::use_service<scheduler>(context)),
          engine_(options...),
          watcher_(here{&context}),
          turn_(*this)
    {
    }

    engine_kind kind() const noexcept override { return engine_.kind(); }
    bool supports(opcode code) const noexcept override { return engine_.supports(code); }
    buffer_pool_ptr make_buffers(const buffer_options& options) override
    {
        return woken_by(engine_.make_buffers(options));
    }
    buffer_pool_ptr buffers() override { return woken_by(engine_.buffers()); }
    void start(operation& op, operation_id* named) override;
    bool perform_now(operation& op) noexcept override { return engine_.perform_now(op); }
    void cancel(operation_id which) noexcept override;
    void cancel_descriptor(int descriptor) noexcept override;
    boost::system::error_code attach_descriptor(int descriptor) noexcept override;
    void detach_descriptor(int descriptor) noexcept override;

    /// For no one: turns are taken here.
    std::size_t turn(std::optional<std::chrono::microseconds>, void*) override { return 0; }
    void wake() noexcept override { request_turn(); }
    void shutdown(void*) noexcept override { shutdown(); }
    metrics counters() const noexcept override { return engine_.counters(); }
    void try_sends(int descriptor) noexcept;

private:
    // Runs a function at once: it is called by the scheduler only, on a thread that runs the context.
    struct here
    {
        boost::asio::execution_context* context;

        boost::asio::execution_context& query(boost::asio::execution::context_t) const noexcept { return *context; }
        static constexpr boost::asio::execution::blocking_t query(boost::asio::execution::blocking_t) noexcept
        {
            return boost::asio::execution::blocking.possibly;
        }

        // Since Boost 1.82 Asio wants to be able to ask for this. The one handler here takes notes and requests a turn,
        // which is as well done inside the function that starts its wait.
        here require(boost::asio::execution::blocking_t::never_t) const noexcept { return *this; }

        template <class Function>
        void execute(Function&& function) const
        {
            std::decay_t<Function> copy(std::forward<Function>(function));
            std::move(copy)();
        }

        friend bool operator==(const here& a, const here& b) noexcept { return a.context == b.context; }
        friend bool operator!=(const here& a, const here& b) noexcept { return a.context != b.context; }
    };

    struct turn_operation : scheduler_operation
    {
        explicit turn_operation(guest_engine& its_owner) noexcept : scheduler_operation(&run), owner(its_owner) {}
        static void run(void* owning, scheduler_operation* base, const boost::system::error_code&, std::size_t);

        guest_engine& owner;
    };

    // Who gives a buffer back asks for a turn here: the engine itself never sleeps.
    buffer_pool_ptr woken_by(buffer_pool_ptr pool) noexcept
    {
        if (pool)
            pool->set_filler(*this);
        return pool;
    }

    void request_turn() noexcept;
    void take_turns();
    bool take_turn();
    void watch();
    void shutdown() noexcept override;
    void notify_fork(boost::asio::execution_context::fork_event event) override;

    scheduler& scheduler_;
    Engine engine_;
    boost::asio::posix::basic_stream_descriptor<here> watcher_;
    turn_operation turn_;
    std::atomic<unsigned> requests_{0};    // see above
    bool watching_ = false;                // for the one who takes the turns
    std::atomic<bool> watch_ended_{false}; // set by the wait's handler, which then requests a turn that clears it
};

} // namespace zsync::detail
