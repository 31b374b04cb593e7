// SPDX-License-Identifier: BSL-1.0
#include <zsync/fiber/cancellation_scope.hpp>

#include <zsync/core/agent.hpp>

#include <boost/system/errc.hpp>
#include <boost/system/system_error.hpp>

#include <utility>

namespace zsync
{

cancellation_scope::cancellation_scope(cancellation_token token)
{
    agent& self = agent::current();
    if (!self.fiber_of())
        throw boost::system::system_error(make_error_code(boost::system::errc::operation_not_supported),
                                          "cancellation_scope: on a thread");
    if (!token.can_be_cancelled())
        return;
    request_ = std::allocate_shared<detail::slot_request>(detail::recycling_allocator<detail::slot_request>(),
                                                          *self.fiber_of());
    request_->attach(self);
    callback_.emplace(std::move(token), forward{request_});
}

cancellation_scope::~cancellation_scope()
{
    callback_.reset();
    if (request_)
        request_->end();
}

} // namespace zsync
