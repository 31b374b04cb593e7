// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <string_view>

namespace zsync
{

/// What kind of thing a wait is for.
enum class wait_kind : std::uint8_t
{
    other,        ///< `what` says it in words, if anything does
    operation,    ///< an operation of an engine: `object` is its record
    asynchronous, ///< an Asio operation: `what` is the type_text() of its initiation
    time,         ///< a point in time
    helper,       ///< a call that a helper thread makes
    sync,         ///< a lock, a channel and the like: `what` is the type_text() of it, `object` its address
    task          ///< another task's end: `object` is its detail::child_task, or null and `what` says whose
};

/// Says what a wait is for, to whoever looks on from outside: dump_fibers(), the watch for deadlocks, a debugger.
///
/// A value. What it points to need not live as long, but for a record and a task, which the wait keeps alive anyway.
struct wait_reason
{
    wait_kind kind = wait_kind::other;
    const char* what = nullptr; ///< of static storage
    const void* object = nullptr;
};

namespace detail
{

/// A text of static storage that has the name of T in it: type_name_in() finds it. It costs an address and no code, and
/// there is one without RTTI, too.
template <class T>
constexpr const char* type_text() noexcept
{
    return __PRETTY_FUNCTION__; // ends with "[with T = ...]" from GCC, "[T = ...]" from Clang
}

/// Returns the name; all of a text that is none of type_text()'s.
constexpr std::string_view type_name_in(std::string_view text) noexcept
{
    constexpr std::string_view before = "T = ";
    const auto start = text.find(before);
    if (start == text.npos)
        return text;
    text.remove_prefix(start + before.size());
    return text.substr(0, text.rfind(']'));
}

} // namespace detail

} // namespace zsync
