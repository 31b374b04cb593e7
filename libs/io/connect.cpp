// SPDX-License-Identifier: BSL-1.0
#include <zsync/io/connect.hpp>

#include <boost/asio/error.hpp>

namespace zsync::detail
{

next connect_steps::begin(operation& record, const settings&)
{
    boost::system::error_code ec;
    stream_.open(peer_.family(), ec);
    if (ec)
        return fail(ec);
    record.code = opcode::connect;
    record.descriptor = stream_.native_handle();
    record.address = peer_.data();
    record.length = static_cast<std::uint32_t>(peer_.size());
    return next::record;
}

next connect_steps::begin_again(operation& record, const settings& with, const endpoint& peer)
{
    peer_ = peer;
    fail(boost::system::error_code());
    return begin(record, with);
}

next connect_steps::proceed(operation& record, const settings&) noexcept
{
    connected_ = record.result >= 0;
    return connected_ ? next::finished : fail(-record.result);
}

// A socket that is not connected is nothing to be given away.
stream connect_steps::value()
{
    if (!connected_)
        return stream(stream_.get_executor());
    return std::move(stream_);
}

next connect_by_name_steps::begin(operation& record, const settings& with)
{
    if (auto known = lookup::numeric(host_, service_))
    {
        addresses_ = std::move(*known);
        return try_next(record, with);
    }
    lookup_ = new lookup(host_, service_);
    return next::call;
}

next connect_by_name_steps::proceed(operation& record, const settings& with)
{
    if (lookup_)
    {
        if (lookup_->error())
            return fail(lookup_->error());
        addresses_ = lookup_->take();
        lookup_ = nullptr;
        return try_next(record, with);
    }
    connect_.proceed(record, with);
    return connect_.error() ? try_next(record, with) : next::finished;
}

// The last one's error is the operation's.
next connect_by_name_steps::try_next(operation& record, const settings& with)
{
    while (tried_ < addresses_.size())
        if (connect_.begin_again(record, with, addresses_[tried_++]) == next::record)
            return next::record;
    return fail(connect_.error() ? connect_.error() : boost::asio::error::host_not_found);
}

} // namespace zsync::detail
