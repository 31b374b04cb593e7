// SPDX-License-Identifier: BSL-1.0
#include <zsync/engine/make_engine.hpp>

#include <zsync/blocking/blocking_engine.hpp>
#include <zsync/platform/ring_probe.hpp>
#include <zsync/reactor/reactor_engine.hpp>
#include <zsync/uring/uring_engine.hpp>

#include <boost/system/system_error.hpp>

namespace zsync
{

made_engine make_engine(const engine_request& request)
{
    if (request.kind == engine_kind::blocking)
        return {std::make_unique<blocking_engine>(), "it was asked for"};

    std::string why = "it was asked for";
    if (request.kind != engine_kind::reactor)
    {
        try
        {
            auto ring =
                std::make_unique<uring_engine>(uring_engine_options{.entries = request.ring_entries,
                                                                    .one_runner = true,
                                                                    .one_owner = true,
                                                                    .spin_for = request.spin_for,
                                                                    .buffers = request.receive_buffers,
                                                                    .direct_descriptors = request.direct_descriptors});
            return {std::move(ring), request.kind ? why : "a ring could be set up"};
        }
        catch (const boost::system::system_error& failure)
        {
            if (request.kind)
                throw;
            why = explain_ring_error(failure.code());
        }
    }
    return {std::make_unique<reactor_engine>(), std::move(why)};
}

} // namespace zsync
