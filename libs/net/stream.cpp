// SPDX-License-Identifier: BSL-1.0
#include <zsync/net/stream.hpp>

#include <boost/asio/error.hpp>
#include <boost/asio/execution/context.hpp>
#include <boost/asio/query.hpp>
#include <boost/system/system_error.hpp>

#include <cerrno>

#include <sys/socket.h>
#include <unistd.h>

namespace zsync
{

void stream::open(int family)
{
    boost::system::error_code ec;
    open(family, ec);
    throw_if(ec, "open");
}

void stream::shutdown(shutdown_type what, boost::system::error_code& ec) noexcept
{
    ec.clear();
    if (is_open() && core()->writing() && what != shutdown_receive)
        try_sends(core()->io(), native_handle());
    if (::shutdown(native_handle(), what) < 0)
        ec.assign(errno, boost::system::system_category());
}

void stream::shutdown(shutdown_type what)
{
    boost::system::error_code ec;
    shutdown(what, ec);
    throw_if(ec, "shutdown");
}

boost::system::error_code stream::zero_copy_from(std::size_t bytes) noexcept
{
    if (!is_open())
        return boost::asio::error::bad_descriptor;
    if (core()->kind() != descriptor_kind::inet_socket || !core()->io().supports(opcode::send_message_zero_copy))
        return boost::asio::error::operation_not_supported;
    zero_copy_from_ = bytes;
    return {};
}

view_source detail::make_view_source(const boost::asio::any_io_executor& executor, const descriptor_ptr& core,
                                     const receive_options& options)
{
    buffer_pool_ptr pool;
    const int refused = !core || !core->is_open() ? EBADF : !core->io().supports(opcode::receive_many) ? EOPNOTSUPP : 0;
    if (!refused)
        pool = options.buffers ? options.buffers : core->io().buffers();
    source_core::pointer received(
        new source_core(core, std::move(pool),
                        {.code = opcode::receive_many, .limit = options.limit, .bundles = options.bundles}, refused));
    return {executor, std::move(received), {}};
}

void stream::take_over(int descriptor)
{
    boost::system::error_code ec;
    assign(descriptor, ec);
    if (!ec)
        return;
    ::close(descriptor);
    throw_if(ec, "stream");
}

void stream::check_family(int wanted) const
{
    if (family() != wanted)
        throw_if(boost::asio::error::operation_not_supported, "to_asio_socket");
}

std::pair<stream, stream> make_stream_pair(const stream::executor_type& executor)
{
    const io_place where = place_of(boost::asio::query(executor, boost::asio::execution::context));
    int flags = SOCK_STREAM | SOCK_CLOEXEC;
    if (where.io->kind() != engine_kind::blocking)
        flags |= SOCK_NONBLOCK;
    int ends[2];
    if (::socketpair(AF_UNIX, flags, 0, ends) < 0)
        throw boost::system::system_error(errno, boost::system::system_category(), "socketpair");
    boost::system::error_code ec;
    descriptor_ptr first = descriptor_core::make(where, ends[0], descriptor_origin::opened, ec);
    descriptor_ptr second = ec ? nullptr : descriptor_core::make(where, ends[1], descriptor_origin::opened, ec);
    if (!first)
        ::close(ends[0]);
    if (!second)
        ::close(ends[1]);
    if (ec)
        throw boost::system::system_error(ec, "socketpair");
    return {stream(executor, std::move(first)), stream(executor, std::move(second))};
}

} // namespace zsync
