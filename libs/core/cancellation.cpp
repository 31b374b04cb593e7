// SPDX-License-Identifier: BSL-1.0
#include <zsync/core/cancellation.hpp>

#include <cassert>

namespace zsync
{

cancellation_state::cancellation_state(std::stop_token upstream,
                                       std::shared_ptr<const cancellation_state> upstream_state)
{
    upstream_.emplace(std::move(upstream), upstream_callback{this, std::move(upstream_state)});
}

void cancellation_state::upstream_callback::operator()() const noexcept
{
    self->request(upstream ? upstream->reason() : boost::asio::error::operation_aborted);
}

bool cancellation_state::request(boost::system::error_code reason) noexcept
{
    assert(reason.failed());
    auto expected = phase::idle;
    if (!phase_.compare_exchange_strong(expected, phase::claimed, std::memory_order_relaxed))
    {
        phase_.wait(phase::claimed, std::memory_order_acquire);
        return false;
    }
    reason_ = reason;
    phase_.store(phase::requested, std::memory_order_release);
    phase_.notify_all();
    // A callback may drop the last reference to this state, when the request came from upstream.
    std::stop_source stop = stop_;
    stop.request_stop();
    return true;
}

cancellation_token::cancellation_token(std::stop_token parent)
{
    if (parent.stop_possible())
        state_ = std::make_shared<cancellation_state>(std::move(parent), nullptr);
}

cancellation_source::cancellation_source() : state_(std::make_shared<cancellation_state>()) {}

cancellation_source::cancellation_source(const cancellation_token& parent)
    : state_(std::make_shared<cancellation_state>(parent.stop_token(), parent.state_))
{
}

cancellation_source::cancellation_source(std::stop_token parent)
    : state_(std::make_shared<cancellation_state>(std::move(parent), nullptr))
{
}

bool cancellation_source::request_cancel(boost::system::error_code reason) const noexcept
{
    const auto state = state_; // a callback may destroy this source
    return state->request(reason);
}

bool cancellation_source::connect(boost::asio::cancellation_slot slot, boost::asio::cancellation_type filter) const
{
    if (!slot.is_connected())
        return false;
    slot.assign(
        [state = state_, filter](boost::asio::cancellation_type type)
        {
            const auto alive = state; // a callback may clear the slot, and this handler with it
            if ((type & filter) != boost::asio::cancellation_type::none)
                alive->request(boost::asio::error::operation_aborted);
        });
    return true;
}

} // namespace zsync
