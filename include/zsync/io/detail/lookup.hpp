// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/io/detail/helper_call.hpp>
#include <zsync/net/endpoint.hpp>

#include <boost/system/error_code.hpp>

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace zsync::detail
{

/// getaddrinfo(3) for a stream socket.
class lookup final : public helper_call
{
public:
    lookup(std::string host, std::string service) : host_(std::move(host)), service_(std::move(service)) {}

    void make() noexcept override;

    /// Answers at once if the host is an address and the service a number: then nothing is looked up. Never blocks.
    static std::optional<std::vector<endpoint>> numeric(const std::string& host, const std::string& service);

    const boost::system::error_code& error() const noexcept { return error_; }
    std::vector<endpoint> take() noexcept { return std::move(addresses_); }

private:
    std::string host_;
    std::string service_;
    boost::system::error_code error_;
    std::vector<endpoint> addresses_;
};

} // namespace zsync::detail
