// SPDX-License-Identifier: BSL-1.0
#include <zsync/net/direct_stream.hpp>

#include <boost/asio/error.hpp>

#include <cerrno>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace zsync::detail
{

bool shutdown_request::describe(operation& record) const noexcept
{
    if (is_direct(record.descriptor))
    {
        record.code = opcode::shutdown;
        record.flags = static_cast<std::uint32_t>(how_);
        return true;
    }
    if (core_->writing() && how_ != SHUT_RD)
        try_sends(core_->io(), record.descriptor);
    record.result = ::shutdown(record.descriptor, how_) < 0 ? -errno : 0;
    return false;
}

bool to_stream_request::describe(operation& record) const noexcept
{
    if (is_direct(record.descriptor))
    {
        record.code = opcode::install;
        return true;
    }
    const int copy = ::fcntl(record.descriptor, F_DUPFD_CLOEXEC, 0);
    record.result = copy < 0 ? -errno : copy;
    return false;
}

std::tuple<boost::system::error_code, stream> to_stream_request::outcome(const operation& record) const noexcept
{
    if (record.result < 0)
        return {record_error(record), stream(executor_)};
    boost::system::error_code ec;
    descriptor_ptr copy = descriptor_core::make(core_->where(), record.result, descriptor_origin::opened, ec);
    if (ec)
        ::close(record.result);
    else if (!copy->is_socket()) // what stands there when the ring was replaced
        ec = boost::asio::error::connection_aborted;
    return {ec, stream(executor_, ec ? nullptr : std::move(copy))};
}

} // namespace zsync::detail
