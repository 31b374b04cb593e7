// SPDX-License-Identifier: BSL-1.0
#include <zsync/engine/attach.hpp>

#include "guest_engine.hpp"

#include <zsync/core/loop.hpp>
#include <zsync/engine/engine_for.hpp>
#include <zsync/platform/ring_probe.hpp>
#include <zsync/reactor/reactor_engine.hpp>
#include <zsync/uring/detail/uring_service.hpp>
#include <zsync/uring/uring_engine.hpp>

#include <boost/system/system_error.hpp>

#include <memory>

namespace zsync
{

attach_result attach(boost::asio::io_context& context, const attach_options& options)
{
    const int hint = detail::concurrency_hint(boost::asio::use_service<detail::scheduler>(context));
    const auto ring = detail::uring_service::install(
        context,
        {.concurrency_hint = hint, .ring_entries = options.ring_entries, .require_ring = options.require_ring});
    return {ring.service ? engine_kind::uring : engine_kind::reactor, ring.error, ring.why};
}

attach_result attach(boost::asio::execution_context& context, const attach_options& options)
{
    using ring = detail::guest_engine<uring_engine>;
    const loop* const owner = loop::of(context);
    if (owner || detail::uring_service::find(context) || boost::asio::has_service<ring>(context) ||
        boost::asio::has_service<detail::guest_engine<reactor_engine>>(context))
        return {engine_for(context).kind(), {}, "the context had it already"};
    try
    {
        auto made = std::make_unique<ring>(
            context, uring_engine_options{.entries = options.ring_entries, .several_runners = true});
        boost::asio::add_service(context, made.get());
        made.release();
        return {engine_kind::uring, {}, "a ring could be set up"};
    }
    catch (const boost::system::system_error& failure)
    {
        if (options.require_ring)
            throw;
        return {engine_kind::reactor, failure.code(), explain_ring_error(failure.code())};
    }
}

} // namespace zsync
