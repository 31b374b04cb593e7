// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/agent.hpp>
#include <zsync/core/helper_threads.hpp>

#include <boost/smart_ptr/intrusive_ptr.hpp>

#include <atomic>

namespace zsync::detail
{

/// A call for a helper thread that whoever waits for it may abandon. Counted: the thread keeps it alive to its end.
class helper_call : private job
{
public:
    helper_call(const helper_call&) = delete;
    helper_call& operator=(const helper_call&) = delete;

    /// Makes the call. Blocks the thread.
    virtual void make() noexcept = 0;

    /// Has it made on a helper thread, which notifies `who`, unless ended() is set first.
    boost::system::error_code start(helper_threads& on, waiter& who) noexcept
    {
        who_ = &who;
        intrusive_ptr_add_ref(this);
        const boost::system::error_code refused = on.post(*this);
        if (refused)
            intrusive_ptr_release(this);
        return refused;
    }

    /// Decides, by an exchange, who may notify the waiter: the helper's thread when the call has been made, or whoever
    /// ends the wait early. What the call writes is to be read only if the helper came first.
    std::atomic<bool>& ended() noexcept { return ended_; }

protected:
    helper_call() noexcept
    {
        run = [](job& self) noexcept
        {
            auto& call = static_cast<helper_call&>(self);
            call.make();
            call.finish();
        };
        abandon = [](job& self) noexcept { static_cast<helper_call&>(self).finish(); };
    }
    virtual ~helper_call() = default;

private:
    void finish() noexcept
    {
        if (!ended_.exchange(true, std::memory_order_acq_rel))
            who_->notify();
        intrusive_ptr_release(this);
    }

    friend void intrusive_ptr_add_ref(helper_call* call) noexcept
    {
        call->references_.fetch_add(1, std::memory_order_relaxed);
    }

    friend void intrusive_ptr_release(helper_call* call) noexcept
    {
        if (call->references_.fetch_sub(1, std::memory_order_acq_rel) == 1)
            delete call;
    }

    waiter* who_ = nullptr;
    std::atomic<bool> ended_{false};
    std::atomic<int> references_{0};
};

} // namespace zsync::detail
