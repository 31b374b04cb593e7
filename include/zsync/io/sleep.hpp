// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/io/detail/steps.hpp>

#include <chrono>

namespace zsync::detail
{

/// Waits for a point in time, which is counted from where the wait begins.
class sleep_steps : public steps_base
{
public:
    using value_type = void;
    static constexpr bool records_only = false;

    explicit sleep_steps(settings::clock::duration time) noexcept : time_(time) {}

    next begin(operation&, const settings&) noexcept
    {
        const auto now = settings::clock::now();
        until_ = time_ > settings::no_deadline - now ? settings::no_deadline : now + time_;
        return next::pause;
    }
    next proceed(operation&, const settings&) const noexcept { return next::finished; }
    settings::clock::time_point wake_at() const noexcept { return until_; }
    void value() const noexcept {}

private:
    settings::clock::duration time_;
    settings::clock::time_point until_{};
};

} // namespace zsync::detail
