// SPDX-License-Identifier: BSL-1.0
#include <zsync/net/acceptor.hpp>

#include <boost/system/system_error.hpp>

#include <cerrno>

#include <sys/socket.h>
#include <unistd.h>

namespace zsync
{

bool detail::accept_request::describe(operation& record) const noexcept
{
    record.code = opcode::accept;
    record.flags = static_cast<std::uint32_t>(blocking_ ? SOCK_CLOEXEC : SOCK_CLOEXEC | SOCK_NONBLOCK);
    return true;
}

std::tuple<boost::system::error_code, stream> detail::accept_request::outcome(const operation& record) const noexcept
{
    if (record.result < 0)
        return {record_error(record), stream(executor_)};
    boost::system::error_code ec;
    descriptor_ptr core = descriptor_core::make(where_, record.result, descriptor_origin::opened, ec);
    if (ec)
        ::close(record.result);
    return {ec, stream(executor_, std::move(core))};
}

bool detail::accept_direct_request::describe(operation& record) noexcept
{
    place_ = by_ == &listener_->io() ? by_->take_place() : -1;
    record.code = place_ < 0 ? opcode::accept : opcode::accept_direct;
    if (place_ >= 0)
        record.offset = static_cast<std::uint64_t>(place_);
    record.flags =
        static_cast<std::uint32_t>(by_->kind() == engine_kind::blocking ? SOCK_CLOEXEC : SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (peer_)
    {
        *peer_->size_address() = static_cast<socklen_t>(endpoint::capacity());
        record.address = peer_->data();
        record.address_length = peer_->size_address();
    }
    return true;
}

std::tuple<boost::system::error_code, direct_stream>
detail::accept_direct_request::outcome(const operation& record) const noexcept
{
    if (record.result < 0)
    {
        if (place_ >= 0)
            listener_->io().give_back_place(place_);
        return {record_error(record), direct_stream(executor_)};
    }
    boost::system::error_code ec;
    descriptor_ptr core;
    if (place_ < 0)
    {
        core = descriptor_core::make(listener_->where(), record.result, descriptor_origin::opened, ec);
        if (ec)
            ::close(record.result);
    }
    else
    {
        core = descriptor_core::make_direct(listener_->where(), static_cast<std::uint32_t>(place_), listener_->kind());
        if (!core)
            ec = boost::asio::error::no_memory;
    }
    return {ec, direct_stream(executor_, std::move(core))};
}

std::tuple<boost::system::error_code, stream>
detail::connection_maker::operator()(const source_core&, const source_item& item) const noexcept
{
    if (item.result < 0)
        return {item_error(item), stream(executor)};
    boost::system::error_code ec;
    descriptor_ptr core = descriptor_core::make(where, item.result, descriptor_origin::opened, ec);
    if (ec)
        ::close(item.result);
    return {ec, stream(executor, std::move(core))};
}

connection_source acceptor::accept_many(std::uint32_t limit)
{
    const int refused = !is_open() ? EBADF : supports_accept_many() ? 0 : EOPNOTSUPP;
    detail::source_core::pointer accepted(new detail::source_core(
        core(), nullptr, {.code = opcode::accept_many, .flags = SOCK_CLOEXEC | SOCK_NONBLOCK, .limit = limit},
        refused));
    return {get_executor(), std::move(accepted), {get_executor(), is_open() ? core()->where() : io_place()}};
}

void acceptor::open(int family)
{
    boost::system::error_code ec;
    open(family, ec);
    throw_if(ec, "open");
}

void acceptor::listen(int backlog, boost::system::error_code& ec) noexcept
{
    ec.clear();
    if (::listen(native_handle(), backlog) < 0)
        ec.assign(errno, boost::system::system_category());
}

void acceptor::listen(int backlog)
{
    boost::system::error_code ec;
    listen(backlog, ec);
    throw_if(ec, "listen");
}

void acceptor::listen_on(const endpoint& local, int backlog, boost::system::error_code& ec)
{
    acceptor fresh(get_executor());
    fresh.open(local.family(), ec);
    if (!ec && local.is_ip())
        fresh.set_option(reuse_address(true), ec);
    if (!ec)
        fresh.bind(local, ec);
    if (!ec)
        fresh.listen(backlog, ec);
    if (!ec)
        *this = std::move(fresh);
}

void acceptor::listen_on(const endpoint& local, int backlog)
{
    boost::system::error_code ec;
    listen_on(local, backlog, ec);
    throw_if(ec, "listen");
}

void acceptor::take_over(int descriptor)
{
    boost::system::error_code ec;
    assign(descriptor, ec);
    if (!ec)
        return;
    ::close(descriptor);
    throw_if(ec, "acceptor");
}

} // namespace zsync
