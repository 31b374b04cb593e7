// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/descriptor.hpp>
#include <zsync/core/detail/from_errno.hpp>
#include <zsync/core/operation.hpp>
#include <zsync/io/detail/settings.hpp>

#include <boost/system/error_code.hpp>

#include <cerrno>
#include <concepts>
#include <cstdint>
#include <utility>

#include <unistd.h>

namespace zsync::detail
{

/// What an operation of the façade needs next.
enum class next : std::uint8_t
{
    finished,
    record, ///< the record, which it has filled in, to be performed
    pause,  ///< a point in time: wake_at()
    call,   ///< a call that has no asynchronous form: call()
    idle,   ///< that nothing is in flight on what it has closed: idle_core()
};

/// An operation of the façade as a plain sequence of steps, which knows nothing of models, fibers and handlers: whoever
/// drives it does what it asks and comes back, see drive(). Movable until begin() is called.
///
/// - `value_type`: what it delivers, or void; `value()` takes that, whatever has been delivered by then: after an error
///   the bytes that have moved, or a closed handle;
/// - `enter(settings)` takes its place on its handles: 0 or an errno; `leave()` gives it up;
/// - `begin(record, settings)`, then `proceed(record, settings)` after each step until it is finished;
/// - `error()`: why it has failed, once finished;
/// - `records_only`: it never needs anything but records.
template <class S>
concept steps = std::movable<S> && requires(S value, operation& record, const settings& with)
{
    typename S::value_type;
    {
        S::records_only
        } -> std::convertible_to<bool>;
    {
        value.enter(with)
        } -> std::same_as<int>;
    value.leave();
    {
        value.begin(record, with)
        } -> std::same_as<next>;
    {
        value.proceed(record, with)
        } -> std::same_as<next>;
    {
        value.error()
        } -> std::convertible_to<boost::system::error_code>;
    {
        value.value()
        } -> std::same_as<typename S::value_type>;
};

/// What every sequence has until it needs something else.
class steps_base
{
public:
    const boost::system::error_code& error() const noexcept { return error_; }
    static int enter(const settings&) noexcept { return 0; }
    static void leave() noexcept {}

protected:
    next fail(boost::system::error_code ec) noexcept
    {
        error_ = ec;
        return next::finished;
    }
    next fail(std::same_as<int> auto number) noexcept { return fail(from_errno(number)); } // not for error enums

private:
    boost::system::error_code error_;
};

/// The handle that an operation uses in one direction. It holds the core, so the handle may move, close and die.
template <direction Way>
class handle_target
{
public:
    explicit handle_target(const descriptor_ptr& core) noexcept : core_(core) {}

    /// An operation of a loop is performed by that loop's engine, which has to know the descriptor.
    int enter(const settings& with) noexcept
    {
        if (!core_) [[unlikely]]
            return EBADF;
        if (with.model != model::blocking && &core_->context() != &with.owner->context()) [[unlikely]]
            return EINVAL;
        if constexpr (Way == direction::in)
            return core_->begin_read();
        else if constexpr (Way == direction::out)
            return core_->begin_write();
        else
            return core_->begin_other();
    }

    void leave() noexcept
    {
        if constexpr (Way == direction::in)
            core_->end_read();
        else if constexpr (Way == direction::out)
            core_->end_write();
        else
            core_->end_other();
    }

    int native() const noexcept { return core_->native(); }
    bool is_socket() const noexcept { return core_->is_socket(); }
    bool is_local_socket() const noexcept { return core_->kind() == descriptor_kind::local_socket; }
    bool is_file() const noexcept { return core_->kind() == descriptor_kind::file; }

private:
    descriptor_ptr core_;
};

/// Standard output, whatever it is; nothing is asked or changed about it.
struct standard_output_target
{
    static int enter(const settings&) noexcept { return 0; }
    static void leave() noexcept {}
    static constexpr int native() noexcept { return STDOUT_FILENO; }
    static constexpr bool is_socket() noexcept { return false; }
    static constexpr bool is_local_socket() noexcept { return false; }
};

} // namespace zsync::detail
