// SPDX-License-Identifier: BSL-1.0
#include <zsync/engine/engine_for.hpp>

#include "guest_engine.hpp"

#include <zsync/reactor/reactor_engine.hpp>
#include <zsync/uring/detail/uring_service.hpp>
#include <zsync/uring/uring_engine.hpp>

namespace zsync
{

namespace
{

using guest_ring = detail::guest_engine<uring_engine>; // which attach() has made
using guest_reactor = detail::guest_engine<reactor_engine>;

} // namespace

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
    if (boost::asio::has_service<guest_ring>(context))
        return {&context, &boost::asio::use_service<guest_ring>(context), nullptr};
    return {&context, &boost::asio::use_service<guest_reactor>(context), nullptr};
}

buffer_pool_ptr make_buffers(boost::asio::execution_context& context, const buffer_options& options)
{
    return engine_for(context).make_buffers(options);
}

void try_sends(engine& io, int descriptor) noexcept
{
    if (auto* const ring = dynamic_cast<uring_engine*>(&io))
        ring->try_sends(descriptor);
    else if (auto* const reactor = dynamic_cast<reactor_engine*>(&io))
        reactor->try_sends(descriptor);
    else if (auto* const guest = dynamic_cast<guest_reactor*>(&io))
        guest->try_sends(descriptor);
    else if (auto* const guest_of_ring = dynamic_cast<guest_ring*>(&io))
        guest_of_ring->try_sends(descriptor);
}

} // namespace zsync
