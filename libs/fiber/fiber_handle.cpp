// SPDX-License-Identifier: BSL-1.0
#include <zsync/fiber/fiber.hpp>

#include <boost/assert.hpp>
#include <boost/system/system_error.hpp>

#include <exception>

namespace zsync
{

void fiber::join()
{
    BOOST_ASSERT(joinable());
    task_->join();
    const std::exception_ptr failure = task_->outcome.failure();
    std::exchange(task_, nullptr)->release();
    zsync::detail::settle_request(failure);
    if (failure)
        std::rethrow_exception(failure);
}

void fiber::join(boost::system::error_code& ec)
try
{
    ec = {};
    join();
}
catch (const boost::system::system_error& error)
{
    ec = error.code();
}

void fiber::detach() noexcept
{
    if (task_)
        std::exchange(task_, nullptr)->release();
}

void fiber::abandon() noexcept
{
    if (!task_)
        return;
    if (!task_->is_done())
        zsync::detail::cancel_and_join(*task_);
    std::exchange(task_, nullptr)->release();
}

} // namespace zsync
