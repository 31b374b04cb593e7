// SPDX-License-Identifier: BSL-1.0
#include "guest_engine.hpp"

#include <zsync/reactor/reactor_engine.hpp>
#include <zsync/uring/uring_engine.hpp>

#include <boost/asio/error.hpp>

#include <cerrno>

namespace zsync::detail
{

template <class Engine>
void guest_engine<Engine>::start(operation& op, operation_id* named)
{
    if (engine_.stopped())
    {
        // What handlers' destructors start while the context is destroyed: the handler is posted, and destroyed.
        op.result = -ECANCELED;
        op.on_complete(op, nullptr);
        return;
    }
    engine_.start(op, named);
    request_turn();
}

template <class Engine>
void guest_engine<Engine>::cancel(operation_id which) noexcept
{
    engine_.cancel(which);
    request_turn();
}

template <class Engine>
void guest_engine<Engine>::cancel_descriptor(int descriptor) noexcept
{
    engine_.cancel_descriptor(descriptor);
    request_turn();
}

template <class Engine>
boost::system::error_code guest_engine<Engine>::attach_descriptor(int descriptor) noexcept
{
    return engine_.attach_descriptor(descriptor);
}

template <class Engine>
void guest_engine<Engine>::detach_descriptor(int descriptor) noexcept
{
    engine_.detach_descriptor(descriptor);
    request_turn();
}

template <class Engine>
void guest_engine<Engine>::try_sends(int descriptor) noexcept
{
    engine_.try_sends(descriptor);
    request_turn();
}

template <class Engine>
void guest_engine<Engine>::request_turn() noexcept
{
    if (!engine_.stopped() && requests_.fetch_add(1) == 0)
        scheduler_.post_immediate_completion(&turn_, false);
}

template <class Engine>
void guest_engine<Engine>::turn_operation::run(void* owning, scheduler_operation* base,
                                               const boost::system::error_code&, std::size_t)
{
    if (owning)
        static_cast<turn_operation*>(base)->owner.take_turns();
}

template <class Engine>
void guest_engine<Engine>::take_turns()
{
    // Bounded, so that busy descriptors leave room for handlers.
    constexpr int most_turns = 8;

    unsigned seen = requests_.load();
    if (watch_ended_.exchange(false))
        watching_ = false;
    int turns = 1;
    try
    {
        while (take_turn() && turns < most_turns)
            ++turns;
        if (turns < most_turns && !watching_)
            watch();
    }
    catch (...)
    {
        scheduler_.post_immediate_completion(&turn_, false);
        throw;
    }
    if (turns == most_turns || !requests_.compare_exchange_strong(seen, 0))
        scheduler_.post_immediate_completion(&turn_, false);
}

// Returns true if there may be more to do at once.
template <class Engine>
bool guest_engine<Engine>::take_turn()
{
    if (engine_.turn(std::chrono::microseconds(0), nullptr) != 0)
        return true;
    // What a ring gave back to be started again is handed over by the next turn; nothing makes its descriptor readable.
    if constexpr (requires { engine_.needs_turn(); })
        return engine_.needs_turn();
    else
        return false;
}

template <class Engine>
void guest_engine<Engine>::watch()
{
    if (!watcher_.is_open())
        watcher_.assign(engine_.descriptor());
    watcher_.async_wait(boost::asio::posix::descriptor_base::wait_read,
                        [this](const boost::system::error_code& ec)
                        {
                            scheduler_.work_started(); // which its end takes off
                            if (ec == boost::asio::error::operation_aborted)
                                return;
                            watch_ended_ = true;
                            request_turn();
                        });
    scheduler_.work_finished();
    watching_ = true;
}

template <class Engine>
void guest_engine<Engine>::shutdown() noexcept
{
    if (watcher_.is_open())
        watcher_.release();
    engine_.shutdown(nullptr);
}

template <class Engine>
void guest_engine<Engine>::notify_fork(boost::asio::execution_context::fork_event event)
{
    switch (event)
    {
    case boost::asio::execution_context::fork_prepare:
        // Asio would register the number again, which stands for something else in the child.
        if (watcher_.is_open())
            watcher_.release();
        watching_ = false;
        watch_ended_ = false;
        engine_.prepare_fork();
        break;
    case boost::asio::execution_context::fork_parent:
        request_turn();
        break;
    case boost::asio::execution_context::fork_child:
        engine_.child_after_fork();
        request_turn();
        break;
    }
}

template class guest_engine<reactor_engine>;
template class guest_engine<uring_engine>;

} // namespace zsync::detail
