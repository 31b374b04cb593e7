// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/io/detail/lookup.hpp>
#include <zsync/io/detail/steps.hpp>
#include <zsync/net/stream.hpp>

#include <boost/smart_ptr/intrusive_ptr.hpp>

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace zsync::detail
{

/// Connects a new stream to an endpoint.
class connect_steps : public steps_base
{
public:
    using value_type = stream;
    static constexpr bool records_only = true;

    connect_steps(const stream::executor_type& executor, const endpoint& peer) : peer_(peer), stream_(executor) {}

    next begin(operation& record, const settings&);
    next proceed(operation& record, const settings&) noexcept;
    stream value();

    /// Tries another peer, after a failure.
    next begin_again(operation& record, const settings& with, const endpoint& peer);

private:
    endpoint peer_;
    stream stream_; // open while it connects, and when it has
    bool connected_ = false;
};

/// Looks a name up, and connects to the first of its addresses that lets it.
class connect_by_name_steps : public steps_base
{
public:
    using value_type = stream;
    static constexpr bool records_only = false;

    connect_by_name_steps(const stream::executor_type& executor, std::string host, std::string service)
        : host_(std::move(host)), service_(std::move(service)), connect_(executor, endpoint())
    {
    }

    next begin(operation& record, const settings& with);
    next proceed(operation& record, const settings& with);
    helper_call& call() const noexcept { return *lookup_; }
    stream value() { return connect_.value(); }

private:
    next try_next(operation& record, const settings& with);

    std::string host_;
    std::string service_;
    boost::intrusive_ptr<lookup> lookup_; // null: answered
    std::vector<endpoint> addresses_;
    std::size_t tried_ = 0;
    connect_steps connect_;
};

} // namespace zsync::detail
