// SPDX-License-Identifier: BSL-1.0
#include <zsync/engine/handle.hpp>

#include <boost/asio/execution/context.hpp>
#include <boost/asio/query.hpp>

#include <unistd.h>

namespace zsync
{

void handle::assign(native_handle_type descriptor, boost::system::error_code& ec)
{
    adopt(descriptor, descriptor_origin::given, ec);
}

void handle::assign(native_handle_type descriptor)
{
    boost::system::error_code ec;
    assign(descriptor, ec);
    if (ec)
        throw boost::system::system_error(ec, "assign");
}

void handle::close()
{
    boost::system::error_code ec;
    close(ec);
    if (ec)
        throw boost::system::system_error(ec, "close");
}

handle& handle::operator=(handle&& other) noexcept
{
    if (this == &other)
        return *this;
    boost::system::error_code ignored;
    close(ignored);
    executor_ = other.executor_;
    core_ = std::move(other.core_);
    return *this;
}

handle::~handle()
{
    boost::system::error_code ignored;
    close(ignored);
}

void handle::adopt(const io_place& where, int descriptor, descriptor_origin origin,
                   boost::system::error_code& ec) noexcept
{
    descriptor_ptr core = descriptor_core::make(where, descriptor, origin, ec);
    if (ec)
        return;
    boost::system::error_code ignored;
    close(ignored);
    core_ = std::move(core);
}

void handle::adopt(int descriptor, descriptor_origin origin, boost::system::error_code& ec)
{
    const auto give_up = [&]
    {
        if (origin == descriptor_origin::opened)
            ::close(descriptor);
    };
    try
    {
        adopt(place(), descriptor, origin, ec);
    }
    catch (...)
    {
        give_up();
        throw;
    }
    if (ec)
        give_up();
}

io_place handle::place_of(const executor_type& executor)
{
    return zsync::place_of(boost::asio::query(executor, boost::asio::execution::context));
}

} // namespace zsync
