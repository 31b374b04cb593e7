// SPDX-License-Identifier: BSL-1.0
#pragma once

// Stock stream sockets, acceptors and timers, whatever their executor type, are native on a context that has a ring and
// stay what they are on every other: the context decides when the program runs.

#include <zsync/uring/detail/asio_sockets.hpp>
#include <zsync/uring/detail/asio_timers.hpp>
#include <zsync/uring/detail/drop_in_check.hpp>
#include <zsync/uring/detail/drop_in_marker.hpp>

namespace zsync::detail
{

[[maybe_unused]] static const bool drop_in_noted = (note_drop_in(), true);

} // namespace zsync::detail

template <zsync::detail::stream_protocol Protocol, class Executor>
class boost::asio::detail::io_object_impl<boost::asio::detail::reactive_socket_service<Protocol>, Executor>
    : public zsync::detail::stream_object<Protocol, Executor>
{
public:
    using zsync::detail::stream_object<Protocol, Executor>::stream_object;
};

template <zsync::detail::native_timer_traits Traits, class Executor>
class boost::asio::detail::io_object_impl<boost::asio::detail::deadline_timer_service<Traits>, Executor>
    : public zsync::detail::timer_object<Traits, Executor>
{
public:
    using zsync::detail::timer_object<Traits, Executor>::timer_object;
};
