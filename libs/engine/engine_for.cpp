// SPDX-License-Identifier: BSL-1.0
#include <zsync/engine/engine_for.hpp>

#include "guest_reactor.hpp"

#include <zsync/uring/detail/uring_service.hpp>

namespace zsync
{

engine& engine_for(boost::asio::execution_context& context)
{
    return *place_of(context).io;
}

io_place place_of(boost::asio::execution_context& context)
{
    if (loop* const owner = loop::of(context))
        return {&context, &owner->io(), owner};
    if (detail::uring_service* const ring = detail::uring_service::find(context))
    {
        // Asio's scheduler takes no turns before a first I/O object has asked it to.
        boost::asio::use_service<detail::scheduler>(context).init_task();
        return {&context, &ring->engine(), nullptr};
    }
    return {&context, &boost::asio::use_service<detail::guest_reactor>(context), nullptr};
}

void try_sends(engine& io, int descriptor) noexcept
{
    if (auto* const ring = dynamic_cast<uring_engine*>(&io))
        ring->try_sends(descriptor);
    else if (auto* const reactor = dynamic_cast<reactor_engine*>(&io))
        reactor->try_sends(descriptor);
    else if (auto* const guest = dynamic_cast<detail::guest_reactor*>(&io))
        guest->try_sends(descriptor);
}

} // namespace zsync
