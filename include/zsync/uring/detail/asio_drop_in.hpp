// SPDX-License-Identifier: BSL-1.0
#pragma once

// Stock sockets, acceptors, descriptors, pipes and timers, whatever their executor type, are native on a context that
// has a ring and stay what they are on every other: the context decides when the program runs.

#include <zsync/uring/detail/asio_descriptors.hpp>
#include <zsync/uring/detail/asio_sockets.hpp>
#include <zsync/uring/detail/asio_timers.hpp>
#include <zsync/uring/detail/drop_in_check.hpp>
#include <zsync/uring/detail/drop_in_marker.hpp>

namespace zsync::detail
{

[[maybe_unused]] static const bool drop_in_noted = (note_drop_in(), true);

} // namespace zsync::detail

template <class Protocol, class Executor>
class boost::asio::detail::io_object_impl<boost::asio::detail::reactive_socket_service<Protocol>, Executor>
    : public zsync::detail::native_object<zsync::detail::socket_service<Protocol>, Executor>
{
public:
    using zsync::detail::native_object<zsync::detail::socket_service<Protocol>, Executor>::native_object;
};

template <class Executor>
class boost::asio::detail::io_object_impl<boost::asio::detail::reactive_descriptor_service, Executor>
    : public zsync::detail::native_object<zsync::detail::descriptor_service, Executor>
{
public:
    using zsync::detail::native_object<zsync::detail::descriptor_service, Executor>::native_object;
};

template <zsync::detail::native_timer_traits Traits, class Executor>
class boost::asio::detail::io_object_impl<boost::asio::detail::deadline_timer_service<Traits>, Executor>
    : public zsync::detail::timer_object<Traits, Executor>
{
public:
    using zsync::detail::timer_object<Traits, Executor>::timer_object;
};
