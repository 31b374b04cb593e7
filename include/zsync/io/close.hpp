// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/engine/engine_for.hpp>
#include <zsync/io/detail/steps.hpp>

#include <cerrno>
#include <utility>

#include <sys/socket.h>

namespace zsync::detail
{

/// Closes a descriptor, then waits until nothing is in flight on it.
class close_steps : public steps_base
{
public:
    using value_type = void;
    static constexpr bool records_only = false;

    explicit close_steps(const descriptor_ptr& core) noexcept : core_(core) {}

    next begin(operation&, const settings&) noexcept
    {
        if (!core_)
            return next::finished;
        fail(core_->close());
        return next::idle;
    }
    next proceed(operation&, const settings&) const noexcept { return next::finished; }
    descriptor_core& idle_core() const noexcept { return *core_; }
    void value() const noexcept {}

private:
    descriptor_ptr core_;
};

/// Ends one direction of a stream, or both: by the ring, if only that knows it. What has been started is sent first.
class shutdown_steps : public steps_base
{
public:
    using value_type = void;
    static constexpr bool records_only = true;

    shutdown_steps(const descriptor_ptr& core, int what) noexcept : core_(core), what_(what) {}

    int enter(const settings&) noexcept { return core_ ? core_->begin_other() : EBADF; }
    void leave() noexcept { core_->end_other(); }

    next begin(operation& record, const settings& with) noexcept
    {
        if (is_direct(core_->native()))
        {
            if (&core_->context() != &with.owner->context())
                return fail(EINVAL);
            record.code = opcode::shutdown;
            record.descriptor = core_->native();
            record.flags = static_cast<std::uint32_t>(what_);
            return next::record;
        }
        if (core_->writing() && what_ != SHUT_RD)
            try_sends(core_->io(), core_->native());
        return ::shutdown(core_->native(), what_) < 0 ? fail(errno) : next::finished;
    }
    next proceed(operation& record, const settings&) noexcept
    {
        return record.result < 0 ? fail(-record.result) : next::finished;
    }
    void value() const noexcept {}

private:
    descriptor_ptr core_;
    int what_;
};

} // namespace zsync::detail
