// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/agent.hpp>
#include <zsync/core/detail/recycling_allocator.hpp>
#include <zsync/core/loop.hpp>
#include <zsync/core/work_item.hpp>
#include <zsync/fiber/detail/fiber.hpp>

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/error.hpp>
#include <boost/system/error_code.hpp>

#include <memory>
#include <mutex>
#include <utility>

namespace zsync::detail
{

/// Carries a request that is made elsewhere (by a slot's signal, which is emitted where the handler belongs; through a
/// token) to a fiber, whose cancellation is for its loop's thread. Shared by whoever makes it, the fiber's owner, and
/// the item on its way to the loop.
class slot_request : private work_item
{
public:
    explicit slot_request(loop& home) noexcept : loop_(home) {}

    /// Makes the request, once. Any thread; `self` is a reference to this.
    void emit(const std::shared_ptr<slot_request>& self,
              boost::system::error_code reason = boost::asio::error::operation_aborted) noexcept
    {
        {
            const std::lock_guard held(mutex_);
            if (over_ || std::exchange(emitted_, true))
                return;
            reason_ = reason;
            if (!loop_.running_here())
            {
                underway_ = self;
                run = [](work_item& item, bool)
                {
                    const auto arrived = std::move(static_cast<slot_request&>(item).underway_);
                    arrived->deliver();
                };
                loop_.post(*this); // under the lock: the loop may go once the fiber is over
                return;
            }
        }
        deliver();
    }

    /// There is a fiber now. On the loop's thread.
    void attach(agent& fiber) noexcept
    {
        fiber_ = &fiber;
        if (early_)
            request_cancel_of(fiber, reason_);
    }

    /// There will be no more requests. Any thread, as long as the loop's is not delivering one.
    void end() noexcept
    {
        const std::lock_guard held(mutex_);
        over_ = true;
        fiber_ = nullptr;
    }

private:
    void deliver() noexcept
    {
        if (fiber_)
            request_cancel_of(*fiber_, reason_);
        else
            early_ = true;
    }

    loop& loop_;
    std::mutex mutex_; // guards `over_`, `emitted_` and its reason; the others are the loop's
    bool over_ = false;
    bool emitted_ = false;
    boost::system::error_code reason_; // read by the loop once it has been emitted
    bool early_ = false;
    agent* fiber_ = nullptr;
    std::shared_ptr<slot_request> underway_; // itself, while it is queued
};

/// The owner's share: no request comes after it.
///
/// A handler of our own says whether what its slot emits comes on the loop's thread, and before the handler is called.
/// Then the fiber stands in the slot itself.
class slot_request_owner
{
public:
    /// Installs itself in the handler's slot, if that is connected. Allocates then, but for such a handler.
    template <class Handler>
    slot_request_owner(loop& home, const Handler& handler)
    {
        auto slot = boost::asio::get_associated_cancellation_slot(handler);
        if (!slot.is_connected())
            return;
        if constexpr (requires { handler.emits_on(home); })
        {
            if (handler.emits_on(home))
            {
                direct_ = &slot.template emplace<direct_request>();
                return;
            }
        }
        request_ = std::allocate_shared<slot_request>(recycling_allocator<slot_request>(), home);
        slot.assign(
            [request = request_](boost::asio::cancellation_type)
            {
                const auto alive = request; // the slot may be cleared meanwhile
                alive->emit(alive);
            });
    }

    slot_request_owner(slot_request_owner&& other) noexcept = default;
    slot_request_owner& operator=(slot_request_owner&&) = delete;

    ~slot_request_owner() { end(); }

    /// There is a fiber now. On the loop's thread.
    void attach(agent& fiber) noexcept
    {
        if (request_)
            request_->attach(fiber);
        else if (direct_)
            direct_->fiber = &fiber;
    }

    void end() noexcept
    {
        if (request_)
            std::exchange(request_, nullptr)->end();
    }

private:
    struct direct_request
    {
        agent* fiber = nullptr;

        void operator()(boost::asio::cancellation_type) const noexcept
        {
            if (fiber)
                request_cancel_of(*fiber, boost::asio::error::operation_aborted);
        }
    };

    std::shared_ptr<slot_request> request_;
    direct_request* direct_ = nullptr; // the slot's; then there is no request
};

} // namespace zsync::detail
