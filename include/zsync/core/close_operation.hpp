// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/descriptor.hpp>
#include <zsync/core/operation_work.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/system/error_code.hpp>

#include <memory>
#include <tuple>
#include <utility>

namespace zsync::detail
{

/// Closes a descriptor, and completes when nothing is in flight on it. See descriptor_core::close().
template <class Handler>
class close_operation final : descriptor_core::idle_waiter
{
public:
    static void start(Handler&& handler, const boost::asio::any_io_executor& io_executor, descriptor_ptr core)
    {
        auto memory = memory_of<Handler, close_operation>(handler);
        using traits = std::allocator_traits<decltype(memory)>;
        close_operation* const self = traits::allocate(memory, 1);
        try
        {
            new (self) close_operation(std::move(handler), io_executor);
        }
        catch (...)
        {
            traits::deallocate(memory, self, 1);
            throw;
        }
        if (!core)
            return self->complete();
        self->error_ = core->close();
        core->when_idle(*self);
    }

private:
    close_operation(Handler&& handler, const boost::asio::any_io_executor& io_executor)
        : work_(handler, io_executor), handler_(std::move(handler))
    {
        idle = [](idle_waiter& self) noexcept { static_cast<close_operation&>(self).complete(); };
    }

    void complete() noexcept
    {
        const std::tuple results(error_);
        auto memory = memory_of<Handler, close_operation>(handler_);
        Handler handler(std::move(handler_));
        operation_work<Handler> work(std::move(work_));
        this->~close_operation();
        std::allocator_traits<decltype(memory)>::deallocate(memory, this, 1);
        work.tell(std::move(handler), results, true); // after what a turn has told
    }

    operation_work<Handler> work_;
    Handler handler_;
    boost::system::error_code error_;
};

} // namespace zsync::detail
