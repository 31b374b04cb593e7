// SPDX-License-Identifier: BSL-1.0
#include <zsync/fiber/this_fiber.hpp>

#include <zsync/fiber/detail/fiber_loop.hpp>

#include <boost/system/system_error.hpp>

namespace zsync::this_fiber
{

bool is_fiber() noexcept
{
    return agent::current().fiber_of() != nullptr;
}

void yield()
{
    agent& running = agent::current();
    if (!running.fiber_of())
        return;
    auto& self = static_cast<detail::fiber&>(running);
    if (self.must_return_first()) [[unlikely]]
        throw boost::system::system_error(self.may_wait(), "yield");
    self.owner().yield();
    self.cancellation().throw_if_unwinding();
}

} // namespace zsync::this_fiber
