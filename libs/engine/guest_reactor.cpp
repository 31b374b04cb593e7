// SPDX-License-Identifier: BSL-1.0
#include "guest_reactor.hpp"

#include <boost/asio/error.hpp>

#include <cerrno>

namespace zsync::detail
{

guest_reactor::guest_reactor(boost::asio::execution_context& context)
    : service_base<guest_reactor>(context),
      scheduler_(boost::asio::use_service<scheduler>(context)),
      watcher_(here{&context}),
      turn_(*this)
{
}

void guest_reactor::start(operation& op, operation_id* named)
{
    if (reactor_.stopped())
    {
        // What handlers' destructors start while the context is destroyed: the handler is posted, and destroyed.
        op.result = -ECANCELED;
        op.on_complete(op, nullptr);
        return;
    }
    reactor_.start(op, named);
    request_turn();
}

void guest_reactor::cancel(operation_id which) noexcept
{
    reactor_.cancel(which);
    request_turn();
}

void guest_reactor::cancel_descriptor(int descriptor) noexcept
{
    reactor_.cancel_descriptor(descriptor);
    request_turn();
}

boost::system::error_code guest_reactor::attach_descriptor(int descriptor) noexcept
{
    return reactor_.attach_descriptor(descriptor);
}

void guest_reactor::detach_descriptor(int descriptor) noexcept
{
    reactor_.detach_descriptor(descriptor);
    request_turn();
}

void guest_reactor::try_sends(int descriptor) noexcept
{
    reactor_.try_sends(descriptor);
    request_turn();
}

void guest_reactor::request_turn() noexcept
{
    if (!reactor_.stopped() && requests_.fetch_add(1) == 0)
        scheduler_.post_immediate_completion(&turn_, false);
}

void guest_reactor::turn_operation::run(void* owning, scheduler_operation* base, const boost::system::error_code&,
                                        std::size_t)
{
    if (owning)
        static_cast<turn_operation*>(base)->owner.take_turns();
}

void guest_reactor::take_turns()
{
    // Bounded, so that busy descriptors leave room for handlers.
    constexpr int most_turns = 8;

    unsigned seen = requests_.load();
    if (watch_ended_.exchange(false))
        watching_ = false;
    int turns = 1;
    try
    {
        while (reactor_.turn(std::chrono::microseconds(0), nullptr) != 0 && turns < most_turns)
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

void guest_reactor::watch()
{
    if (!watcher_.is_open())
        watcher_.assign(reactor_.descriptor());
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

void guest_reactor::shutdown() noexcept
{
    if (watcher_.is_open())
        watcher_.release();
    reactor_.shutdown(nullptr);
}

void guest_reactor::notify_fork(boost::asio::execution_context::fork_event event)
{
    switch (event)
    {
    case boost::asio::execution_context::fork_prepare:
        // Asio would register the number again, which stands for something else in the child.
        if (watcher_.is_open())
            watcher_.release();
        watching_ = false;
        watch_ended_ = false;
        reactor_.prepare_fork();
        break;
    case boost::asio::execution_context::fork_parent:
        request_turn();
        break;
    case boost::asio::execution_context::fork_child:
        reactor_.child_after_fork();
        request_turn();
        break;
    }
}

} // namespace zsync::detail
