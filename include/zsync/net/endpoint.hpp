// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/ip/address.hpp>
#include <boost/asio/local/stream_protocol.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iosfwd>
#include <stdexcept>
#include <string>
#include <string_view>

#include <sys/socket.h>

namespace zsync
{

/// What Asio takes for an endpoint: ip::tcp's, ip::udp's, local's and generic's.
template <class T>
concept asio_endpoint = requires(const T& value)
{
    typename T::protocol_type;
    {
        value.data()
        } -> std::convertible_to<const sockaddr*>;
    {
        value.size()
        } -> std::convertible_to<std::size_t>;
};

/// The address of a socket of any family: a value. No function blocks.
class endpoint
{
public:
    /// No address: family() is AF_UNSPEC.
    endpoint() noexcept : storage_{} {}

    /// An IP address in text, "127.0.0.1" or "::1", and a port in host order; no name is looked up.
    /// @throws boost::system::system_error invalid_argument if it is not an address.
    endpoint(std::string_view address, std::uint16_t port);
    endpoint(const boost::asio::ip::address& address, std::uint16_t port) noexcept;

    template <asio_endpoint Endpoint>
    endpoint(const Endpoint& other) noexcept(false) : endpoint(other.data(), other.size())
    {
    }

    /// The kernel's own form. @throws boost::system::system_error invalid_argument if it is too long.
    endpoint(const sockaddr* address, std::size_t bytes);

    /// A local socket's path; one that begins with a NUL byte is an abstract name.
    /// @throws boost::system::system_error errc::filename_too_long above 107 bytes.
    static endpoint local(std::string_view path);

    int family() const noexcept { return storage_.ss_family; }
    bool is_ip() const noexcept { return family() == AF_INET || family() == AF_INET6; }

    /// In host order; 0 if it is not an IP endpoint.
    std::uint16_t port() const noexcept;

    /// The IP address, without the port; the unspecified one if it is not an IP endpoint.
    boost::asio::ip::address ip() const noexcept;

    /// The path of a local socket, as it was given to local(); empty for an unnamed one or another family.
    std::string_view path() const noexcept;

    /// The address without the port, in text: "127.0.0.1", "::1", "/run/s", "@abstract".
    std::string address() const;

    /// "127.0.0.1:8080", "[::1]:8080", "/run/s", "@abstract"; empty if there is no address.
    std::string to_string() const;

    /// Converts to one of Asio's. @throws boost::system::system_error invalid_argument if it has no room for it.
    template <asio_endpoint Endpoint>
    Endpoint to_asio() const
    {
        Endpoint result;
        if (size() > result.capacity()) // resize() of Asio's IP endpoints allows more than they hold
            throw_invalid();
        result.resize(size());
        std::memcpy(result.data(), data(), size());
        if (size() > sizeof(sa_family_t))
            result.resize(size()); // local ones read their path's length from it
        return result;
    }

    sockaddr* data() noexcept { return reinterpret_cast<sockaddr*>(&storage_); }
    const sockaddr* data() const noexcept { return reinterpret_cast<const sockaddr*>(&storage_); }
    std::size_t size() const noexcept { return size_; }
    static constexpr std::size_t capacity() noexcept { return sizeof(sockaddr_storage); }

    /// Says how much of data() has been written. @throws boost::system::system_error invalid_argument above capacity().
    void resize(std::size_t bytes);

    /// The size where the kernel takes and leaves it.
    socklen_t* size_address() noexcept { return &size_; }

    friend bool operator==(const endpoint& a, const endpoint& b) noexcept;
    friend std::ostream& operator<<(std::ostream& out, const endpoint& value);

private:
    [[noreturn]] static void throw_invalid();

    sockaddr_storage storage_;
    socklen_t size_ = 0;
};

} // namespace zsync
