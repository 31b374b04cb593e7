// SPDX-License-Identifier: BSL-1.0
#include <zsync/fiber/dump_fibers.hpp>

#include "inspect.hpp"

#include <zsync/fiber/detail/fiber_loop.hpp>
#include <zsync/fiber/fiber_context.hpp>

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>

#include <exception>

namespace zsync
{

namespace
{

using boost::system::system_error;

/// Has a loop that another thread runs look at itself.
struct request : work_item
{
    request(detail::fiber_loop& of, agent& self) noexcept
        : loop(of), caller(self, {.what = "a dump of another context's fibers"})
    {
        run = [](work_item& item, bool invoke)
        {
            auto& asked = static_cast<request&>(item);
            if (invoke)
                asked.look();
            asked.caller.notify();
        };
    }

    void look() noexcept
    {
        try
        {
            seen = detail::loop_inspector(loop).take(nullptr);
            done = true;
        }
        catch (...)
        {
            failure = std::current_exception();
        }
    }

    detail::fiber_loop& loop;
    waiter caller;
    detail::loop_snapshot seen;
    std::exception_ptr failure;
    bool done = false; // false: the context is being destroyed
};

} // namespace

[[gnu::noinline]] void dump_fibers(fiber_context& context, std::ostream& out)
{
    detail::fiber_loop& loop = context.loop();
    if (loop.running_here() || !loop.occupied())
        return print(detail::loop_inspector(loop).take(__builtin_frame_address(0)), out);

    agent& self = agent::current();
    if (const auto refusal = self.may_wait())
        throw system_error(refusal, "dump_fibers");
    request asked(loop, self);
    loop.post(asked);
    asked.caller.wait();
    if (asked.failure)
        std::rethrow_exception(asked.failure);
    if (!asked.done)
        throw system_error(boost::asio::error::operation_aborted, "dump_fibers");
    print(asked.seen, out);
}

} // namespace zsync
