// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/waitable.hpp>
#include <zsync/sync/detail/agent_wait.hpp>
#include <zsync/sync/detail/selected_wait.hpp>

#include <boost/system/result.hpp>

#include <cstddef>

namespace zsync::detail
{

/// A point in time, as a part of a selection. Whoever makes the selection watches the clock.
class timer_case
{
public:
    using result_type = boost::system::result<void>;

    explicit timer_case(sync_clock::time_point when) noexcept : when_(when) {}

    class wait_type
    {
    public:
        wait_type(const timer_case& what, selection&, std::size_t) noexcept : when_(what.when_) {}

        sync_clock::time_point when() const noexcept { return when_; }

        light_mutex* lock() const noexcept { return nullptr; }
        bool try_now() const noexcept { return when_ != no_deadline && sync_clock::now() >= when_; }
        bool arm() const noexcept { return false; }
        void settle() const noexcept {}
        void disarm() const noexcept {}
        result_type take(bool chosen) const noexcept
        {
            return chosen ? result_type() : result_type(aborted_by_another());
        }

    private:
        sync_clock::time_point when_;
    };

private:
    sync_clock::time_point when_;
};

} // namespace zsync::detail
