// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/io/detail/steps.hpp>

#include <boost/asio/any_io_executor.hpp>

#include <optional>
#include <tuple>
#include <utility>

namespace zsync::detail
{

/// One of the handles' own Actions that makes a handle, as steps: see record_operation. Without a target, enter() has
/// nothing to refuse.
template <class Handle, class Action, class Target>
class action_steps : public steps_base
{
public:
    using value_type = Handle;
    static constexpr bool records_only = true;

    action_steps(Target target, const boost::asio::any_io_executor& executor, Action action)
        : target_(std::move(target)), executor_(executor), action_(std::move(action))
    {
    }

    int enter(const settings& with) noexcept { return target_.enter(with); }
    void leave() noexcept { target_.leave(); }

    next begin(operation& record, const settings&) noexcept
    {
        record.descriptor = target_.native();
        action_.describe(record);
        return next::record;
    }

    next proceed(operation& record, const settings&) noexcept
    {
        auto [ec, made] = action_.outcome(record);
        if (ec)
            return fail(ec);
        made_.emplace(std::move(made));
        return next::finished;
    }

    Handle value() { return made_ ? std::move(*made_) : Handle(executor_); }

private:
    Target target_;
    boost::asio::any_io_executor executor_;
    Action action_;
    std::optional<Handle> made_;
};

/// Where there is no handle yet.
struct no_target
{
    static int enter(const settings&) noexcept { return 0; }
    static void leave() noexcept {}
    static constexpr int native() noexcept { return -1; }
};

} // namespace zsync::detail
