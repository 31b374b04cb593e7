// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/engine.hpp>
#include <zsync/core/operation.hpp>

#include <boost/asio/cancellation_type.hpp>

#include <atomic>

namespace zsync::detail
{

/// In the slot of an operation of several steps: has the step in flight end early, and none begin after it. Its signal
/// may be emitted on another thread than the steps are taken on, though not where the slot is being cleared.
class cancel_steps
{
public:
    explicit cancel_steps(engine& io) noexcept : io_(io) {}

    /// Where the first step's id goes, which start() writes: that step may be over before start() is back.
    operation_id* first() noexcept { return &id_; }

    /// Tells the id of a later one, on the thread that has just started it.
    void go_on(operation_id id) noexcept
    {
        current().store(id);
        if (requested_)
            io_.cancel(id);
    }

    bool requested() const noexcept { return requested_; }

    void operator()(boost::asio::cancellation_type type) noexcept
    {
        if (type == boost::asio::cancellation_type::none)
            return;
        requested_ = true; // before the id is read: whoever writes a newer one sees it
        if (const operation_id id = current().load(); id.generation != 0)
            io_.cancel(id);
    }

private:
    std::atomic_ref<operation_id> current() noexcept { return std::atomic_ref(id_); }

    engine& io_;
    operation_id id_;
    std::atomic<bool> requested_{false};
};

} // namespace zsync::detail
