// SPDX-License-Identifier: BSL-1.0
#include <zsync/io/io.hpp>

#include <zsync/blocking/blocking_context.hpp>
#include <zsync/fiber/fiber_context.hpp>

#include <algorithm>
#include <cerrno>
#include <utility>

#include <unistd.h>

namespace zsync
{

namespace
{

loop& loop_of(boost::asio::execution_context& context)
{
    return *loop::of(context);
}

} // namespace

io::io(blocking_context& context) : settings_{&loop_of(context), model::blocking} {}

io::io(fiber_context& context) : settings_{&loop_of(context), model::green} {}

bool io::supports_zero_copy() noexcept
{
    return ::copy_file_range(-1, nullptr, -1, nullptr, 0, 0) >= 0 || errno == EBADF;
}

io io::with_deadline(clock::time_point deadline) const
{
    io copy(*this);
    copy.settings_.deadline = std::min(settings_.deadline, deadline);
    return copy;
}

io io::with_cancellation(cancellation_token token) const
{
    io copy(*this);
    copy.settings_.cancellation = std::move(token);
    return copy;
}

acceptor io::listen(const endpoint& local, int backlog) const
{
    return acceptor(get_executor(), local, backlog);
}

acceptor io::listen(const endpoint& local, boost::system::error_code& ec) const
{
    acceptor made(get_executor());
    made.listen_on(local, acceptor::max_listen_connections, ec);
    return made;
}

} // namespace zsync
