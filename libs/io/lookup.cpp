// SPDX-License-Identifier: BSL-1.0
#include <zsync/io/detail/lookup.hpp>

#include <boost/asio/error.hpp>

#include <cerrno>
#include <memory>
#include <new>

#include <netdb.h>
#include <sys/socket.h>

namespace zsync::detail
{

namespace
{

namespace asio_error = boost::asio::error;

// As Asio's resolver has it.
boost::system::error_code translate(int failure, int number) noexcept
{
    switch (failure)
    {
    case 0:
        return {};
    case EAI_AGAIN:
        return asio_error::host_not_found_try_again;
    case EAI_BADFLAGS:
        return asio_error::invalid_argument;
    case EAI_FAIL:
        return asio_error::no_recovery;
    case EAI_FAMILY:
        return asio_error::address_family_not_supported;
    case EAI_MEMORY:
        return asio_error::no_memory;
    case EAI_NODATA:
    case EAI_ADDRFAMILY:
    case EAI_NONAME:
        return asio_error::host_not_found;
    case EAI_SERVICE:
        return asio_error::service_not_found;
    case EAI_SOCKTYPE:
        return asio_error::socket_type_not_supported;
    default: // EAI_SYSTEM
        return {number, boost::system::system_category()};
    }
}

int ask(const std::string& host, const std::string& service, int flags, std::vector<endpoint>& addresses)
{
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = flags;
    addrinfo* found = nullptr;
    if (const int failure = ::getaddrinfo(host.c_str(), service.c_str(), &hints, &found))
        return failure;
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, &::freeaddrinfo);
    for (; found; found = found->ai_next)
        addresses.emplace_back(found->ai_addr, found->ai_addrlen);
    return 0;
}

} // namespace

void lookup::make() noexcept
try
{
    const int failure = ask(host_, service_, AI_ADDRCONFIG, addresses_);
    error_ = translate(failure, errno);
}
catch (const std::bad_alloc&)
{
    error_ = asio_error::no_memory;
}

std::optional<std::vector<endpoint>> lookup::numeric(const std::string& host, const std::string& service)
{
    std::vector<endpoint> addresses;
    if (ask(host, service, AI_NUMERICHOST | AI_NUMERICSERV, addresses) != 0)
        return std::nullopt;
    return addresses;
}

} // namespace zsync::detail
