// SPDX-License-Identifier: BSL-1.0
#pragma once

// Sockets, acceptors, descriptors, pipes and timers whose executor is of our type are native. Nobody can name that type
// without a header that includes this one, so that no translation unit can see them otherwise.

#include <zsync/uring/detail/asio_descriptors.hpp>
#include <zsync/uring/detail/asio_sockets.hpp>
#include <zsync/uring/detail/asio_timers.hpp>
#include <zsync/uring/native_executor.hpp>

template <class Protocol>
class boost::asio::detail::io_object_impl<boost::asio::detail::reactive_socket_service<Protocol>,
                                          zsync::native_executor_type>
    : public zsync::detail::native_object<zsync::detail::socket_service<Protocol>, zsync::native_executor_type>
{
public:
    using zsync::detail::native_object<zsync::detail::socket_service<Protocol>,
                                       zsync::native_executor_type>::native_object;
};

template <>
class boost::asio::detail::io_object_impl<boost::asio::detail::reactive_descriptor_service, zsync::native_executor_type>
    : public zsync::detail::native_object<zsync::detail::descriptor_service, zsync::native_executor_type>
{
public:
    using zsync::detail::native_object<zsync::detail::descriptor_service, zsync::native_executor_type>::native_object;
};

template <zsync::detail::native_timer_traits Traits>
class boost::asio::detail::io_object_impl<boost::asio::detail::deadline_timer_service<Traits>,
                                          zsync::native_executor_type>
    : public zsync::detail::timer_object<Traits, zsync::native_executor_type>
{
public:
    using zsync::detail::timer_object<Traits, zsync::native_executor_type>::timer_object;
};
