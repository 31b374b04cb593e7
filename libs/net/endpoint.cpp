// SPDX-License-Identifier: BSL-1.0
#include <zsync/net/endpoint.hpp>

#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>

#include <algorithm>
#include <cerrno>
#include <ostream>

#include <netinet/in.h>
#include <sys/un.h>

namespace zsync
{

namespace
{

[[noreturn]] void throw_errno(int error, const char* what)
{
    throw boost::system::system_error(error, boost::system::system_category(), what);
}

template <class T>
T read_as(const sockaddr_storage& storage) noexcept
{
    T result;
    std::memcpy(&result, &storage, sizeof result);
    return result;
}

constexpr std::size_t path_offset = offsetof(sockaddr_un, sun_path);

} // namespace

endpoint::endpoint(std::string_view address, std::uint16_t port)
    : endpoint(
          [&]
          {
              boost::system::error_code ec;
              const auto parsed = boost::asio::ip::make_address(std::string(address), ec);
              if (ec)
                  throw_errno(EINVAL, "endpoint");
              return parsed;
          }(),
          port)
{
}

endpoint::endpoint(const boost::asio::ip::address& address, std::uint16_t port) noexcept : endpoint()
{
    if (address.is_v4())
    {
        sockaddr_in in{};
        in.sin_family = AF_INET;
        in.sin_port = htons(port);
        in.sin_addr.s_addr = htonl(address.to_v4().to_uint());
        std::memcpy(&storage_, &in, size_ = sizeof in);
    }
    else
    {
        sockaddr_in6 in{};
        in.sin6_family = AF_INET6;
        in.sin6_port = htons(port);
        const auto bytes = address.to_v6().to_bytes();
        std::memcpy(&in.sin6_addr, bytes.data(), bytes.size());
        in.sin6_scope_id = static_cast<std::uint32_t>(address.to_v6().scope_id());
        std::memcpy(&storage_, &in, size_ = sizeof in);
    }
}

endpoint::endpoint(const sockaddr* address, std::size_t bytes) : endpoint()
{
    resize(bytes);
    std::memcpy(&storage_, address, bytes);
}

endpoint endpoint::local(std::string_view path)
{
    sockaddr_un name{};
    // As Asio has it: a path ends with a NUL byte that counts, an abstract name does not.
    if (path.size() >= sizeof name.sun_path)
        throw_errno(ENAMETOOLONG, "endpoint");
    name.sun_family = AF_UNIX;
    std::copy(path.begin(), path.end(), name.sun_path);
    const bool ends = !path.empty() && path.front() != '\0';
    return endpoint(reinterpret_cast<const sockaddr*>(&name), path_offset + path.size() + ends);
}

std::uint16_t endpoint::port() const noexcept
{
    if (family() == AF_INET)
        return ntohs(read_as<sockaddr_in>(storage_).sin_port);
    return family() == AF_INET6 ? ntohs(read_as<sockaddr_in6>(storage_).sin6_port) : std::uint16_t{0};
}

boost::asio::ip::address endpoint::ip() const noexcept
{
    using namespace boost::asio::ip;
    if (family() == AF_INET)
        return address_v4(ntohl(read_as<sockaddr_in>(storage_).sin_addr.s_addr));
    if (family() != AF_INET6)
        return {};
    const auto in = read_as<sockaddr_in6>(storage_);
    address_v6::bytes_type bytes;
    std::memcpy(bytes.data(), &in.sin6_addr, bytes.size());
    return address_v6(bytes, in.sin6_scope_id);
}

std::string_view endpoint::path() const noexcept
{
    if (family() != AF_UNIX || size_ <= path_offset)
        return {};
    const char* const begin = reinterpret_cast<const char*>(&storage_) + path_offset;
    const std::string_view all(begin, size_ - path_offset);
    return begin[0] == '\0' ? all : all.substr(0, all.find('\0'));
}

std::string endpoint::address() const
{
    if (is_ip())
        return ip().to_string();
    std::string text(path());
    if (!text.empty() && text.front() == '\0')
        text.front() = '@';
    return text;
}

std::string endpoint::to_string() const
{
    if (!is_ip())
        return address();
    const std::string text = family() == AF_INET ? address() : '[' + address() + ']';
    return text + ':' + std::to_string(port());
}

void endpoint::throw_invalid()
{
    throw_errno(EINVAL, "endpoint");
}

void endpoint::resize(std::size_t bytes)
{
    if (bytes > capacity())
        throw_invalid();
    size_ = static_cast<socklen_t>(bytes);
}

bool operator==(const endpoint& a, const endpoint& b) noexcept
{
    if (a.family() != b.family())
        return false;
    if (a.is_ip())
        return a.port() == b.port() && a.ip() == b.ip();
    if (a.family() == AF_UNIX)
        return a.path() == b.path();
    return a.size_ == b.size_ && std::memcmp(&a.storage_, &b.storage_, a.size_) == 0;
}

std::ostream& operator<<(std::ostream& out, const endpoint& value)
{
    return out << value.to_string();
}

} // namespace zsync
